"""Training on truth of which some is unknown: what counts, what does not, and what becomes of the network."""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics as oracle

from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.labels.truth import ABSENT, PRESENT, UNKNOWN, Truth
from bulklabel.model.network.keras_archive import network_bytes
from bulklabel.model.training.textbook import build_network
from bulklabel.model.training.train import (
    KnownAccuracy,
    KnownF1,
    Samples,
    Side,
    Trained,
    evaluate,
    masked_crossentropy,
    train_network,
)

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
    return images, truth


def side(samples: Samples) -> Side:
    images, truth = samples

    def batches(_: int) -> Iterator[Samples]:
        for first in range(0, len(images), BATCH):
            yield images[first : first + BATCH], truth[first : first + BATCH]

    return Side(batches, float((truth != UNKNOWN).mean()))


def trained(training: Samples, validation: Samples, epochs: int = 1) -> Trained:
    return train_network(side(training), side(validation), Preprocessing(SIDE, SIDE), LABELS, epochs, seed=0, verbose=0)


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
    for metric in (KnownF1("f1_micro"), KnownAccuracy("label_accuracy")):
        for first in (0, 25):
            last = 25 if first == 0 else 40
            metric.update_state(tf.constant(truth[first:last], tf.float32), probabilities[first:last])
        assert float(metric.result()) == pytest.approx(expected[metric.name], rel=1e-5)


def test_what_is_told_of_an_epoch_is_the_mean_over_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    images, truth = pictures(100, seed=1)
    truth[np.random.default_rng(2).random(truth.shape) < 0.6] = UNKNOWN
    result = train_network(
        side(pictures(64, 3)), side((images, truth)), Preprocessing(SIDE, SIDE), LABELS, 1, seed=0, verbose=2
    )
    assert f"val_loss: {result.evaluation['loss']:.4f}" in capsys.readouterr().out


def test_without_unknown_truth_the_network_is_the_one_that_plain_keras_trains() -> None:
    samples = pictures(100, seed=1)  # four batches, the last one short
    result = trained(samples, pictures(40, seed=2), epochs=2)
    keras.utils.clear_session()
    plain = build_network(SIDE, SIDE, LABELS, seed=0)
    batches = [(images.astype(np.float32), truth.astype(np.float32)) for images, truth in side(samples).epochs(0)]
    signature = (tf.TensorSpec((None, SIDE, SIDE, 3)), tf.TensorSpec((None, LABELS)))
    plain.fit(tf.data.Dataset.from_generator(lambda: batches, output_signature=signature), epochs=2, verbose=0)
    assert network_bytes(plain) == result.network


def test_plain_keras_loads_and_goes_on_training_the_network(tmp_path: Path) -> None:
    images, truth = pictures(64, seed=1)
    known = truth.astype(np.float32)
    truth[::2, 0] = UNKNOWN
    network = loaded(trained((images, truth), pictures(40, seed=2)), tmp_path)
    assert network.loss == "binary_crossentropy"
    assert set(network.evaluate(images, known, return_dict=True, verbose=0)) == {"loss", "label_accuracy", "f1_micro"}
    assert int(network.optimizer.iterations) > 0
    network.fit(images, known, verbose=0)


def test_half_of_a_labels_truth_is_enough_but_not_if_the_rest_is_taken_for_absent(tmp_path: Path) -> None:
    images, truth = pictures(700, seed=1)
    lost = np.random.default_rng(3).random(len(truth)) < 0.5
    truth[lost, 0], truth[lost, 1] = UNKNOWN, ABSENT  # and of the third label everything is known
    result = trained((images[:600], truth[:600]), (images[600:], truth[600:]), epochs=8)
    held_out, expected = pictures(300, seed=4)
    answers = loaded(result, tmp_path).predict(held_out, verbose=0)
    unknown, wrong, known = (evaluate(expected[:, [at]], answers[:, [at]])["loss"] for at in range(LABELS))
    assert unknown < known + 0.1
    assert wrong > known + 0.3
