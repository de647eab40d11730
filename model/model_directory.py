"""Reads and writes the model directory: the network, `golden.parquet`, and `model.json` that describes them."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bulklabel.model.errors import UserError
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.labels.truth import check_labels
from bulklabel.model.versions import KERAS, ONNX

NETWORK_FILES = {KERAS: "model.keras", ONNX: "model.onnx"}
"""By the engine that runs it, the network's file."""

DESCRIPTION_FILE = "model.json"
GOLDEN_FILE = "golden.parquet"
FORMAT = 1

PREPROCESSING = ("resize", "fit", "decode", "pixel_range")
"""What the description says of a preprocessing besides the size of images."""

MAKE_AGAIN = "write the model directory again by `bulklabel train` or `bulklabel package`"


@dataclass(frozen=True)
class Model:
    """Holds the contents of a model directory.

    `labels` are in the order of the network's outputs; `thresholds` holds one in 0…1 for each label where they
    were tuned, and is None where they were not; `network` is the bytes of the network's file, `golden` those of
    `golden.parquet`, or None where there is none; `engine` runs the network, and is a name in `NETWORK_FILES`.
    """

    labels: tuple[str, ...]
    preprocessing: Preprocessing
    network: bytes = field(repr=False)
    thresholds: tuple[float, ...] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    golden: bytes | None = field(default=None, repr=False)
    engine: str = KERAS

    @property
    def network_file(self) -> str:
        """The name of the network's file."""
        return NETWORK_FILES[self.engine]

    @property
    def digest(self) -> str:
        """The SHA-256 of all that the model is, in hexadecimal."""
        return hashlib.sha256(self.description()).hexdigest()

    def description(self) -> bytes:
        """Returns the text of `model.json`. It holds the other files' SHA-256: together they are one model or none."""
        tuned = None if self.thresholds is None else dict(zip(self.labels, self.thresholds, strict=True))
        content = {
            "format": FORMAT,
            "engine": self.engine,
            "labels": list(self.labels),
            "image_size": [self.preprocessing.height, self.preprocessing.width],
            "preprocessing": {name: getattr(self.preprocessing, name) for name in PREPROCESSING},
            "thresholds": tuned,
            "network_sha256": _digest(self.network),
            "golden_sha256": _digest(self.golden),
            "provenance": dict(self.provenance),
        }
        return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def read_model(read: Callable[[str], bytes | None], place: str) -> Model:
    """Returns the model that the files of a directory make.

    A file of golden images that the description does not name is not looked at.

    Args:
        read: returns the content of a file by its name, or None where there is no such file.
        place: the directory, for messages.

    Raises:
        UserError: if `model.json` is not what `Model.description` writes, or another file is not the one it names.
    """
    origin, description = f"{place}/{DESCRIPTION_FILE}", read(DESCRIPTION_FILE)
    if description is None:
        raise _missing(DESCRIPTION_FILE, place)
    try:
        content = json.loads(description)
        network_file = NETWORK_FILES[content["engine"]]
        height, width = (int(side) for side in content["image_size"])
        labels = check_labels(content["labels"], origin)
        tuned = content["thresholds"]
        expected = {network_file: content["network_sha256"], GOLDEN_FILE: content["golden_sha256"]}
        model = Model(
            labels=labels,
            preprocessing=Preprocessing(height, width, **content["preprocessing"]),
            network=b"",
            thresholds=None if tuned is None else tuple(float(tuned[label]) for label in labels),
            provenance=content["provenance"],
            engine=content["engine"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{origin} is not a model description ({type(error).__name__}: {error}); {MAKE_AGAIN}."
        ) from error
    files = {name: None if digest is None else read(name) for name, digest in expected.items()}
    network = files[network_file]
    if network is None:
        raise _missing(network_file, place)
    for name, digest in {name: _digest(file) for name, file in files.items()}.items():
        if digest != expected[name]:
            raise UserError(
                f"{place}/{name} is not the file that {DESCRIPTION_FILE} describes (SHA-256 {str(digest)[:12]}…, "
                f"expected {str(expected[name])[:12]}…); {MAKE_AGAIN}."
            )
    return replace(model, network=network, golden=files[GOLDEN_FILE])


def _missing(name: str, place: str) -> UserError:
    return UserError(f"{place} is not a model directory: {name} is missing; {MAKE_AGAIN}.")


def _digest(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()
