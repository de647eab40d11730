"""Bulk scoring of images with a multilabel CNN on Apache Beam; this list is what other people's pipelines import.

Each name is imported when it is first used, since `bulklabel --help` must not wait for Beam. docs/library.md is the
manual.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bulklabel.transforms.library.elements import ImageRecord, Prediction, RejectedRecord
    from bulklabel.transforms.library.image_model_handler import ImageModelHandler
    from bulklabel.transforms.library.score_images import ScoreImages

__all__ = ["ImageModelHandler", "ImageRecord", "Prediction", "RejectedRecord", "ScoreImages"]

_MODULES = {
    "ImageModelHandler": "image_model_handler",
    "ImageRecord": "elements",
    "Prediction": "elements",
    "RejectedRecord": "elements",
    "ScoreImages": "score_images",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.transforms.library.{_MODULES[name]}"), name)
