"""Makes a small real corpus: coloured collages of handwritten digits.

The scans, `digits.npz`, are the test set of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak
(UCI Machine Learning Repository, 1998, CC BY 4.0), the very ones that scikit-learn has as `load_digits`: 1,797 images
of 8×8 pixels from 0 to 16, with the digit that each shows.
"""

import io
from collections.abc import Iterator
from importlib.resources import files

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE, CELL = 32, 16
DIGITS = tuple(str(digit) for digit in range(10))

BROKEN = (b"", b"not an image", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")


def collages(count: int, seed: int, held_out: bool) -> Iterator[tuple[bytes, list[str]]]:
    """Yields PNG files of 32×32 RGB with up to four digits, and which digits they show, sorted.

    The two sides share no scan: every fifth is kept for those held out.

    >>> [digits for image, digits in collages(2, seed=0, held_out=False)]
    [['9'], ['2', '4', '5', '9']]
    """
    with files("bulklabel.model.images").joinpath("digits.npz").open("rb") as file, np.load(file) as digits:
        images, labels = digits["images"], digits["labels"]
    scans = np.flatnonzero((np.arange(len(images)) % 5 == 0) == held_out)
    random = np.random.default_rng([seed, held_out])
    for _ in range(count):
        image = np.tile(random.integers(0, 90, 3).astype(float), (SIDE, SIDE, 1))
        chosen = random.choice(scans, random.integers(0, 5))
        for cell, scan in zip(random.permutation(4), chosen, strict=False):
            _draw(image, images[scan], int(cell), random)
        yield _png(image), sorted({DIGITS[labels[scan]] for scan in chosen})


def _draw(image: npt.NDArray[np.float64], scan: npt.NDArray[np.uint8], cell: int, random: np.random.Generator) -> None:
    """Blends an 8×8 scan of 0…16, doubled in size, into one quarter of the image, in a bright colour."""
    row, column = CELL * (cell // 2), CELL * (cell % 2)
    quarter = image[row : row + CELL, column : column + CELL]
    ink = np.kron(scan / 16, np.ones((2, 2)))[:, :, None]
    quarter[:] = quarter * (1 - ink) + random.integers(120, 256, 3) * ink


def _png(image: npt.NDArray[np.float64]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
