"""The model directory: `model.keras`, and `model.json` that says what the network's inputs and outputs mean."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from model.errors import UserError
from model.images import Preprocessing
from model.labels import check_labels

NETWORK_FILE = "model.keras"
DESCRIPTION_FILE = "model.json"
FORMAT = 1


@dataclass(frozen=True)
class Model:
    """A model directory's contents.

    `labels` are in the order of the network's outputs; `thresholds` holds one in 0…1 for each label where they
    were tuned, and is None where they were not; `network` is the bytes of `model.keras`.
    """

    labels: tuple[str, ...]
    preprocessing: Preprocessing
    network: bytes = field(repr=False)
    thresholds: tuple[float, ...] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of all that the model is, in hexadecimal."""
        return hashlib.sha256(self.description()).hexdigest()

    def description(self) -> bytes:
        """The text of `model.json`. It holds the network's SHA-256: the two files are one model or none."""
        tuned = None if self.thresholds is None else dict(zip(self.labels, self.thresholds, strict=True))
        content = {
            "format": FORMAT,
            "labels": list(self.labels),
            "image_size": [self.preprocessing.height, self.preprocessing.width],
            "preprocessing": {"resize": self.preprocessing.resize, "fit": self.preprocessing.fit},
            "thresholds": tuned,
            "network_sha256": hashlib.sha256(self.network).hexdigest(),
            "provenance": dict(self.provenance),
        }
        return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def read_model(description: bytes, network: bytes, place: str) -> Model:
    """The model that the two files' contents make; `place` is the directory, for messages.

    Raises:
        UserError: if `model.json` is not what `Model.description` writes, or belongs to another network.
    """
    origin = f"{place}/{DESCRIPTION_FILE}"
    try:
        content = json.loads(description)
        height, width = (int(side) for side in content["image_size"])
        labels = check_labels(content["labels"], origin)
        tuned = content["thresholds"]
        model = Model(
            labels=labels,
            preprocessing=Preprocessing(height, width, **content["preprocessing"]),
            network=network,
            thresholds=None if tuned is None else tuple(float(tuned[label]) for label in labels),
            provenance=content["provenance"],
        )
        expected = content["network_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{origin} is not a model description ({type(error).__name__}: {error}); "
            "write the model directory again with `bulklabel train`."
        ) from error
    found = hashlib.sha256(network).hexdigest()
    if found != expected:
        raise UserError(
            f"{place}/{NETWORK_FILE} is not the network that {DESCRIPTION_FILE} describes (SHA-256 {found[:12]}…, "
            f"expected {expected[:12]}…); write the model directory again with `bulklabel train`."
        )
    return model
