"""Compares an epoch of `train` with one of plain `keras.Model.fit` on the same arrays in memory, in turns.

Both learn the same residual network from the same images in batches of the same size. `train` changes the images and
keeps the mean of the weights besides; `fit` does neither.

    python benchmarks/training_epoch.py
"""

import argparse
import statistics
import time
from collections.abc import Callable

import keras
import numpy as np

from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.training.learner import Feeder, Learner, Samples
from bulklabel.model.training.losses import masked_crossentropy
from bulklabel.model.training.train import Task

LABELS, BATCH = 26, 64


def epoch_of_train(samples: Samples, task: Task) -> Callable[[int], None]:
    """Returns what learns from all samples once, as `train` does."""
    network = task.build()
    kept = keras.models.clone_model(network)
    kept.set_weights(network.get_weights())
    recipe = task.stages()[0].recipe
    learner = Learner(network, kept, recipe, masked_crossentropy)
    feeder = Feeder(samples, BATCH, 0, augmented=True, flip=True)

    def epoch(number: int) -> None:
        losses = [learner.learn(*batch, samples.known, step, 1e-3) for step, batch in enumerate(feeder.epoch(number))]
        assert np.isfinite(losses).all()

    return epoch


def epoch_of_fit(samples: Samples, task: Task) -> Callable[[int], None]:
    """Returns what learns from all samples once, as a plain script does."""
    network = task.build()
    network.compile(keras.optimizers.AdamW(1e-3), "binary_crossentropy")
    truth = samples.truth.astype(np.float32)
    return lambda _: network.fit(samples.images, truth, batch_size=BATCH, verbose=0)


def main() -> None:
    """Prints the seconds of each epoch, and the ratio of the medians."""
    options = argparse.ArgumentParser()
    options.add_argument("--records", type=int, default=2560)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (given.records, 32, 32, 3), np.uint8)
    samples = Samples(images, random.integers(0, 2, (given.records, LABELS), np.int8))
    task = Task(LABELS, Preprocessing(32, 32))
    epochs = {"train": epoch_of_train(samples, task), "keras.Model.fit": epoch_of_fit(samples, task)}
    seconds: dict[str, list[float]] = {name: [] for name in epochs}
    for number in range(given.rounds + 1):
        for name, epoch in epochs.items():
            started = time.perf_counter()
            epoch(number)
            if number:  # the first one compiles
                seconds[name].append(time.perf_counter() - started)
    for name, values in seconds.items():
        print(f"{name}: median {statistics.median(values):.2f} s of {', '.join(f'{value:.2f}' for value in values)}")
    ours, theirs = (statistics.median(seconds[name]) for name in epochs)
    print(f"ratio: {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
