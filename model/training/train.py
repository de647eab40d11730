"""Trains a network on what is known of labelled images, calibrates it, and tunes its thresholds."""

from dataclasses import dataclass, field

import keras

from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.metrics.threshold_goals import ENOUGH, tune_thresholds
from bulklabel.model.network.keras_archive import network_bytes
from bulklabel.model.training import CROSSENTROPY, RESIDUAL, TEXTBOOK
from bulklabel.model.training.calibrate import Reliability, fit_calibration
from bulklabel.model.training.fit import Checkpoint, Epoch, Fit, Watcher
from bulklabel.model.training.learner import Answering, Samples
from bulklabel.model.training.losses import LOSS_OF, evaluate
from bulklabel.model.training.rebuild import with_calibration, with_new_head
from bulklabel.model.training.recipe import AS_IN_THE_TEXTBOOK, FROM_NOTHING, Stage, further_stages
from bulklabel.model.training.residual import build_residual, folded
from bulklabel.model.training.textbook import build_textbook


@dataclass(frozen=True)
class Task:
    """Says what is learnt, and how long.

    `labels` is L; `network` one of `NETWORKS`, or None if `pretrained`, a network that has learnt something else, and
    `origin`, where that came from, say where it starts. `epochs` passes over the samples are made, at most, or as many
    as `minutes` allow. Equal seeds and samples give equal networks, byte for byte, on one kind of machine. `loss` is a
    name in `LOSSES`; with `flip` half of the images are mirrored; with `channels` of 1, all are made gray.
    """

    labels: int
    preprocessing: Preprocessing
    network: str | None = RESIDUAL
    epochs: int | None = None
    minutes: float | None = None
    batch_size: int = 64
    seed: int = 0
    loss: str = CROSSENTROPY
    flip: bool = False
    channels: int = 3
    pretrained: keras.Model | None = None
    origin: str = ""

    def build(self) -> keras.Model:
        """Returns the network as it is before it learns."""
        keras.utils.clear_session()  # or Keras counts on in the names of what it saves
        size = (self.preprocessing.height, self.preprocessing.width)
        if self.pretrained is not None:
            return with_new_head(self.pretrained, self.origin, self.preprocessing, self.labels, self.seed)
        build = build_textbook if self.network == TEXTBOOK else build_residual
        return build(*size, self.labels, self.seed, self.channels)

    def answering(self, fitted: keras.Model) -> keras.Model:
        """Returns a network with a fitted one's answers that costs no more than answering needs."""
        return folded(fitted) if self.pretrained is None and self.network == RESIDUAL else fitted

    def stages(self) -> list[Stage]:
        """Returns the recipes by which it learns, one after the other."""
        if self.pretrained is not None:
            return further_stages(self.epochs)
        return [Stage(AS_IN_THE_TEXTBOOK if self.network == TEXTBOOK else FROM_NOTHING, self.epochs)]


@dataclass(frozen=True, eq=False)
class Trained:
    """Holds the bytes of `model.keras`, tuned thresholds, metrics by name, and how it all came about.

    `best` is the epoch (1, 2, …) whose weights were kept, `reliability` that of the validation samples' answers before
    and after calibration. Without such samples there are no thresholds (None), nor metrics, nor reliability.
    """

    network: bytes = field(repr=False)
    thresholds: tuple[float, ...] | None
    evaluation: dict[str, float]
    history: list[Epoch]
    best: int
    reliability: tuple[Reliability, Reliability] | None = None


def train_network(
    task: Task, training: Samples, validation: Samples | None, watcher: Watcher, checkpoint: Checkpoint
) -> Trained:
    """Fits the network, keeps the weights of the best epoch, calibrates them, and tunes thresholds.

    Truth that is unknown counts in none of loss, gradients, metrics, calibration and thresholds.

    Args:
        task: what is learnt.
        training: the samples to learn from.
        validation: those to judge by, or None.
        watcher: is told of each step and epoch.
        checkpoint: where the state is kept after each epoch, and found when a stopped training is started again.

    Raises:
        UserError: if the network cannot be built for the task, or learns nothing.
    """
    network = task.build()
    stages = task.stages()
    kept = network
    if stages[0].recipe.averaging:
        kept = keras.models.clone_model(network)
        kept.set_weights(network.get_weights())
    fit = Fit(
        network,
        kept,
        stages,
        LOSS_OF[task.loss],
        training,
        validation,
        task.batch_size,
        task.seed,
        task.flip,
    )
    fit.run(watcher, checkpoint, task.minutes)
    fitted = task.answering(kept)
    history, best = fit.progress.history, fit.progress.best
    if validation is None:
        return Trained(network_bytes(fitted), None, {}, history, best)
    raw = Answering(fitted)(validation.images)
    calibrated_network = with_calibration(fitted, fit_calibration(validation.truth, raw))
    calibrated = Answering(calibrated_network)(validation.images)
    return Trained(
        network_bytes(calibrated_network),
        tune_thresholds(validation.truth, calibrated, ENOUGH),
        evaluate(validation.truth, calibrated),
        history,
        best,
        (Reliability.of(validation.truth, raw), Reliability.of(validation.truth, calibrated)),
    )
