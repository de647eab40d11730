"""Fits a network epoch by epoch, in stages, keeping the weights of the best epoch, and goes on where it was stopped."""

import dataclasses
import io
import json
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import keras
import numpy as np

from bulklabel.model.errors import UserError
from bulklabel.model.training.learner import Answering, Feeder, Learner, Samples, Weights
from bulklabel.model.training.losses import Loss, evaluate
from bulklabel.model.training.recipe import Stage


@dataclass(frozen=True)
class Epoch:
    """Says what an epoch (1, 2, …) of so many, as far as is known, came to; `validation` is empty without samples."""

    number: int
    epochs: int | None
    loss: float
    validation: dict[str, float]
    seconds: float


class Watcher(Protocol):
    """Is told how far training has come."""

    def resumed(self, epochs: int) -> None:
        """Takes note that so many epochs were done before."""

    def step(self, done: int, steps: int) -> None:
        """Takes note that so many steps of an epoch's are done."""

    def epoch(self, epoch: Epoch) -> None:
        """Takes note of what an epoch came to."""


class Checkpoint(Protocol):
    """Keeps the state of a training after each epoch."""

    def load(self) -> bytes | None:
        """Returns the state that was kept, or None if there is none."""

    def save(self, state: bytes) -> None:
        """Replaces the state that was kept."""


@dataclass
class Progress:
    """Holds the epochs done so far, the number of each stage's, the best one (1, 2, …), and its weights."""

    planned: list[int | None]
    history: list[Epoch] = field(default_factory=list)
    best: int = 0
    weights: Weights = field(default_factory=list)

    def stage_of(self, epoch: int) -> tuple[int, int]:
        """Returns the stage of an epoch (0, 1, …), and the epoch's number within it; behind the last one, its end."""
        for stage, epochs in enumerate(self.planned):
            if epochs is None or epoch < epochs:
                return stage, epoch
            epoch -= epochs
        return len(self.planned), 0

    def improved(self, last: Epoch) -> bool:
        """Tells whether an epoch is the best so far: of the lowest validation loss, or just the last one."""
        if not last.validation or not self.best:
            return True
        return last.validation["loss"] < self.history[self.best - 1].validation["loss"]


class Fit:
    """Holds a network that is fitted, and the mean of its weights, which is what is kept."""

    def __init__(
        self,
        network: keras.Model,
        kept: keras.Model,
        stages: Sequence[Stage],
        loss: Loss,
        training: Samples,
        validation: Samples | None,
        batch_size: int,
        seed: int,
        flip: bool,
    ) -> None:
        self._network, self._kept, self._stages, self._loss = network, kept, stages, loss
        self._training, self._validation = training, validation
        self._steps = training.steps(batch_size)
        augmented = stages[0].recipe.augmented
        self._feeder = Feeder(training, batch_size, seed, augmented, flip)
        self._answers = Answering(kept)
        self.progress = Progress([stage.epochs for stage in stages])
        self._learner = self._learner_of(0)

    def run(self, watcher: Watcher, checkpoint: Checkpoint, minutes: float | None) -> None:
        """Fits until the last epoch, or until there is no improvement any more; the best weights are those kept then.

        Raises:
            UserError: if the loss becomes infinite, or no number.
        """
        stored = checkpoint.load()
        if stored is not None:
            self._restore(stored)
            watcher.resumed(len(self.progress.history))
        started = time.monotonic() - sum(epoch.seconds for epoch in self.progress.history)
        progress, at = self.progress, len(self.progress.history)
        while not self._ended():
            stage, within = progress.stage_of(at)
            if within == 0 and at:
                self._learner = self._learner_of(stage)
            last, pace = self._epoch(at, stage, within, watcher)
            if progress.planned[stage] is None and minutes is not None:
                left = minutes * 60 * self._stages[stage].until - (time.monotonic() - started)
                progress.planned[stage] = 1 + max(0, int(left / pace))
            epochs = None if None in progress.planned else sum(filter(None, progress.planned))
            last = dataclasses.replace(last, epochs=epochs)
            if progress.improved(last):
                progress.best, progress.weights = at + 1, [variable.numpy() for variable in self._kept.variables]
            progress.history.append(last)
            checkpoint.save(self._state())
            watcher.epoch(last)
            at += 1
        _assign(self._kept.variables, progress.weights)

    def _learner_of(self, stage: int) -> Learner:
        return Learner(self._network, self._kept, self._stages[stage].recipe, self._loss)

    def _ended(self) -> bool:
        at = len(self.progress.history)
        stage, _ = self.progress.stage_of(at)
        if stage == len(self._stages):
            return True
        patience = self._stages[stage].recipe.patience
        return patience is not None and at - self.progress.best >= patience

    def _epoch(self, at: int, stage: int, within: int, watcher: Watcher) -> tuple[Epoch, float]:
        """Learns from all samples once; returns what came of it, and the seconds without those of the first step."""
        started = steady = time.monotonic()
        losses = []
        recipe, epochs = self._stages[stage].recipe, self.progress.planned[stage] or 1
        for index, (images, truth) in enumerate(self._feeder.epoch(at)):
            step = within * self._steps + index
            rate = recipe.rate_at(step, self._steps, epochs)
            losses.append(self._learner.learn(images, truth, self._training.known, step, rate) * len(truth))
            if index == 0:
                steady = time.monotonic()
            watcher.step(index + 1, self._steps)
        loss = float(np.sum(losses, dtype=np.float64) / len(self._training))
        if not np.isfinite(loss):
            raise UserError(
                f"the loss of epoch {at + 1} is {loss}, so training cannot continue; give a larger --batch_size, or "
                "look for images and labels that are not what they seem."
            )
        validation = {}
        if self._validation is not None:
            validation = evaluate(self._validation.truth, self._answers(self._validation.images))
        ended = time.monotonic()
        return Epoch(at + 1, None, loss, validation, ended - started), ended - steady

    def _state(self) -> bytes:
        progress = self.progress
        content = {"planned": progress.planned, "best": progress.best}
        content["history"] = [dataclasses.asdict(epoch) for epoch in progress.history]
        stored: dict[str, Any] = {"progress": np.frombuffer(json.dumps(content).encode(), np.uint8)}
        stored |= {f"now_{index}": variable.numpy() for index, variable in enumerate(self._learner.variables)}
        stored |= {f"best_{index}": value for index, value in enumerate(progress.weights)}
        buffer = io.BytesIO()
        np.savez(buffer, **stored)
        return buffer.getvalue()

    def _restore(self, state: bytes) -> None:
        try:
            stored = np.load(io.BytesIO(state))
        except (ValueError, OSError, zipfile.BadZipFile) as error:
            raise UserError(
                f"the state of this training is damaged ({error}); delete *.checkpoint in --output."
            ) from error
        with stored:
            content: dict[str, Any] = json.loads(stored["progress"].tobytes())
            history = [Epoch(**epoch) for epoch in content["history"]]
            self.progress = Progress(content["planned"], history, content["best"])
            stage, _ = self.progress.stage_of(len(history) - 1)
            if stage:
                self._learner = self._learner_of(stage)
            _assign(self._learner.variables, [stored[f"now_{at}"] for at in range(len(self._learner.variables))])
            self.progress.weights = [stored[f"best_{at}"] for at in range(len(self._kept.variables))]


def _assign(variables: Sequence[keras.Variable], values: Weights) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
