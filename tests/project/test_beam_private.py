"""Beam's private attributes: one module touches them, and says why."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.project.source import MODULES, name_of

THE_MODULE = ROOT / "pipelines" / "runners" / "beam_private.py"
NOT_BEAMS = {"_actions", "_http"}
"""Private attributes of argparse and of Google's client, in modules that import Beam, too."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def names_from_beam(tree: ast.Module) -> set[str]:
    """What a module calls the things that it imports from Beam."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {
        (alias.asname or alias.name).split(".")[0]
        for node in imports
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).split(".")[0] == "apache_beam"
    }


def touched(tree: ast.Module) -> Iterator[str]:
    """Private attributes of others, and names that are put into Beam's modules."""
    beam = names_from_beam(tree)
    for node in ast.walk(tree):
        if not beam or not isinstance(node, ast.Attribute):
            continue
        owner = node.value.id if isinstance(node.value, ast.Name) else None
        if is_private(node.attr) and owner not in ("self", "cls") and node.attr not in NOT_BEAMS:
            yield f"line {node.lineno}: {node.attr}"
        elif isinstance(node.ctx, ast.Store) and owner in beam:
            yield f"line {node.lineno}: {owner}.{node.attr}"


@pytest.mark.parametrize("path", [path for path in MODULES if path != THE_MODULE], ids=name_of)
def test_one_module_touches_what_is_private_to_beam(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not list(touched(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("apache_beam"):
            assert not [alias.name for alias in node.names if is_private(alias.name)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_class_of_ours_uses_a_private_attribute_of_its_base(path: Path) -> None:
    tree = ast.parse(path.read_text())
    if not names_from_beam(tree):
        return
    module = importlib.import_module(name_of(path))
    for node in [node for node in tree.body if isinstance(node, ast.ClassDef)]:
        own = {item.attr for item in ast.walk(node) if isinstance(item, ast.Attribute) and is_private(item.attr)}
        for base in getattr(module, node.name).__mro__[1:]:
            if base.__module__.startswith("apache_beam"):
                source = inspect.getsource(base)
                assert not [name for name in own if f"self.{name}" in source], f"{node.name}({base.__name__})"


def test_each_function_of_the_module_says_which_beam_and_why() -> None:
    for node in ast.parse(THE_MODULE.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            assert re.search(r"^Beam 2\.\d+: .{20}", ast.get_docstring(node) or "", re.MULTILINE), node.name
