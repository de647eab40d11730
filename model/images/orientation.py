"""Reads how an image is turned, from EXIF and XMP, and turns its pixels upright."""

import re

import cv2
from PIL import Image

from bulklabel.model.images.resize import Pixels

UPRIGHT = 1

LYING = 5
"""From this orientation on, rows are the upright image's columns."""

FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
"""How OpenCV flips an image, once it stands: columns (1), rows (0) or both (-1)."""

TAG = 0x0112
"""EXIF's tag for the orientation, a number from 1 to 8."""

XMP_ORIENTATION = re.compile(rb"""tiff:Orientation(?:\s*=\s*["']|>)\s*([1-8])""")
"""Finds it in XMP, where it is an attribute or an element."""


def orientation_of_exif(exif: bytes) -> int | None:
    """Returns the orientation that EXIF gives, 1 to 8; None if it gives none, or cannot be understood.

    >>> exif = Image.Exif()
    >>> exif[TAG] = 6
    >>> orientation_of_exif(exif.tobytes()), orientation_of_exif(b"broken")
    (6, None)
    """
    tags = Image.Exif()
    try:
        tags.load(exif)
        return orientation_in(tags)
    except Exception:  # Pillow reads EXIF as a TIFF file, and raises as many types
        return None


def orientation_in(tags: Image.Exif) -> int | None:
    """Returns the orientation among EXIF's tags, 1 to 8; None if there is none, or another value."""
    value = tags.get(TAG)
    return value if isinstance(value, int) and 1 <= value <= 8 else None


def orientation_of_xmp(xmp: bytes) -> int | None:
    """Returns the orientation that XMP gives, 1 to 8; None if it gives none.

    >>> orientation_of_xmp(b'<rdf:Description tiff:Orientation="6"/>')
    6
    """
    match = XMP_ORIENTATION.search(xmp)
    return int(match[1]) if match else None


def turned_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Returns the H×W×3 pixels of an image upright, of which EXIF says that it is turned.

    >>> import numpy as np
    >>> turned_upright(np.arange(6, dtype=np.uint8).reshape(1, 2, 3), 6)[:, 0, 0].tolist()
    [0, 3]
    """
    if orientation == UPRIGHT:
        return pixels
    turned = cv2.transpose(pixels) if orientation >= LYING else pixels
    turned = cv2.flip(turned, FLIPS[orientation]) if orientation in FLIPS else turned
    return turned.reshape(*turned.shape[:2], pixels.shape[2])  # type: ignore[return-value]
