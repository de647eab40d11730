"""The project's own modules, as files and by name."""

from pathlib import Path

from tests.conftest import ROOT

LAYERS = ("model", "transforms", "pipelines")
"""Each may import those before it."""

MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def name_of(path: Path) -> str:
    """Returns the name by which a module is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(["bulklabel", *(parts[:-1] if parts[-1] == "__init__" else parts)])


def room_of(name: str) -> str:
    """Returns the room of a module: the folder of its layer that it is in or below, or the module itself if none."""
    package, layer, *inside = name.split(".")
    return ".".join([package, layer, *inside[:1]])
