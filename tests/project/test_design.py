"""The page on the design: the walk through `score` names functions that are there, and every room is in the table."""

import importlib
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "design.md").read_text()
WALK = re.findall(r"^\| [^|]+ \| `([\w/]+)\.py` \| `([\w.]+)` \|$", TEXT, re.MULTILINE)


def test_the_walk_has_at_most_half_of_the_calls_it_once_had() -> None:
    functions = [function for _, function in WALK]
    assert 10 < functions.index("build") <= 49 // 2
    assert functions[-1] == "Publish"


@pytest.mark.parametrize(("path", "function"), WALK, ids=[function for _, function in WALK])
def test_each_step_of_the_walk_is_there(path: str, function: str) -> None:
    item = importlib.import_module(f"bulklabel.{path.replace('/', '.')}")
    for name in function.split("."):
        item = getattr(item, name)
    assert callable(item)


def test_all_rooms_are_in_the_table() -> None:
    for layer in ("model", "transforms", "pipelines"):
        (row,) = re.findall(rf"^\| `{layer}/` \|[^|]*\|([^|]*)\|$", TEXT, re.MULTILINE)
        rooms = {path.parent.name for path in Path(ROOT, layer).glob("*/__init__.py")}
        assert set(re.findall(r"`(\w+)`", row)) == rooms
