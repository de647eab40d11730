"""Keeps what a model answered to golden images where it was made, so that every machine can check its own answers."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bulklabel.model.errors import RecordError, UserError
from bulklabel.model.images.decode import decode
from bulklabel.model.images.resize import Pixels, Preprocessing
from bulklabel.model.model_directory import GOLDEN_FILE, MAKE_AGAIN, Model
from bulklabel.model.versions import deciding_versions, processor

if TYPE_CHECKING:
    from bulklabel.model.network.precision import Probabilities
    from bulklabel.model.network.scorer import Scorer

TOLERANCE = 1e-4
"""Float32 networks differ by some 1e-6 from one processor to another; a changed network or range by far more."""

NO_PIXELS = "-"
"""Instead of a digest, of an image that could not be decoded."""


def add_golden(model: Model, place: str, trusted: bool = False) -> Model:
    """Returns the model with the golden images and its own answers to them: the last step of making one.

    Args:
        model: any.
        place: where its network came from or goes to, for messages.
        trusted: whether code in its network may run.

    Raises:
        UserError: if the network cannot be loaded, or its answers are not probabilities.
    """
    from bulklabel.model.network.scorer import Scorer  # imports TensorFlow, which takes seconds

    images = golden_images(model.preprocessing)
    scorer = Scorer(model, place, trusted)
    digests, probabilities = run_golden(list(images.values()), scorer, model.preprocessing)
    inside = (probabilities >= -TOLERANCE) & (probabilities <= 1 + TOLERANCE)
    if not inside.all():
        raise UserError(
            f"{place} answers {probabilities[~inside][0]:.4g} to a golden image, which is no probability; "
            "if it ends without a sigmoid, package it with --outputs logits."
        )
    table = pa.table(
        {
            "name": list(images),
            "image": list(images.values()),
            "pixels_sha256": digests,
            "probabilities": pa.array(probabilities.tolist(), pa.list_(pa.float32())),
        },
        metadata={"versions": json.dumps(deciding_versions()), "processor": processor()},
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return replace(model, golden=buffer.getvalue())


def check_golden(model: Model, scorer: "Scorer", place: str) -> None:
    """Runs the golden images again and compares; a model without any passes.

    Pixels must be equal bit for bit, probabilities within `TOLERANCE`.

    Args:
        model: with what was stored.
        scorer: of this model, on this machine.
        place: the model directory, for messages.

    Raises:
        UserError: if they are not.
    """
    if model.golden is None:
        return
    path = f"{place}/{GOLDEN_FILE}"
    try:
        table = pq.read_table(io.BytesIO(model.golden))
        names, images, digests, stored = (
            table.column(name).to_pylist() for name in ("name", "image", "pixels_sha256", "probabilities")
        )
        expected = np.array(stored, np.float64).reshape(len(names), len(model.labels))
        if not names:
            raise ValueError("there are none")
        changes = _changes(table.schema.metadata)
    except (pa.ArrowInvalid, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} does not hold golden images ({error}); {MAKE_AGAIN}.") from error
    digests_now, probabilities = run_golden(images, scorer, model.preprocessing)
    for name, then, now in zip(names, digests, digests_now, strict=True):
        if then != now:
            raise UserError(
                f"{path}: the image {name!r} is decoded to other pixels than where the model was made; the decoder "
                f"differs ({changes}). Install what it was made with, or {MAKE_AGAIN}."
            )
    apart = np.nan_to_num(np.abs(probabilities - expected), nan=np.inf)
    if (apart > TOLERANCE).any():
        row, column = np.unravel_index(np.argmax(apart), apart.shape)
        raise UserError(
            f"{path}: the image {names[row]!r} gets {probabilities[row, column]:.6f} for {model.labels[column]!r}, and "
            f"got {expected[row, column]:.6f} where the model was made (at most {TOLERANCE} apart is allowed); "
            f"TensorFlow or the processor differs ({changes}). Install what it was made with, or {MAKE_AGAIN}."
        )


def run_golden(
    images: Sequence[bytes], scorer: "Scorer", preprocessing: Preprocessing
) -> tuple[list[str], "Probabilities"]:
    """Takes encoded images the whole way, decoded and resized by the one function and scored in batches.

    Returns:
        Digests of their pixels and their N×L probabilities.
    """
    pixels = np.zeros((len(images), preprocessing.height, preprocessing.width, 3), np.uint8)
    digests = []
    for row, image in enumerate(images):
        try:
            pixels[row] = decode(image, preprocessing)
            digests.append(hashlib.sha256(pixels[row].tobytes()).hexdigest())
        except RecordError:
            digests.append(NO_PIXELS)
    return digests, scorer.predict(pixels)


def golden_images(preprocessing: Preprocessing) -> dict[str, bytes]:
    """Returns encoded images whose decoders differ: lossless, subsampled, gray, transparent, wide.

    They are small, but for one that is there where large files are decoded smaller than they are.
    """
    height, width = 4 * preprocessing.height + 3, 4 * preprocessing.width + 5
    large = _encode(_pattern(height, width, 3), "JPEG", quality=50, subsampling="4:2:0")
    return ({"jpeg_large": large} if preprocessing.decode == "scaled" else {}) | {
        "png": _encode(_pattern(64, 64, 3), "PNG"),
        "png_alpha": _encode(_pattern(48, 64, 4), "PNG"),
        "jpeg": _encode(_pattern(63, 65, 3), "JPEG", quality=85, subsampling="4:2:0"),
        "jpeg_gray": _encode(_pattern(64, 64, 1)[:, :, 0], "JPEG", quality=85),
        "jpeg_wide": _encode(_pattern(200, 320, 3), "JPEG", quality=75, subsampling="4:2:0", progressive=True),
    }


def _pattern(height: int, width: int, channels: int) -> Pixels:
    """Draws waves of another length and direction in each channel, and a little noise: all that filters react to."""
    y, x = (axis[:, :, None] for axis in np.indices((height, width)))
    channel = np.arange(channels)
    waves = np.sin(x / (3 + 2 * channel) + y / (9 - channel)) * 100 + 128
    noise = np.random.default_rng(0).integers(-20, 21, waves.shape)
    pixels: npt.NDArray[np.uint8] = np.clip(waves + noise, 0, 255).astype(np.uint8)
    return pixels


def _encode(pixels: Pixels, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _changes(metadata: Mapping[bytes, bytes]) -> str:
    """Says in words how this machine differs from the one that a golden file's metadata describes."""
    then = json.loads(metadata[b"versions"]) | {"processor": metadata[b"processor"].decode()}
    now = deciding_versions() | {"processor": processor()}
    words = [f"{name} was {then.get(name)}, is {now[name]}" for name in now if then.get(name) != now[name]]
    return "; ".join(words) or "though versions and processor are the same"
