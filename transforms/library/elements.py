"""Defines what goes into other people's pipelines and comes out: named tuples with a Beam schema."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from apache_beam import coders


class ImageRecord(NamedTuple):
    r"""Holds one image to score: the user's `id`, and the bytes of the image file; None is rejected.

    >>> ImageRecord("cat-1", b"\x89PNG\r\n").id
    'cat-1'
    """

    id: str
    image: bytes | None


class Prediction(NamedTuple):
    """Holds what the model says of one record.

    `predicted` are the labels at or above their thresholds, in the model's order; `probabilities` are one number for
    each of its L labels, 0…1: Python floats that hold exactly the float32 that the part files would.

    >>> Prediction("cat-1", ["cat"], [0.75, 0.5]).predicted
    ['cat']
    """

    id: str
    predicted: Sequence[str]
    probabilities: Sequence[np.float32]


class RejectedRecord(NamedTuple):
    """Holds a record that could not be scored, and why.

    `stage` is `read`, `decode` or `predict`; `reason` is a word to count by; `detail` is for people.

    >>> RejectedRecord("cat-2", "decode", "not_an_image", "it is no image").reason
    'not_an_image'
    """

    id: str
    stage: str
    reason: str
    detail: str


ScoredRecord = Prediction | RejectedRecord

for element_type in (ImageRecord, Prediction, RejectedRecord):
    coders.registry.register_row(element_type)
