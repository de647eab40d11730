"""The Beam layer: thin transforms over `model` that plan, read, score, write, evaluate and publish.

What it exports is for other people's pipelines; docs/library.md is its manual. Nothing is imported before it is used,
since `--help` must not import Beam.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transforms.elements import ImageRecord, Prediction, RejectedRecord
    from transforms.inference import ImageModelHandler
    from transforms.score_images import ScoreImages

__all__ = ["ImageModelHandler", "ImageRecord", "Prediction", "RejectedRecord", "ScoreImages"]

_MODULES = {"ImageModelHandler": "inference", "ScoreImages": "score_images"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'elements')}"), name)
