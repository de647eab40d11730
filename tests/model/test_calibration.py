"""Calibration: probabilities become true, and nothing else about them changes."""

from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pytest

from bulklabel.model.images.decode import decode_whole
from bulklabel.model.labels.truth import PRESENT, UNKNOWN
from bulklabel.model.metrics import Goal, compute_metrics
from bulklabel.model.network.keras_archive import load_network, network_bytes
from bulklabel.model.statistic import Statistic
from bulklabel.model.training.calibrate import Calibration, Reliability, fit_calibration, log_odds
from bulklabel.model.training.learner import Answering, Samples
from bulklabel.model.training.rebuild import with_calibration
from tests.model.test_training import pictures, task
from tests.support.networks import blocks, tiny

Batch = tuple[np.ndarray, np.ndarray]


def answers_of(odds: np.ndarray, seed: int = 0) -> Batch:
    """Truth as often present as the odds say, and what a network says that is twice as sure, and a bit high."""
    random = np.random.default_rng(seed)
    truth = (random.random(odds.shape) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    return truth, (1 / (1 + np.exp(-(2 * odds + 1)))).astype(np.float32)


def test_what_made_a_network_too_sure_is_found_and_undone() -> None:
    odds = np.random.default_rng(1).normal(-1, 1.5, (4000, 3))
    truth, probabilities = answers_of(odds)
    truth[::3, 1] = UNKNOWN
    fitted = fit_calibration(truth, probabilities)
    assert fitted.slopes == pytest.approx([0.5] * 3, abs=0.06)
    assert fitted.offsets == pytest.approx([-0.5] * 3, abs=0.15)
    held_out, given = answers_of(np.random.default_rng(2).normal(-1, 1.5, (4000, 3)), seed=3)
    assert Reliability.of(held_out, fitted.apply(given)).error < Reliability.of(held_out, given).error / 5
    assert (np.argsort(fitted.apply(given), axis=0) == np.argsort(given, axis=0)).mean() > 0.99


def test_a_label_with_few_records_has_the_numbers_of_all_together() -> None:
    truth, probabilities = answers_of(np.random.default_rng(1).normal(0, 1.5, (400, 3)))
    truth[29:, 2] = UNKNOWN
    truth[:29, 2] = PRESENT
    fitted = fit_calibration(truth, probabilities)
    assert fitted.slopes[2] == pytest.approx(0.5, abs=0.1)
    assert len({*fitted.slopes}) == 3
    nothing = np.zeros((50, 3), np.int8)
    assert fit_calibration(nothing, probabilities[:50]).changes_nothing
    assert fit_calibration(np.full((50, 3), UNKNOWN, np.int8), probabilities[:50]).changes_nothing


def test_answers_that_are_chance_or_the_wrong_way_round_keep_their_order() -> None:
    truth, probabilities = answers_of(np.random.default_rng(1).normal(0, 1.5, (400, 1)))
    fitted = fit_calibration(1 - truth, probabilities)
    assert fitted.changes_nothing  # the own slope would be below 0, and so would that of all labels
    certain = fit_calibration(truth, truth.astype(np.float32))
    assert np.isfinite([*certain.slopes, *certain.offsets]).all()


def test_the_error_is_the_one_in_the_metrics() -> None:
    truth, probabilities = answers_of(np.random.default_rng(1).normal(0, 1.5, (300, 2)))
    probabilities[:4, 0] = (0, 1, np.float32(0.1), np.float32(0.3))
    records = pa.table({"id": [f"{n}" for n in range(300)], "source": ["a"] * 300, "position": list(range(300))})
    statistic = Statistic.from_batch(truth, probabilities, [0.5, 0.5], records)
    metrics = compute_metrics(statistic, ["a", "b"], [0.5, 0.5], Goal())
    assert Reliability.of(truth, probabilities).error == pytest.approx(metrics["overall"]["ece"], abs=2e-3)


def test_a_network_with_calibration_answers_as_the_numbers_say_and_may_be_calibrated_again() -> None:
    network, images = tiny(outputs=2), blocks(40, 16)
    first, second = Calibration(np.array([0.5, 2]), np.array([1, -1.0])), Calibration(np.ones(2) * 3, np.zeros(2))
    once = with_calibration(network, first)
    twice = load_network(network_bytes(with_calibration(once, second)), "it", trusted=False)
    raw = Answering(network)(images)
    assert np.allclose(Answering(once)(images), first.apply(raw), atol=1e-6)
    assert np.allclose(Answering(twice)(images), second.apply(first.apply(raw)), atol=1e-6)
    assert np.allclose(Answering(twice)(images[:2]), Answering(twice)(images)[:2], atol=1e-6)


def test_certain_answers_stay_finite_and_in_order() -> None:
    images = keras.Input((1, 1, 3))
    given = keras.layers.Flatten()(images)
    network = with_calibration(keras.Model(images, given), Calibration(np.full(3, 0.5), np.zeros(3)))
    answers = np.asarray(network(np.array([0, 1e-20, 1], np.float32).reshape(1, 1, 1, 3)))[0]
    assert np.isfinite(log_odds(answers)).all()
    assert 0 <= answers[0] < answers[1] < 0.5 < answers[2] <= 1


def test_a_network_that_overfits_is_half_as_wrong_behind_its_calibration() -> None:
    def noisy(records: int, seed: int) -> Samples:
        samples = pictures(records, seed)
        wrong = np.random.default_rng(seed).random(samples.truth.shape) < 0.25
        return Samples(samples.images, np.where(wrong, 1 - samples.truth, samples.truth))

    network = task().build()
    learnt = noisy(40, 1)
    network.compile(keras.optimizers.Adam(0.003), "binary_crossentropy", jit_compile=False)
    for _ in range(300):
        network.train_on_batch(learnt.images.astype(np.float32), learnt.truth.astype(np.float32))
    judged, held_out = noisy(1000, 2), noisy(2000, 3)
    raw = Answering(network)(held_out.images)
    fitted = fit_calibration(judged.truth, Answering(network)(judged.images))
    before, after = (Reliability.of(held_out.truth, given).error for given in (raw, fitted.apply(raw)))
    assert before > 0.1
    assert after < before / 2


def test_calibrate_by_a_run(
    model_directory: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bulklabel.pipelines.calibrate import main
    from bulklabel.transforms.scoring.model_files import load_model
    from tests.conftest import collage_rows, predictions_of
    from tests.support.networks import answers_of as probabilities_by

    output = tmp_path / "calibrated"
    assert main([str(model_directory), f"--truth={finished}", f"--output={output}"]) == 0
    printed = capsys.readouterr().out
    assert "calibrated on 4,704 records" in printed
    before, after = (float(number) for number in printed.split("error ")[1].split("\n")[0].split(" → "))
    assert after < before
    model, changed = load_model(str(model_directory)), load_model(str(output))
    assert changed.labels == model.labels
    assert changed.thresholds != model.thresholds
    assert changed.provenance["calibrated"]["model"] == model.digest
    pixels = np.stack([decode_whole(row["image"]) for row in collage_rows(16, seed=2)])
    raw, answers = probabilities_by(model_directory, pixels), probabilities_by(output, pixels)
    assert not np.allclose(raw, answers, atol=1e-3)
    assert (np.argsort(raw, axis=0) == np.argsort(answers, axis=0)).all()
    assert len(predictions_of(finished)) == 4796  # those without truth do not count
    assert main([str(output), f"--truth={finished}", f"--output={tmp_path / 'again'}"]) == 2
    assert "was not scored by" in capsys.readouterr().err
