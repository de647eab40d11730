"""Says how large an image may be, and whether one that lacks pixels is an answer's business."""

from dataclasses import dataclass

from bulklabel.model.errors import RecordError

MAX_PIXELS = 178_956_970
"""The most pixels that are decoded unless the user gives another number; Pillow's error begins above it too."""

MOST_PIXELS = 2**30
"""The most that a user may allow: OpenCV decodes no more."""

BYTES_A_PIXEL = 26
"""What decoding takes at most, the file aside: a JPEG 2000 with transparency has 32 bits a sample on its way.

A JPEG takes 8."""

REJECT, SCORE = TRUNCATED = ("reject", "score")
"""What becomes of an image that lacks pixels."""


@dataclass(frozen=True)
class Limits:
    """Holds how many pixels an image may have, and what becomes of one that lacks some: `reject` or `score`.

    >>> Limits(max_pixels=100).check_size(20, 10)
    Traceback (most recent call last):
    bulklabel.model.errors.RecordError: ('decode', 'too_large', '20×10 pixels; at most 100 are decoded (--max_pixels)')
    """

    max_pixels: int = MAX_PIXELS
    truncated: str = REJECT

    def check_size(self, width: int, height: int) -> None:
        """Checks the size that a header claims, before anything is allocated for it.

        Raises:
            RecordError: if it is too large, or nothing.
        """
        if width < 1 or height < 1:
            raise RecordError("decode", "damaged_image", f"its header claims {width}×{height} pixels")
        if width * height > self.max_pixels:
            detail = f"{width}×{height} pixels; at most {self.max_pixels:,} are decoded (--max_pixels)"
            raise RecordError("decode", "too_large", detail)

    def check_truncated(self, kind: str, missing: str) -> None:
        """Checks that an image which lacks pixels is to be scored.

        Raises:
            RecordError: if it is to be rejected.
        """
        if self.truncated == REJECT:
            raise truncated_image(kind, missing)


DEFAULT_LIMITS = Limits()


def unsupported_image(what: str) -> RecordError:
    """Returns the error of an image of a variant that nothing here decodes; `what` says which."""
    return RecordError("decode", "unsupported_image", f"{what}, which cannot be decoded")


def truncated_image(kind: str, missing: str) -> RecordError:
    """Returns the error of an image that lacks pixels; `missing` says which."""
    return RecordError("decode", "truncated_image", f"the {kind} file is cut off: {missing}")
