"""Keeps what a model answered to golden images where it was made, so that every machine can check its own answers."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bulklabel.model.errors import RecordError, UserError
from bulklabel.model.images.decode import decode
from bulklabel.model.images.resize import Pixels, Preprocessing
from bulklabel.model.model_directory import GOLDEN_FILE, MAKE_AGAIN, Model
from bulklabel.model.network import TOLERANCE
from bulklabel.model.network.precision import Probabilities
from bulklabel.model.network.scorer import Scorer
from bulklabel.model.versions import decoder_versions, engine_versions

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
    images = golden_images(model.preprocessing)
    scorer = Scorer(model, place, trusted)
    digests, pixels = decoded(list(images.values()), model.preprocessing)
    probabilities = scorer.predict(pixels)
    _check_neighbours(pixels, scorer, probabilities, place)
    inside = (probabilities >= -TOLERANCE) & (probabilities <= 1 + TOLERANCE)
    if not inside.all():
        raise UserError(
            f"{place} answers {probabilities[~inside][0]:.4g} to a golden image, which is not a probability; "
            "if it ends without a sigmoid, package it with --outputs logits."
        )
    table = pa.table(
        {
            "name": list(images),
            "image": list(images.values()),
            "pixels_sha256": digests,
            "probabilities": pa.array(probabilities.tolist(), pa.list_(pa.float32())),
        },
        metadata={"made": json.dumps(asdict(_Machine.this(model.engine, scorer)))},
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return replace(model, golden=buffer.getvalue())


def check_golden(model: Model, scorer: Scorer, place: str, tolerance: float = TOLERANCE) -> None:
    """Runs the golden images again and compares; a model without any passes.

    Pixels must be equal bit for bit, probabilities within the tolerance.

    Args:
        model: with what was stored.
        scorer: of this model, on this machine.
        place: the model directory, for messages.
        tolerance: how far apart probabilities may be, 0…1.

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
        made = _Machine(**json.loads(table.schema.metadata[b"made"]))
    except (pa.ArrowInvalid, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} does not hold golden images ({error}); {MAKE_AGAIN}.") from error
    machine = _Machine.this(model.engine, scorer)
    digests_now, pixels = decoded(images, model.preprocessing)
    probabilities = scorer.predict(pixels)
    for name, then, now in zip(names, digests, digests_now, strict=True):
        if then != now:
            raise UserError(
                f"{path}: the image {name!r} is decoded to other pixels than where the model was made; the decoder "
                f"differs ({machine.decoder_changes(made)}). Install what it was made with, or {MAKE_AGAIN}."
            )
    apart = np.nan_to_num(np.abs(probabilities - expected), nan=np.inf)
    if (apart > tolerance).any():
        row, column = np.unravel_index(np.argmax(apart), apart.shape)
        raise UserError(
            f"{path}: the image {names[row]!r} gets {probabilities[row, column]:.6f} for {model.labels[column]!r}, and "
            f"got {expected[row, column]:.6f} where the model was made (at most {tolerance:g} apart is allowed); "
            f"{machine.engine_changes(made)}, or {MAKE_AGAIN}."
        )


def decoded(images: Sequence[bytes], preprocessing: Preprocessing) -> tuple[list[str], Pixels]:
    """Returns digests of the pixels of encoded images, decoded and resized as all are, and the pixels, N×H×W×3.

    What cannot be decoded is black.
    """
    pixels = np.zeros((len(images), preprocessing.height, preprocessing.width, 3), np.uint8)
    digests = []
    for row, image in enumerate(images):
        try:
            pixels[row] = decode(image, preprocessing)
            digests.append(hashlib.sha256(pixels[row].tobytes()).hexdigest())
        except RecordError:
            digests.append(NO_PIXELS)
    return digests, pixels


def golden_images(preprocessing: Preprocessing) -> dict[str, bytes]:
    """Returns encoded images whose decoders differ: lossless, transparent, deep, subsampled, gray, wide.

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
        "png_deep": _encode(_deep_pattern(64, 48), "PNG"),
    }


def _pattern(height: int, width: int, channels: int) -> Pixels:
    """Draws waves of another length and direction in each channel, and a little noise: all that filters react to."""
    y, x = (axis[:, :, None] for axis in np.indices((height, width)))
    channel = np.arange(channels)
    waves = np.sin(x / (3 + 2 * channel) + y / (9 - channel)) * 100 + 128
    noise = np.random.default_rng(0).integers(-20, 21, waves.shape)
    pixels: npt.NDArray[np.uint8] = np.clip(waves + noise, 0, 255).astype(np.uint8)
    return pixels


def _deep_pattern(height: int, width: int) -> npt.NDArray[np.uint16]:
    """Draws values of 16 bits, as many below 4096 as above, so that a range of either shows."""
    steps = np.arange(height * width, dtype=np.uint16).reshape(height, width)
    return np.where(steps % 2, steps % 4096, steps * (65535 // steps.max())).astype(np.uint16)


def _encode(pixels: npt.NDArray[Any], kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@dataclass(frozen=True)
class _Machine:
    """Says what decides answers besides the model: the versions that decode and compute, and what computes."""

    decoders: dict[str, str]
    engine: dict[str, str]
    device: str

    @staticmethod
    def this(engine: str, scorer: Scorer) -> "_Machine":
        """Returns this machine, as the scorer of an engine uses it."""
        return _Machine(decoder_versions(), engine_versions(engine), scorer.engine.device)

    def decoder_changes(self, then: "_Machine") -> str:
        """Says in words how decoding differs from what it was."""
        return _changes(then.decoders, self.decoders) or "its versions are the same, so it was built otherwise"

    def engine_changes(self, then: "_Machine") -> str:
        """Says in words how computing differs from what it was, and what can be done."""
        versions = _changes(then.engine, self.engine)
        if versions:
            return f"the version differs ({versions}). Install what it was made with"
        if then.device != self.device:
            return (
                f"the processor differs (was {then.device}, is {self.device}). If it computes otherwise and right, as "
                "GPUs do, allow more with --golden_tolerance"
            )
        return "versions and processor are the same, so the network or the memory is not what it was. Copy it again"


def _changes(then: dict[str, str], now: dict[str, str]) -> str:
    return "; ".join(f"{name} was {then.get(name)}, is {now[name]}" for name in now if then.get(name) != now[name])


def _check_neighbours(pixels: Pixels, scorer: Scorer, probabilities: Probabilities, place: str) -> None:
    """Checks that an image's answer does not depend on those that share its batch, nor on its place there.

    Dark images are asked among themselves, and again each between two bright ones: a network that scales them by the
    largest number in the batch would answer otherwise.

    Args:
        pixels: N×H×W×3.
        scorer: of the network.
        probabilities: what it has answered to them, N×L.
        place: where it is, for messages.

    Raises:
        UserError: if it does: the network was saved as it is in training, draws random numbers, or mixes images.
    """
    dark = pixels // 4
    both = np.stack([pixels, dark], axis=1).reshape(-1, *pixels.shape[1:])
    expected = np.stack([probabilities, scorer.predict(dark)], axis=1).reshape(len(both), -1)
    apart = np.nan_to_num(np.abs(scorer.predict(both[::-1])[::-1] - expected), nan=0)
    if (apart > TOLERANCE).any():
        raise UserError(
            f"{place} answers {apart.max():.2g} otherwise for an image that is asked again beside others; save it as "
            "it is for inference, with batch normalisation and dropout not as in training, and nothing that is "
            "computed over the whole batch."
        )
