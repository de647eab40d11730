"""Undoes the filters of PNG's rows: by compiled code, or by OpenCV if bulklabel was installed without a compiler."""

import struct
import zlib

import cv2
import numpy as np
import numpy.typing as npt

from bulklabel.model.images.png.header import GRAY, RGB, RGB_ALPHA, SIGNATURE, damaged_png

Lines = npt.NDArray[np.uint8]
"""Rows of an image as bytes, H×N, as they are in the file."""

FORMS = {1: (8, GRAY), 2: (16, GRAY), 3: (8, RGB), 4: (8, RGB_ALPHA), 6: (16, RGB), 8: (16, RGB_ALPHA)}
"""For each number of bytes that a pixel may have, bits a sample and a color type of so many."""


def unfilter_by_opencv(filtered: bytes, above: Lines, target: Lines, pixel_bytes: int) -> None:
    """Does what the compiled `unfilter` does: the rows, and the one above, are made a file without compression.

    Raises:
        ValueError: if OpenCV cannot decode them.
    """
    depth, color = FORMS[pixel_bytes]
    header = struct.pack(">IIBBBBB", len(above) // pixel_bytes, 1 + len(target), depth, color, 0, 0, 0)
    data = zlib.compress(b"\0" + above.tobytes() + filtered, 0)
    file = SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
        for kind, body in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    )
    samples = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None:
        raise ValueError("a row has a filter that PNG does not know")
    if samples.ndim == 3:
        samples[:, :, :3] = samples[:, :, 2::-1].copy()  # OpenCV's order is BGR
    target[:] = samples[1:].astype(">u2" if depth == 16 else np.uint8).reshape(len(target), -1).view(np.uint8)


try:
    from bulklabel.model.images.png.unfilter import unfilter as unfilter
except ImportError:  # it was installed without a compiler
    unfilter = unfilter_by_opencv


def undo_filters(filtered: bytes, above: Lines, target: Lines, pixel_bytes: int) -> None:
    """Fills `target` with the bytes of rows, each of which has the number of its filter before it.

    Args:
        filtered: the rows, each a byte longer than those of `target`.
        above: the row before the first, or zeros.
        target: where the rows go.
        pixel_bytes: 1, 2, 3, 4, 6 or 8.

    Raises:
        RecordError: if there is no such filter.

    >>> rows = np.empty((2, 3), np.uint8)
    >>> undo_filters(bytes([1, 5, 1, 1, 2, 0, 0, 9]), np.zeros(3, np.uint8), rows, 1)  # less the left, less that above
    >>> rows.tolist()
    [[5, 6, 7], [5, 6, 16]]
    """
    try:
        unfilter(filtered, above, target, pixel_bytes)
    except ValueError as error:
        raise damaged_png(str(error)) from error
