"""Thumbnails of single images, and the gallery as the report gets it."""

import base64
import io
import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from bulklabel.model.errors import RecordError
from bulklabel.model.images.decode import decode_whole
from bulklabel.model.images.demo_collages import BROKEN, collages
from bulklabel.model.report.gallery import gallery, make_thumbnail
from bulklabel.model.statistic.examples import Examples
from tests.conftest import png

RED, BLUE = (255, 0, 0), (0, 0, 255)


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_a_large_image_becomes_a_small_one_of_the_same_shape() -> None:
    thumbnail = make_thumbnail(png(noise(1000, 4000), format="JPEG"))
    assert opened(thumbnail).size == (96, 24)
    assert opened(thumbnail).format == "JPEG"
    assert len(thumbnail) < 6000
    assert opened(make_thumbnail(png(noise(3000, 2)))).size == (1, 96)


def test_a_thumbnail_looks_like_its_image() -> None:
    image = Image.fromarray(noise(12, 16)).resize((96, 72), Image.Resampling.BICUBIC)
    thumbnail = make_thumbnail(png(np.asarray(image)))
    assert opened(thumbnail).format == "JPEG"
    assert np.abs(np.subtract(decode_whole(thumbnail), np.asarray(image), dtype=int)).mean() < 7


def test_a_small_image_is_not_enlarged() -> None:
    (image, _), *_ = collages(1, 0, held_out=False)
    thumbnail = make_thumbnail(image)
    assert opened(thumbnail).size == (32, 32)
    flat = png(np.full((20, 30, 3), RED, np.uint8))
    assert opened(make_thumbnail(flat)).format == "PNG"
    assert np.array_equal(decode_whole(make_thumbnail(flat)), decode_whole(flat))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_image_lies_as_its_exif_says(file_format: str) -> None:
    pixels = np.full((200, 400, 3), RED, np.uint8)
    pixels[:, 200:] = BLUE
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: the left side is the top
    thumbnail = opened(make_thumbnail(png(pixels, format=file_format, exif=exif))).convert("RGB")
    assert thumbnail.size == (48, 96)
    for place, colour in {(24, 10): RED, (24, 85): BLUE}.items():
        assert np.abs(np.subtract(thumbnail.getpixel(place), colour)).max() < 20  # type: ignore[arg-type]


def test_what_is_transparent_is_white() -> None:
    thumbnail = make_thumbnail(png(np.zeros((10, 10, 4), np.uint8)))
    assert decode_whole(thumbnail).min() == 255


@pytest.mark.parametrize("image", [None, *BROKEN])
def test_what_is_no_image_has_no_thumbnail(image: bytes | None) -> None:
    with pytest.raises(RecordError):
        make_thumbnail(image)


def test_the_gallery_names_each_record_once_and_in_one_order() -> None:
    records = pa.table({"id": ["x", "y", "z"], "source": ["s", "s", "t"], "position": [0, 1, 0]})
    truth = np.array([[0, 1], [1, 0], [1, 1]], np.int8)
    probabilities = np.array([[0.9, 0.1], [0.2, 0.55], [0.7, 0.1]], np.float32)
    examples = Examples.from_batch(truth, probabilities, [0.5, 0.5], records, 0, 1)
    jpeg, lossless = make_thumbnail(png(noise(50, 50))), make_thumbnail(png(np.zeros((9, 9, 3), np.uint8)))
    found = [("s", 0, jpeg), ("s", 1, lossless), ("elsewhere", 0, jpeg)]
    drawn = gallery(examples, found)
    assert drawn == gallery(examples, reversed(found)) == json.loads(json.dumps(drawn))
    rows = []
    for row in drawn["examples"]:
        record = drawn["records"][row["record"]]
        rows.append((row["label"], row["kind"], record["id"], record["thumbnail"]))
    assert rows == [
        (0, "false_positive", "x", 0),
        (0, "false_negative", "y", 1),
        (0, "uncertain", "z", None),
        (1, "false_positive", "y", 1),
        (1, "false_negative", "x", 0),
        (1, "uncertain", "y", 1),
    ]
    assert drawn["records"][0] == {
        "id": "x",
        "source": "s",
        "position": 0,
        "thumbnail": 0,
        "answers": [[0, 0.9, 1, 0], [1, 0.1, 0, 1]],
    }
    kinds, contents = zip(*(url.split(";base64,") for url in drawn["thumbnails"]), strict=True)
    assert kinds == ("data:image/jpeg", "data:image/png")
    assert [base64.b64decode(content) for content in contents] == [jpeg, lossless]


def test_without_examples_the_gallery_is_empty() -> None:
    assert gallery(Examples.none(), []) == {"examples": [], "records": [], "thumbnails": []}
