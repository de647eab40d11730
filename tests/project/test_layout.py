"""The layout of the code: layers, rooms and modules without circles, and what each module says of itself."""

import ast
import importlib
import inspect
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.project.source import LAYERS, MODULES, name_of, room_of

LOOSE = 12
"""Modules that a folder may hold beside its rooms."""

LINES = 400

PATHS = {name_of(path): path for path in MODULES}


def imports_of(path: Path) -> set[str]:
    """Returns what a module imports, wherever in it: in functions and for the type checker alone, too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} does not import by the full name"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inside & PATHS.keys() or {node.module or ""}
    return names


GRAPH = {name: imports_of(path) for name, path in PATHS.items()}
"""By module, what it imports, of the project and of others."""


@pytest.mark.parametrize("name", GRAPH)
def test_layers_go_one_way(name: str) -> None:
    layer = name.split(".")[1]
    allowed = LAYERS[: LAYERS.index(layer) + 1]
    for imported in GRAPH[name]:
        top, _, rest = imported.partition(".")
        assert top != "bulklabel" or rest.split(".")[0] in allowed, f"{name} imports {imported}"
        assert layer != "model" or top != "apache_beam", f"{name} imports Beam"


def test_modules_import_without_a_circle() -> None:
    TopologicalSorter({name: imported - {name} for name, imported in GRAPH.items()}).prepare()


def test_rooms_import_without_a_circle() -> None:
    rooms: dict[str, set[str]] = {}
    for name, imported in GRAPH.items():
        room = room_of(name)
        rooms.setdefault(room, set()).update({room_of(other) for other in imported & GRAPH.keys()} - {room})
    assert len(rooms) > 20
    TopologicalSorter(rooms).prepare()


def test_a_room_can_be_overlooked() -> None:
    modules = Counter(str(path.parent.relative_to(ROOT)) for path in MODULES if path.name != "__init__.py")
    assert {room: count for room, count in modules.items() if count > LOOSE} == {}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_not_too_long_and_opens_with_a_sentence(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LINES
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring
    assert docstring.splitlines()[0].endswith(".")


@pytest.mark.parametrize("path", [path for path in MODULES if "pipelines" not in path.parts], ids=name_of)
def test_public_things_say_what_they_are_for(path: Path) -> None:
    module = importlib.import_module(name_of(path))
    for name, item in vars(module).items():
        if name.startswith("_") or getattr(item, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(item) or inspect.isfunction(item):
            assert inspect.getdoc(item), f"{module.__name__}.{name}"
