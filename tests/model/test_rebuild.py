"""Training further from what a network has learnt before: whatever its make, for other labels and other sizes."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from bulklabel.model.errors import UserError
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.network.keras_archive import load_network, network_bytes
from bulklabel.model.training.calibrate import Calibration
from bulklabel.model.training.rebuild import with_calibration, with_new_head
from bulklabel.model.training.train import train_network
from tests.model.test_training import LABELS, SIDE, Kept, pictures, task


def convolutions(images: keras.KerasTensor) -> keras.KerasTensor:
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(images)
    return keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(x))


def plain(side: int = SIDE) -> keras.Model:
    images = keras.Input((side, side, 3))
    x = keras.layers.GlobalAveragePooling2D()(convolutions(images))
    return keras.Model(images, keras.layers.Dense(7, activation="sigmoid")(x))


def packaged(side: int = SIDE) -> keras.Model:
    """As `package` makes them: scaling, the user's network as one layer, and a sigmoid."""
    images = keras.Input((side, side, 3))
    inner = plain(side)
    inner.layers[-1].activation = keras.activations.linear
    x = inner(keras.layers.Rescaling(1 / 255)(images))
    return keras.Model(images, keras.layers.Activation("sigmoid")(x))


def sequential(side: int = SIDE) -> keras.Model:
    return keras.Sequential([keras.Input((side, side, 3)), plain(side), keras.layers.Dense(5, activation="sigmoid")])


def ends_in_a_convolution(side: int = SIDE) -> keras.Model:
    images = keras.Input((side, side, 3))
    x = keras.layers.Conv2D(7, 1)(convolutions(images))
    return keras.Model(images, keras.layers.Activation("sigmoid")(keras.layers.GlobalAveragePooling2D()(x)))


def of_fixed_batch(side: int = SIDE) -> keras.Model:
    """As `package` makes one of a network that was exported for batches of 8."""
    images = keras.Input((side, side, 3), batch_size=8)
    x = keras.layers.GlobalAveragePooling2D()(convolutions(images))
    return keras.Model(images, keras.layers.Dense(7, activation="sigmoid")(x))


def flattened(side: int = SIDE) -> keras.Model:
    images = keras.Input((side, side, 3))
    x = keras.layers.Dense(6, activation="relu")(keras.layers.Flatten()(convolutions(images)))
    return keras.Model(images, keras.layers.Dense(7, activation="sigmoid")(x))


def calibrated(side: int = SIDE) -> keras.Model:
    """As `train` makes them: behind its answers is a model of layers without weights."""
    return with_calibration(plain(side), Calibration(np.full(7, 2.0), np.full(7, -1.0)))


MAKES = (plain, packaged, sequential, ends_in_a_convolution, of_fixed_batch, flattened, calibrated)


def kernels(network: keras.Model) -> list[np.ndarray]:
    """The weights of convolutions, and what normalisation has counted, in whatever model they are."""
    layers = {layer.name: layer for layer in network._flatten_layers()}
    return [weight.numpy() for name in ("conv", "norm") for weight in layers[name].weights]


@pytest.mark.parametrize("make", MAKES)
def test_another_last_layer_keeps_what_is_before_it(make: Callable[[], keras.Model]) -> None:
    keras.utils.set_random_seed(1)
    network = make()
    renewed = with_new_head(network, "it", Preprocessing(SIDE, SIDE), LABELS, seed=0)
    assert renewed.output.shape == (None, LABELS)
    assert len(kernels(renewed)) == 5
    for before, after in zip(kernels(network), kernels(renewed), strict=True):
        assert np.array_equal(before, after)
    again = load_network(network_bytes(renewed), "it", trusted=False)
    images = pictures(5, 1).images
    assert np.allclose(again(images, training=False), renewed(images, training=False))


@pytest.mark.parametrize("make", [plain, packaged, ends_in_a_convolution])
def test_another_size_of_images_keeps_the_weights(make: Callable[[], keras.Model]) -> None:
    network = make()
    renewed = with_new_head(network, "it", Preprocessing(12, 10), LABELS, seed=0)
    assert renewed.input.shape == (None, 12, 10, 3)
    for before, after in zip(kernels(network), kernels(renewed), strict=True):
        assert np.array_equal(before, after)


def test_what_cannot_be_rebuilt_is_said() -> None:
    with pytest.raises(UserError, match=r"it was built for images of 8x8 pixels.* leave out --image_size"):
        with_new_head(flattened(), "it", Preprocessing(12, 12), LABELS, seed=0)
    images = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.GlobalAveragePooling2D()(images)
    branches = keras.layers.Add()([x, keras.layers.Dense(3)(x)])
    for network in (keras.Model(images, x), keras.Model(images, branches)):
        with pytest.raises(UserError, match="cannot be trained for other labels"):
            with_new_head(network, "it", Preprocessing(SIDE, SIDE), LABELS, seed=0)


def test_the_last_layer_learns_alone_and_then_all_do_but_normalisation_stays_as_it_was() -> None:
    keras.utils.set_random_seed(1)
    network = packaged()
    before = kernels(network)
    samples, judged, kept = pictures(60, 1), pictures(30, 2), Kept()
    further = task(network=None, pretrained=network, origin="it", epochs=3)
    result = train_network(further, samples, judged, kept, kept)
    assert [stage.epochs for stage in further.stages()] == [1, 2]
    assert all(map(np.array_equal, before, kernels(network)))
    first = train_network(task(network=None, pretrained=network, epochs=1), samples, None, Kept(), Kept())
    for is_last, trained in ((False, first), (True, result)):
        kernel, *normalisation = kernels(load_network(trained.network, "it", trusted=False))
        assert np.array_equal(kernel, before[0]) != is_last
        assert all(map(np.array_equal, normalisation, before[1:]))
    for states in (1, 2):  # stopped at the end of a stage, and within one
        stopped = Kept(kept.states[:states])
        assert train_network(further, samples, judged, stopped, stopped).network == result.network
