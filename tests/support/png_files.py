"""PNG files made chunk by chunk, as the standard has it, to compare what decoders make of them."""

import itertools
import struct
import zlib
from collections.abc import Sequence

import numpy as np

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(header: bytes, *chunks: bytes, data: bytes = b"") -> bytes:
    """A PNG file of a header, other chunks, and data that are packed into one IDAT."""
    body = chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def rows_of(samples: np.ndarray, depth: int, filters: Sequence[int] = (0,)) -> bytes:
    """The data of samples, H×W×C, of so many bits: each row with the next of the filters, over and over."""
    rows = samples.reshape(len(samples), -1)
    if depth < 8:
        bits = (rows[:, :, None] >> np.arange(depth)[::-1]) & 1
        rows = np.packbits(bits.reshape(len(rows), -1).astype(np.uint8), axis=1)
    packed = rows.astype(">u2" if depth == 16 else np.uint8).view(np.uint8)
    above, data = np.zeros_like(packed[0]), b""
    for row, number in zip(packed, itertools.cycle(filters), strict=False):
        data += bytes([number]) + filtered(row, above, number, max(1, depth * samples.shape[2] // 8))
        above = row
    return data


def filtered(row: np.ndarray, above: np.ndarray, number: int, pixel_bytes: int) -> bytes:
    """A row of bytes, less what the standard's filter predicts of each (https://www.w3.org/TR/png-3/#9Filters)."""
    before = np.zeros(pixel_bytes, np.uint8)
    left, corner = (np.concatenate([before, some])[: len(row)].astype(int) for some in (row, above))
    up = above.astype(int)
    guess = left + up - corner
    by_left, by_up, by_corner = (np.abs(guess - some) for some in (left, up, corner))
    nearest = np.where((by_left <= by_up) & (by_left <= by_corner), left, np.where(by_up <= by_corner, up, corner))
    predicted = [np.zeros_like(left), left, up, (left + up) // 2, nearest][number]
    return bytes((row - predicted).astype(np.uint8))


def interlaced_rows_of(samples: np.ndarray, depth: int, filters: Sequence[int] = (0,)) -> bytes:
    passes = [samples[top::down, left::across] for left, top, across, down in ADAM7]
    return b"".join(rows_of(some, depth, filters) for some in passes if some.size)


def xmp(orientation: int) -> bytes:
    """What Preview writes of an image that it has turned."""
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description rdf:about="" '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"><tiff:Orientation>%d</tiff:Orientation>'
        b"</rdf:Description></rdf:RDF></x:xmpmeta>" % orientation
    )
