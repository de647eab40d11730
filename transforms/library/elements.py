"""What goes into other people's pipelines and comes out: named tuples with a Beam schema."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from apache_beam import coders


class ImageRecord(NamedTuple):
    """One image to score: the user's `id`, and the file's bytes, encoded as they are; None is rejected."""

    id: str
    image: bytes | None


class Prediction(NamedTuple):
    """The answer to one record.

    `predicted` are the labels at or above their thresholds, in the model's order; `probabilities` are one number for
    each of its L labels, 0…1: Python floats that hold exactly the float32 that the part files would.
    """

    id: str
    predicted: Sequence[str]
    probabilities: Sequence[np.float32]


class RejectedRecord(NamedTuple):
    """A record that could not be scored, and why: the stage (`read`, `decode`, `predict`), a word and a sentence."""

    id: str
    stage: str
    reason: str
    detail: str


Answer = Prediction | RejectedRecord

for kind in (ImageRecord, Prediction, RejectedRecord):
    coders.registry.register_row(kind)
