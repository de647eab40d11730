"""Prepares the report's gallery of mistakes: small pictures of the records that are shown as examples."""

import base64
import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from bulklabel.model.images.decode import decode_whole
from bulklabel.model.images.kinds import Encoded
from bulklabel.model.images.limits import DEFAULT_LIMITS, Limits
from bulklabel.model.images.png.header import SIGNATURE
from bulklabel.model.images.samples import PixelRange
from bulklabel.model.statistic.examples import EXAMPLE_KINDS, Examples

THUMBNAIL_SIDE = 96
"""Pixels of a thumbnail's longer side, at most."""

JPEG_QUALITY = 80

Thumbnail = tuple[str, int, bytes]
"""Source and position of a record, and its thumbnail as a file."""


def make_thumbnail(data: Encoded | None, limits: Limits = DEFAULT_LIMITS, pixel_range: PixelRange = None) -> bytes:
    """Returns a small JPEG file of an image file, or PNG where that is smaller; no image is enlarged.

    It is made from the whole image, upright and on white as the network sees it, but in its own aspect ratio.

    Raises:
        RecordError: if the bytes are not an image, as `images.decode` has it.
    """
    image = Image.fromarray(decode_whole(data, limits, pixel_range))
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return min(_encoded(image, "JPEG", quality=JPEG_QUALITY), _encoded(image, "PNG"), key=len)


def gallery(examples: Examples, thumbnails: Iterable[Thumbnail]) -> dict[str, Any]:
    """Returns `examples`, their `records` and `thumbnails` as the report draws them; the latter are `data:` URLs.

    The examples are in the order of label, kind and how good an example they are, and name their record by its index.
    A record is there once, however many labels it is an example for, and names its thumbnail by its index, or None if
    there is none. Its `answers` are [label, probability, whether it is predicted, truth], the most probable first.
    """
    pictures = {(source, position): content for source, position, content in thumbnails}
    records: dict[tuple[str, int], dict[str, Any]] = {}
    indices: dict[tuple[str, int], int] = {}
    numbers: dict[tuple[str, int], int] = {}
    shown = []
    for row in examples.table.select(["label", "kind", "id", "source", "position", "answers"]).to_pylist():
        place = (row["source"], row["position"])
        if place not in records:
            if place in pictures:
                indices[place] = len(indices)
            numbers[place] = len(records)
            about = {name: row[name] for name in ("id", "source", "position")}
            records[place] = about | {
                "thumbnail": indices.get(place),
                "answers": [_answer(answer) for answer in row["answers"]],
            }
        shown.append({"kind": EXAMPLE_KINDS[row["kind"]], "label": row["label"], "record": numbers[place]})
    return {
        "examples": shown,
        "records": list(records.values()),
        "thumbnails": [data_url(pictures[place]) for place in indices],
    }


def _answer(answer: Mapping[str, Any]) -> list[Any]:
    """Returns [label, probability, 1 if it is predicted, truth], the probability with as few digits as tell it."""
    probability = float(str(np.float32(answer["probability"])))  # 0.9 rather than 0.8999999761581421
    return [answer["label"], probability, int(answer["predicted"]), answer["truth"]]


def _encoded(image: Image.Image, file_format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def data_url(content: bytes) -> str:
    """Returns a thumbnail as the address of a picture that is in the page itself."""
    kind = "png" if content.startswith(SIGNATURE) else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
