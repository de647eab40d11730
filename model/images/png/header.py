"""Knows what the header of a PNG file says: its size, its samples, and how its rows are packed (https://www.w3.org/TR/png-3/)."""

from dataclasses import dataclass

from bulklabel.model.errors import RecordError

SIGNATURE = b"\x89PNG\r\n\x1a\n"

GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6

DEPTHS = {GRAY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GRAY_ALPHA: (8, 16), RGB_ALPHA: (8, 16)}
"""Bits a sample that each color type may have."""

CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGB_ALPHA: 4}

ALL = [(slice(None), slice(None))]

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Where the passes of an interlaced image start, and their steps: x, y, x, y."""


@dataclass(frozen=True)
class PngHeader:
    """Holds what IHDR says: size in pixels, bits a sample, and how samples make a pixel.

    >>> PngHeader(10, 2, 4, GRAY, 0, 0, 0).raw_bytes  # a filter's number, and ten pixels in five bytes, twice
    12
    """

    width: int
    height: int
    bit_depth: int
    color_type: int
    compression: int
    filtering: int
    interlaced: int

    def check(self) -> None:
        """Checks that the standard knows such an image.

        Raises:
            RecordError: if it does not.
        """
        known = self.bit_depth in DEPTHS.get(self.color_type, ())
        if not known or self.compression or self.filtering or self.interlaced > 1:
            raise damaged_png("its header claims what no PNG file is")

    @property
    def channels(self) -> int:
        """Returns how many samples a pixel has."""
        return CHANNELS[self.color_type]

    @property
    def has_alpha(self) -> bool:
        """Tells whether the last sample of a pixel is how opaque it is."""
        return self.color_type in (GRAY_ALPHA, RGB_ALPHA)

    @property
    def pixel_bytes(self) -> int:
        """Returns the bytes of a pixel; 1 if several are in a byte."""
        return max(1, self.bit_depth * self.channels // 8)

    def row_bytes(self, width: int) -> int:
        """Returns the bytes of a row of so many pixels, without the number of its filter."""
        return (width * self.bit_depth * self.channels + 7) // 8

    @property
    def passes(self) -> list[tuple[slice, slice]]:
        """Returns the rows and columns of each pass that has any: all of them, unless the image is interlaced."""
        if not self.interlaced:
            return ALL
        return [
            (slice(top, None, down), slice(left, None, across))
            for left, top, across, down in ADAM7
            if left < self.width and top < self.height
        ]

    @property
    def raw_bytes(self) -> int:
        """Returns the length of the unpacked data: of each row, and a byte before it that names its filter."""
        sizes = ((len(range(self.height)[rows]), len(range(self.width)[columns])) for rows, columns in self.passes)
        return sum(height * (1 + self.row_bytes(width)) for height, width in sizes)


def damaged_png(detail: str) -> RecordError:
    """Returns the error of a PNG file whose pixels cannot be relied on; `detail` says why."""
    return RecordError("decode", "damaged_image", f"the PNG file is damaged: {detail}")
