"""bfloat16 is used where it was asked for, where the processor has it, and where its answers are near enough."""

import json
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from bulklabel.model.network import precision
from bulklabel.model.network.keras_engine import KerasEngine
from bulklabel.model.network.precision import ABLE, BFLOAT16, FLOAT32, compare_precisions
from bulklabel.model.network.scorer import Scorer
from bulklabel.model.versions import processor_flags
from bulklabel.transforms.scoring.model_files import load_model
from tests.conftest import score

ROUNDS = platform.machine() == "x86_64" or bool(ABLE & set(processor_flags()))
"""Whether TensorFlow computes in bfloat16 when it is told to. With oneDNN it does so on every processor, and imitates
what one lacks."""

FAST = ["--precision=bfloat16"]


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretends that the processor computes in bfloat16; where it does not, TensorFlow imitates it."""
    monkeypatch.setattr(precision, "processor_flags", lambda: ["avx512_bf16"])


def test_only_a_scorer_that_was_told_computes_in_bfloat16(model_directory: Path) -> None:
    model = load_model(str(model_directory))
    pixels = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), np.uint8)
    exact, fast = Scorer(model, "model"), Scorer(model, "model")
    fast.precision = BFLOAT16
    before = exact.predict(pixels)
    with ThreadPoolExecutor(2) as pool:
        rough = list(pool.map(fast.predict, [pixels] * 4))
        after = list(pool.map(exact.predict, [pixels] * 4))
        beside = list(pool.map(lambda scorer: scorer.predict(pixels), [fast, exact] * 8))
    assert all(np.array_equal(rough[0], again) for again in beside[::2])
    assert all(np.array_equal(before, again) for again in beside[1::2])
    fast.predict(pixels)
    assert not tf.config.optimizer.get_experimental_options().get("auto_mixed_precision_onednn_bfloat16")
    assert isinstance(exact.engine, KerasEngine)
    others = tf.function(exact.engine.network)  # of somebody who has not heard of us
    assert np.abs(others(pixels.astype(np.float32)).numpy() - before).max() < 1e-5
    assert all(np.array_equal(before, again) for again in [exact.predict(pixels), *after])
    assert all(np.array_equal(rough[0], again) for again in rough)
    assert np.array_equal(before, rough[0]) != ROUNDS
    assert compare_precisions(before, rough[0], [0.5] * 10).largest_difference < 0.05


@pytest.mark.usefixtures("able")
def test_the_plan_has_the_precision_and_the_manifest_how_far_it_is_off(
    corpus: Path, model_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "MOST_CHANGED", 0.05)  # after one epoch many probabilities are near a threshold
    runs = [tmp_path / name for name in (FLOAT32, BFLOAT16)]
    assert score(corpus, model_directory, runs[0]) == 0
    assert score(corpus, model_directory, runs[1], *FAST) == 0
    plans, manifests = (
        [json.loads((run / name).read_bytes()) for run in runs] for name in ("plan.json", "manifest.json")
    )
    assert [plan["recipe"]["precision"] for plan in plans] == [FLOAT32, BFLOAT16]
    assert "parity" not in manifests[0]
    assert manifests[1]["parity"]["images"] == 599  # the good ones of the first shard
    exact, fast = (pq.read_table(run / "predictions").column("prob_7").to_numpy() for run in runs)
    apart = np.abs(exact - fast).max()
    assert (apart > 0) == ROUNDS
    assert apart <= 2 * manifests[1]["parity"]["largest_difference"]
    assert score(corpus, model_directory, runs[1]) == 2  # the other precision is another plan


@pytest.mark.usefixtures("able")
def test_answers_that_are_too_far_apart_are_refused(
    corpus: Path,
    model_directory: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "MOST_APART", -1.0)
    assert score(corpus, model_directory, tmp_path / "run", *FAST) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert "--precision bfloat16: in 599 images its answers are at most " in line
    assert "which is too much; leave the flag out" in line
    assert not (tmp_path / "run").exists()


def test_a_processor_without_bfloat16_is_refused(
    corpus: Path,
    model_directory: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "processor_flags", lambda: ["avx2"])
    assert score(corpus, model_directory, tmp_path / "run", *FAST) == 2
    assert "does not compute in it; leave the flag out" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_probability_that_is_no_number_is_as_far_off_as_can_be() -> None:
    assert (
        compare_precisions(np.array([[0.5]], np.float32), np.array([[np.nan]], np.float32), [0.5]).largest_difference
        == 1
    )
