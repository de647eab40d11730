"""Tells what kind of image a file holds, its format and its size, and counts the images of each kind."""

import itertools
import json
from collections.abc import Iterable, Mapping

from bulklabel.model.images.resize import Pixels

Kind = tuple[str, int]
"""A format's name, and the power of two that is the lower end of the longer side in pixels: 32 means 32 to 63."""

Kinds = Mapping[Kind, int]
"""Images by kind."""

SIGNATURES = {b"\x89P": "PNG", b"\xff\xd8": "JPEG", b"RI": "WEBP", b"GI": "GIF", b"BM": "BMP"}
"""The first two bytes tell apart what `decode` decodes; TIFF, the only one left, starts in six ways."""


def kind_of(data: bytes, pixels: Pixels) -> Kind:
    """Returns the kind of a decoded image, of its file's bytes and its pixels at its own size, H×W×3.

    >>> import numpy as np
    >>> kind_of(b"BM...", np.zeros((480, 640, 3), np.uint8))
    ('BMP', 512)
    """
    return SIGNATURES.get(data[:2], "TIFF"), 1 << (max(pixels.shape[:2]).bit_length() - 1)


def kinds_to_json(kinds: Iterable[Kind]) -> str:
    """Returns the kinds of some images, in order, as text: each with how many of them follow each other.

    >>> kinds_to_json([("PNG", 32), ("PNG", 32), ("JPEG", 512)])
    '[["PNG",32,2],["JPEG",512,1]]'
    """
    rows = [[name, size, sum(1 for _ in equal)] for (name, size), equal in itertools.groupby(kinds)]
    return json.dumps(rows, separators=(",", ":"))


def kinds_from_json(text: str) -> list[Kind]:
    """Returns the kinds that `kinds_to_json` was given.

    >>> kinds_from_json('[["PNG",32,2]]')
    [('PNG', 32), ('PNG', 32)]
    """
    return [(name, size) for name, size, images in json.loads(text) for _ in range(images)]


def formats_of(kinds: Kinds) -> dict[str, int]:
    """Counts images by format, in alphabetical order.

    >>> formats_of({("PNG", 32): 2, ("PNG", 64): 1, ("JPEG", 64): 5})
    {'JPEG': 5, 'PNG': 3}
    """
    return {name: _count(kinds, name, 0) for name in sorted({name for name, _ in kinds})}


def sizes_of(kinds: Kinds) -> dict[int, int]:
    """Counts images by the lower end of their longer side in pixels, the smallest first.

    >>> sizes_of({("PNG", 32): 2, ("PNG", 64): 1, ("JPEG", 64): 5})
    {32: 2, 64: 6}
    """
    return {size: _count(kinds, size, 1) for size in sorted({size for _, size in kinds})}


def _count(kinds: Kinds, value: str | int, place: int) -> int:
    return sum(images for kind, images in kinds.items() if kind[place] == value)
