"""Turns the rows of a PNG file, as bytes, into RGB of 8 bits on white."""

import numpy as np
import numpy.typing as npt

from bulklabel.model.images.png.chunks import PngChunks
from bulklabel.model.images.png.filters import Lines
from bulklabel.model.images.png.header import GRAY, PALETTE, RGB, PngHeader
from bulklabel.model.images.resize import Pixels
from bulklabel.model.images.samples import PixelRange, on_white, three_channels, to_bytes

SHARED = {
    depth: (np.arange(256, dtype=np.uint8)[:, None] >> np.arange(8 - depth, -1, -depth, dtype=np.uint8)) % 2**depth
    for depth in (1, 2, 4)
}
"""For each byte that several samples share, these, the first of which is in the highest bits."""


def are_rgb(chunks: PngChunks) -> bool:
    """Tells whether the bytes of a file's rows are RGB of 8 bits already."""
    header = chunks.header
    return header.color_type == RGB and header.bit_depth == 8 and not chunks.transparency


def rgb_of(lines: Lines, width: int, chunks: PngChunks, pixel_range: PixelRange) -> Pixels:
    """Returns rows of so many pixels, given as bytes, as H×W×3."""
    header = chunks.header
    samples = _samples(lines, width, header)
    if header.color_type == PALETTE:
        return chunks.colors.take(samples[:, :, 0], axis=0)
    values = to_bytes(samples, pixel_range)
    if header.has_alpha:
        rgba = np.empty((*samples.shape[:2], 4), np.uint8)
        rgba[:, :, :3] = values[:, :, :-1]
        rgba[:, :, 3] = to_bytes(samples[:, :, -1])
        return on_white(rgba)
    if header.bit_depth < 8:
        values = values * np.uint8(255 // (2**header.bit_depth - 1))
    if chunks.transparency:
        clear = np.frombuffer(chunks.transparency, ">u2") & (2**header.bit_depth - 1)
        values = np.where((samples == clear).all(axis=2, keepdims=True), np.uint8(255), values)
    return three_channels(values[:, :, 0]) if header.color_type == GRAY else values


def _samples(lines: Lines, width: int, header: PngHeader) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Returns the samples of each pixel, H×W×C; those that share a byte are taken apart."""
    if header.bit_depth < 8:
        return SHARED[header.bit_depth].take(lines, axis=0).reshape(len(lines), -1, 1)[:, :width]
    return lines.view(">u2" if header.bit_depth == 16 else np.uint8).reshape(len(lines), width, -1)
