"""Tells what kind of image a file holds, its format and its size, and counts the images of each kind."""

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

from bulklabel.model.versions import NOT_INSTALLED, installed_version


class Kind(NamedTuple):
    """Tells what kind of image a file held.

    Its format's name, the power of two that is the lower end of the longer side in pixels (32 means 32 to 63), and
    whether pixels were missing.
    """

    format: str
    size: int
    truncated: bool = False


Kinds = Mapping[Kind, int]
"""Images by kind."""

IMAGE_PROPERTIES: Mapping[str, Callable[[Kind], str]] = {
    "image_format": lambda kind: kind.format,
    "image_size": lambda kind: f"{kind.size}-{2 * kind.size - 1} px",
}
"""By what every image has, without a column of the input, records can be sliced: the classes in which it is counted."""

HEIF_BRANDS = rb"hei[cxms]|hev[cxms]|mif[12]|msf1"
"""What a HEIF file says that it is, such as HEIC."""

SIGNATURES = {
    "DICOM": rb".{128}DICM|[\2\x08]\0.\0(?:[A-Z]{2}|.{2}\0\0)",
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF....WEBP",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "AVIF": rb"....ftypavi[fs]|....ftypmi[af]f.{4}(?:.{4})*?avi[fs]",
    "JPEG2000": rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
    "HEIF": rb"....ftyp(?:" + HEIF_BRANDS + rb")",
}
"""How the files of each format that may be decoded start; of two that fit, the first is it.

The preamble of a DICOM file may be the header of a TIFF; one that lacks it starts with a field of group 2 or 8.
"""

FORMATS = re.compile(b"|".join(b"(?P<%s>%s)" % (name.encode(), start) for name, start in SIGNATURES.items()), re.DOTALL)

EXTRAS = {"HEIF": ("heif", "pillow-heif"), "DICOM": ("dicom", "pydicom")}
"""The formats that are decoded by an extra of bulklabel, its name, and the package that is looked for."""

OTHER_SIGNATURES = {
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
    "JPEG XR": rb"II\xbc",
    "Photoshop": rb"8BPS",
    "PDF": rb"%PDF-",
    "PostScript": rb"%!PS|\xc5\xd0\xd3\xc6",
    "Netpbm": rb"P[1-7fF]\s",
    "icon": rb"\0\0\x01\0[^\0]\0",
    "OpenEXR": rb"v/1\x01",
    "Radiance": rb"#\?RADIANCE",
    "SVG": rb"\s*(?:<\?xml[^>]*>\s*)?<svg",
    "DirectDraw": rb"DDS ",
    "FITS": rb"SIMPLE  =",
    "NIfTI": rb".{344}n[i+]1\0",
    "camera's raw": rb"FUJIFILMCCD-RAW|IIRO|IIU\0",
}
"""How images start that nothing here decodes, so that the reason names them."""

Encoded: TypeAlias = bytes | memoryview
"""The bytes of an image file; a view of them where there are so many that copying them takes time."""

HEAD_BYTES = 512
"""More than any signature looks at."""


def format_of(data: Encoded) -> str | None:
    """Returns the name of the format that a file's first bytes are of, if it may be decoded; else None.

    >>> format_of(b"BM..."), format_of(b"%PDF-1.7")
    ('BMP', None)
    """
    match = FORMATS.match(data[:HEAD_BYTES])
    return match and match.lastgroup


def has_extra(file_format: str) -> bool:
    """Tells whether the extra is installed here that decodes a format in `EXTRAS`."""
    return installed_version(EXTRAS[file_format][1]) != NOT_INSTALLED


def other_format_of(data: bytes) -> str | None:
    """Returns the name of the format of an image that nothing here decodes; None if it is of no known format.

    >>> other_format_of(b"%PDF-1.7")
    'PDF'
    """
    starts = OTHER_SIGNATURES.items()
    return next((name for name, start in starts if re.match(start, data[:HEAD_BYTES], re.DOTALL)), None)


def kind_of(file_format: str, shape: tuple[int, ...], truncated: bool = False) -> Kind:
    """Returns the kind of an image, of its format and its own height and width.

    >>> kind_of("BMP", (480, 640))
    Kind(format='BMP', size=512, truncated=False)
    """
    return Kind(file_format, 1 << (max(shape[:2]).bit_length() - 1), truncated)


def kinds_to_json(kinds: Iterable[Kind]) -> str:
    """Returns the kinds of some images, in order, as text: each with how many of them follow each other.

    >>> kinds_to_json([Kind("PNG", 32), Kind("PNG", 32), Kind("JPEG", 512, truncated=True)])
    '[["PNG",32,false,2],["JPEG",512,true,1]]'
    """
    rows = [[*kind, sum(1 for _ in equal)] for kind, equal in itertools.groupby(kinds)]
    return json.dumps(rows, separators=(",", ":"))


def kinds_from_json(text: str) -> list[Kind]:
    """Returns the kinds that `kinds_to_json` was given.

    >>> kinds_from_json('[["PNG",32,false,1]]')
    [Kind(format='PNG', size=32, truncated=False)]
    """
    return [Kind(*kind) for *kind, images in json.loads(text) for _ in range(images)]


def formats_of(kinds: Kinds) -> dict[str, int]:
    """Counts images by format, in alphabetical order.

    >>> formats_of({Kind("PNG", 32): 2, Kind("PNG", 64): 1, Kind("JPEG", 64): 5})
    {'JPEG': 5, 'PNG': 3}
    """
    return {name: _count(kinds, name, 0) for name in sorted({kind.format for kind in kinds})}


def sizes_of(kinds: Kinds) -> dict[int, int]:
    """Counts images by the lower end of their longer side in pixels, the smallest first.

    >>> sizes_of({Kind("PNG", 32): 2, Kind("PNG", 64): 1, Kind("JPEG", 64): 5})
    {32: 2, 64: 6}
    """
    return {size: _count(kinds, size, 1) for size in sorted({kind.size for kind in kinds})}


def truncated_of(kinds: Kinds) -> int:
    """Counts the images of which pixels were missing.

    >>> truncated_of({Kind("PNG", 32): 2, Kind("PNG", 32, truncated=True): 1})
    1
    """
    return sum(images for kind, images in kinds.items() if kind.truncated)


def _count(kinds: Kinds, value: str | int, place: int) -> int:
    return sum(images for kind, images in kinds.items() if kind[place] == value)
