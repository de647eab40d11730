"""Names what a network may compute in besides float32, and compares its answers with those of float32."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bulklabel.model.errors import UserError
from bulklabel.model.labels.thresholds import predict_labels
from bulklabel.model.versions import ONNX, processor, processor_flags

FLOAT32, BFLOAT16, TENSORFLOAT32 = "float32", "bfloat16", "tensorfloat32"

ABLE = {"amx_bf16", "avx512_bf16", "bf16"}
"""The flags of processors that compute in bfloat16, on Intel's and AMD's and on ARM's, as Linux lists them."""

MOST_APART = 0.05
"""The largest difference of a probability that is accepted: bfloat16 has 8 bits where float32 has 24."""

MOST_CHANGED = 0.005
"""The largest share of decisions that may change, a decision being whether one label of one image is predicted."""

Probabilities = npt.NDArray[np.float32]
"""N×L, 0…1: how probable the network finds each label of each record."""


@dataclass(frozen=True)
class Parity:
    """Says how far the answers of two precisions are apart, over N images and L labels.

    `largest_difference` and `mean_difference` are of probabilities, 0…1; `changed_decisions` is the share of the N×L
    decisions that are others, 0…1.
    """

    images: int
    largest_difference: float
    mean_difference: float
    changed_decisions: float

    @property
    def content(self) -> dict[str, Any]:
        """Returns it as the manifest has it."""
        return asdict(self)

    @property
    def is_accepted(self) -> bool:
        """Tells whether the answers are near enough."""
        return self.largest_difference <= MOST_APART and self.changed_decisions <= MOST_CHANGED

    @property
    def words(self) -> str:
        """Returns it as half a sentence."""
        return (
            f"in {self.images:,} images its answers are at most {self.largest_difference:.4f} from those of float32, "
            f"{self.mean_difference:.5f} on average, and {self.changed_decisions:.3%} of the decisions change"
        )


def check_precision(engine: str, precision: str) -> None:
    """Refuses to have an ONNX network compute in anything but what it says itself.

    Raises:
        UserError: if it is asked for.
    """
    if engine == ONNX and precision != FLOAT32:
        raise UserError(
            f"--precision {precision} is for Keras networks; leave it out, or quantize the ONNX network and package it."
        )


def check_processor() -> None:
    """Refuses bfloat16 where the processor would have to imitate it, slower than it computes in float32.

    Raises:
        UserError: if it would.
    """
    if not ABLE & set(processor_flags()):
        raise UserError(
            f"--precision bfloat16: this processor ({processor()}) does not compute in it; leave the flag out, or use "
            "one with AVX-512 BF16 or AMX."
        )


def compare_precisions(exact: Probabilities, fast: Probabilities, thresholds: Sequence[float]) -> Parity:
    """Returns how far two precisions' N×L probabilities of the same images are apart; N and L are at least 1.

    >>> compare_precisions(np.array([[0.5, 0.25]]), np.array([[0.375, 0.25]]), [0.5, 0.5])
    Parity(images=1, largest_difference=0.125, mean_difference=0.0625, changed_decisions=0.5)
    """
    apart = np.nan_to_num(np.abs(exact.astype(np.float64) - fast), nan=1.0)
    changed = predict_labels(exact, thresholds) != predict_labels(fast, thresholds)
    return Parity(len(exact), float(apart.max()), float(apart.mean()), float(changed.mean()))
