"""Training on truth of which some is unknown: what counts, what does not, and what becomes of the network."""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn import metrics as oracle

from bulklabel.model.errors import UserError
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.labels.truth import ABSENT, PRESENT, UNKNOWN, Truth
from bulklabel.model.training import LOSSES, NETWORKS
from bulklabel.model.training.augment import augmenter
from bulklabel.model.training.fit import Epoch
from bulklabel.model.training.learner import Answering, Samples
from bulklabel.model.training.losses import LOSS_OF, asymmetric_loss, evaluate, masked_crossentropy
from bulklabel.model.training.residual import folded
from bulklabel.model.training.train import Task, Trained, train_network

SIDE, LABELS, BATCH = 8, 3, 32


def truth_and_probabilities(records: int = 40, seed: int = 0) -> tuple[Truth, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(-1, 2, (records, LABELS), np.int8)
    return truth, random.random((records, LABELS), np.float32)


def pictures(records: int, seed: int) -> Samples:
    """Noise with a brighter row of its own for each label that is present."""
    random = np.random.default_rng(seed)
    truth = (random.random((records, LABELS)) < 0.5).astype(np.int8)
    images = random.integers(0, 100, (records, SIDE, SIDE, 3), np.uint8)
    for label in range(LABELS):
        images[truth[:, label] == PRESENT, 2 * label + 1] += 100
    return Samples(images, truth)


@dataclass
class Kept:
    """Watches a training, and keeps its states."""

    states: list[bytes] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)

    def load(self) -> bytes | None:
        return self.states[-1] if self.states else None

    def save(self, state: bytes) -> None:
        self.states.append(state)

    def resumed(self, epochs: int) -> None:
        assert epochs == len(self.states)

    def step(self, done: int, steps: int) -> None:
        assert 1 <= done <= steps

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)


def task(**changes: Any) -> Task:
    given: dict[str, Any] = {"labels": LABELS, "network": "textbook", "epochs": 1, "batch_size": BATCH}
    return Task(**({"preprocessing": Preprocessing(SIDE, SIDE)} | given | changes))


def trained(training: Samples, validation: Samples | None, **changes: Any) -> Trained:
    kept = Kept()
    return train_network(task(**changes), training, validation, kept, kept)


def loaded(result: Trained, folder: Path) -> keras.Model:
    (folder / "model.keras").write_bytes(result.network)
    return keras.saving.load_model(folder / "model.keras")


def test_the_loss_is_the_mean_over_what_is_known() -> None:
    truth, probabilities = truth_and_probabilities()
    total = 0.0
    for row, answers in zip(truth, probabilities, strict=True):
        for cell, answer in zip(row, answers, strict=True):
            total -= {PRESENT: np.log(answer), ABSENT: np.log(1 - answer), UNKNOWN: 0.0}[int(cell)]
    losses = masked_crossentropy(tf.constant(truth, tf.float32), tf.constant(probabilities)).numpy()
    assert losses.sum() * LABELS == pytest.approx(total, rel=1e-5)
    assert evaluate(truth, probabilities)["loss"] == pytest.approx(total / (truth != UNKNOWN).sum(), rel=1e-5)


def test_unknown_cells_have_no_gradient_and_change_nobody_elses() -> None:
    truth, probabilities = truth_and_probabilities()
    probabilities[0] = (0.0, 1.0, np.float32(1e-30))  # where a logarithm, or its slope, could be infinite
    answers = tf.Variable(probabilities)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(masked_crossentropy(tf.constant(truth, tf.float32), answers)) * LABELS
    gradients = tape.gradient(loss, answers).numpy()
    known = truth != UNKNOWN
    assert known.any()
    assert not known.all()
    assert np.array_equal(gradients[~known], np.zeros((~known).sum()))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(keras.ops.binary_crossentropy(tf.constant(np.maximum(truth, 0), tf.float32), answers))
    assert np.allclose(gradients[known], tape.gradient(loss, answers).numpy()[known], rtol=1e-5)


def test_metrics_are_over_what_is_known() -> None:
    truth, probabilities = truth_and_probabilities()
    known = truth != UNKNOWN
    present, predicted = truth[known] == PRESENT, probabilities[known] > 0.5
    expected = {
        "f1_micro": oracle.f1_score(present, predicted),
        "label_accuracy": oracle.accuracy_score(present, predicted),
        "loss": oracle.log_loss(present, probabilities[known].astype(float)),
    }
    assert evaluate(truth, probabilities) == pytest.approx(expected, rel=1e-5)


def test_certain_answers_that_are_wrong_have_a_finite_loss() -> None:
    answers = np.array([[0, 1]], np.float32)
    assert evaluate(np.array([[PRESENT, ABSENT]], np.int8), answers)["loss"] == pytest.approx(16.1, abs=0.1)
    assert evaluate(np.array([[ABSENT, PRESENT]], np.int8), answers)["loss"] == 0


def test_the_asymmetric_loss_counts_unknown_truth_nowhere_and_easy_absent_labels_little() -> None:
    assert set(LOSSES) == set(LOSS_OF)
    truth = tf.constant([[ABSENT, ABSENT, PRESENT, UNKNOWN]], tf.float32)
    answers = tf.Variable([[0.2, 0.9, 0.3, 0.6]])
    with tf.GradientTape() as tape:
        loss = asymmetric_loss(truth, answers)
    easy, hard = (-np.log(1 - (p - 0.05)) * (p - 0.05) ** 4 for p in (0.2, 0.9))
    assert float(loss[0]) == pytest.approx((easy + hard - np.log(0.3)) / 4, rel=1e-5)
    slopes = tape.gradient(loss, answers).numpy()[0]
    assert slopes[3] == 0 < slopes[0] < slopes[1] / 100


def test_the_mean_loss_of_an_epoch_is_over_what_is_known() -> None:
    samples = pictures(100, seed=1)
    samples.truth[np.random.default_rng(2).random(samples.truth.shape) < 0.6] = UNKNOWN
    kept = Kept()
    result = train_network(task(), samples, samples, kept, kept)
    (epoch,) = result.history
    assert kept.epochs == [epoch]
    assert epoch.loss == pytest.approx(0.7, abs=0.2)
    assert epoch.validation["loss"] == pytest.approx(0.7, abs=0.1)


def test_the_textbooks_network_is_the_one_that_plain_keras_trains(tmp_path: Path) -> None:
    samples = pictures(100, seed=1)  # four batches of 25
    result = trained(samples, None, epochs=2)
    keras.utils.clear_session()
    plain = task().build()
    plain.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", jit_compile=False)
    for epoch in range(2):
        for rows in samples.batches(BATCH, 0, epoch):
            plain.train_on_batch(samples.images[rows].astype(np.float32), samples.truth[rows].astype(np.float32))
    for ours, theirs in zip(loaded(result, tmp_path).get_weights(), plain.get_weights(), strict=True):
        assert np.allclose(ours, theirs, atol=1e-6)


@functools.cache
def trained_whole(network: str) -> tuple[Trained, Kept]:
    """A training of three epochs that nobody stops, once for the tests that read it."""
    kept = Kept()
    return train_network(task(network=network, epochs=3), pictures(60, 1), pictures(30, 2), kept, kept), kept


@pytest.mark.parametrize("network", NETWORKS)
def test_a_stopped_training_goes_on_to_the_same_bytes(network: str) -> None:
    samples, judged = pictures(60, seed=1), pictures(30, seed=2)
    expected, whole = trained_whole(network)
    stopped = Kept(whole.states[:1])
    result = train_network(task(network=network, epochs=3), samples, judged, stopped, stopped)
    assert result.network == expected.network
    assert result.thresholds == expected.thresholds
    assert [epoch.number for epoch in stopped.epochs] == [2, 3]
    assert [epoch.loss for epoch in result.history] == [epoch.loss for epoch in expected.history]
    assert [epoch.number for epoch in whole.epochs] == [1, 2, 3]


def test_a_residual_network_costs_no_more_than_the_textbooks_whatever_the_labels() -> None:
    def cost(network: str, labels: int) -> int:
        layers = task(network=network, labels=labels, preprocessing=Preprocessing(32, 32)).build().layers
        return sum(map(multiplications, layers))

    for labels in (1, 26, 1000):
        assert cost("residual", labels) <= cost("textbook", labels)


def multiplications(layer: keras.Layer) -> int:
    if isinstance(layer, keras.layers.Conv2D):
        return int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape))
    return int(np.prod(layer.kernel.shape)) if isinstance(layer, keras.layers.Dense) else 0


def test_half_of_a_labels_truth_is_enough_but_not_if_the_rest_is_taken_for_absent(tmp_path: Path) -> None:
    samples = pictures(700, seed=1)
    images, truth = samples.images, samples.truth
    lost = np.random.default_rng(3).random(len(truth)) < 0.5
    truth[lost, 0], truth[lost, 1] = UNKNOWN, ABSENT  # and of the third label everything is known
    result = trained(Samples(images[:600], truth[:600]), Samples(images[600:], truth[600:]), epochs=8)
    held_out = pictures(300, seed=4)
    answers = loaded(result, tmp_path).predict(held_out.images, verbose=0)
    unknown, wrong, known = (evaluate(held_out.truth[:, [at]], answers[:, [at]])["loss"] for at in range(LABELS))
    assert unknown < known + 0.1
    assert wrong > known + 0.3


def test_a_loss_that_is_no_number_ends_the_training_in_one_line() -> None:
    samples = pictures(40, 1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(LOSS_OF, "crossentropy", lambda _, answers: tf.reduce_mean(answers, axis=-1) * np.nan)
        with pytest.raises(UserError, match=r"the loss of epoch 1 is nan"):
            trained(samples, None)


def test_a_damaged_state_is_said() -> None:
    with pytest.raises(UserError, match="is damaged"):
        train_network(task(), pictures(20, 1), None, Kept(), Kept([b"PK\x03\x04 half of it"]))


def test_minutes_end_in_time_with_the_bytes_of_so_many_epochs() -> None:
    samples = pictures(60, 1)
    timed = trained(samples, None, epochs=None, minutes=0.005)
    assert len(timed.history) >= 1
    assert timed.network == trained(samples, None, epochs=len(timed.history)).network


def test_augmented_images_are_as_many_ways_as_seeds_and_mirrored_only_if_asked() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 16, dtype=np.float32)[None, None, :, None], (200, 16, 16, 3))
    changed = {flip: augmenter(flip)(tf.constant(ramp), tf.constant([1, 2])).numpy() for flip in (False, True)}
    rising = {flip: images[:, 8, -4:].mean((1, 2)) > images[:, 8, :4].mean((1, 2)) for flip, images in changed.items()}
    assert rising[False].all()
    assert 60 < rising[True].sum() < 140
    assert np.array_equal(changed[False], augmenter(False)(tf.constant(ramp), tf.constant([1, 2])))
    assert not np.allclose(changed[False], augmenter(False)(tf.constant(ramp), tf.constant([1, 3])))
    assert len({image.tobytes() for image in changed[False]}) == 200
    assert changed[True].min() >= 0
    assert changed[True].max() <= 255
    assert abs(changed[True].mean() - ramp.mean()) < 20


def test_augmentation_turns_colours_but_keeps_gray_gray_and_red_red() -> None:
    random = np.random.default_rng(0)
    gray = np.repeat(random.integers(0, 256, (50, 8, 8, 1), np.uint8), 3, axis=3)
    assert np.ptp(augmenter(False)(tf.constant(gray), tf.constant([1, 2])).numpy(), axis=3).max() < 0.01
    reds = np.broadcast_to(np.array([150, 90, 90], np.uint8), (200, 8, 8, 3))
    red, green, blue = augmenter(False)(tf.constant(reds), tf.constant([1, 2])).numpy()[:, 4, 4].T
    assert (red > np.maximum(green, blue)).all()
    assert 60 < (green > blue).sum() < 140
    strength = red - (green + blue) / 2
    assert strength.min() < 35
    assert strength.max() > 100


def test_the_residual_network_takes_the_mean_and_the_maximum_of_all_places() -> None:
    network = task(network="residual", preprocessing=Preprocessing(64, 32)).build()
    parts = keras.Model(network.inputs, [network.get_layer("stage_4_out").output, network.get_layer("dropout").input])
    places, features = (part.numpy() for part in parts(np.random.default_rng(0).random((3, 64, 32, 3)) * 255))
    assert places.shape[1:3] == (4, 2)
    assert np.allclose(features, np.concatenate([places.mean((1, 2)), places.max((1, 2))], axis=1), atol=1e-5)


def test_a_folded_network_answers_as_the_normalised_one_and_without_normalising() -> None:
    network, random = task(network="residual", preprocessing=Preprocessing(32, 32)).build(), np.random.default_rng(0)
    network.set_weights([weights + random.uniform(-0.02, 0.02, weights.shape) for weights in network.get_weights()])
    images = random.integers(0, 256, (20, 32, 32, 3), np.uint8)
    answers = Answering(network)(images)
    assert np.ptp(answers, axis=0).min() > 0.01
    assert np.allclose(Answering(folded(network))(images), answers, atol=1e-5)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded(network).layers)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_one_channel_sees_pillows_gray(name: str) -> None:
    network = task(network=name, channels=1, preprocessing=Preprocessing(32, 32)).build()
    assert next(layer for layer in network.layers if layer.weights).kernel.shape[2] == 1
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    gray = np.stack([np.asarray(Image.fromarray(image).convert("L").convert("RGB")) for image in images])
    answers = Answering(network)(images)
    assert np.ptp(answers, axis=0).min() > 1e-4
    assert np.array_equal(answers, Answering(network)(gray))
    if name == "residual":
        assert np.allclose(Answering(folded(network))(images), answers, atol=1e-5)


def test_answers_do_not_depend_on_the_batch_and_are_the_averages(tmp_path: Path) -> None:
    result, _ = trained_whole("residual")
    network, images = loaded(result, tmp_path), pictures(33, 3).images
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers)
    answers = Answering(network)(images)
    for size in (1, 2, 32):
        assert np.allclose(Answering(network)(images[:size]), answers[:size], atol=1e-6)
    assert all(epoch.validation["loss"] < 1 for epoch in result.history)


def test_the_weights_of_the_best_epoch_are_kept_without_what_only_learning_needs(tmp_path: Path) -> None:
    samples, judged = pictures(30, 1), pictures(60, 2)
    noise = np.random.default_rng(3).random(samples.truth.shape) < 0.3
    wrong = Samples(samples.images, np.where(noise, 1 - samples.truth, samples.truth))
    result = trained(wrong, judged, epochs=40)
    losses = [epoch.validation["loss"] for epoch in result.history]
    assert result.best == 1 + int(np.argmin(losses)) == len(losses) - 3
    network = loaded(result, tmp_path)
    raw = keras.Model(network.inputs, network.get_layer("probabilities").output)
    assert evaluate(judged.truth, Answering(raw)(judged.images))["loss"] == pytest.approx(min(losses), rel=1e-5)
    assert not network.compiled


def test_one_record_to_judge_by_moves_neither_probabilities_nor_thresholds_far(tmp_path: Path) -> None:
    result = trained(pictures(40, 1), pictures(1, 2))
    network = loaded(result, tmp_path)
    scaling = network.get_layer("calibration").get_layer("slopes_and_offsets")
    assert scaling.get_config()["scale"] == [1.0] * LABELS
    assert result.thresholds is not None
    assert len(set(result.thresholds) - {0.5}) <= 1
