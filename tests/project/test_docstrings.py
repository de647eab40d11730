"""Docstrings: their examples run, and their first sentences stand alone."""

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.source import MODULES, name_of

NO_SENTENCE = re.compile(r"(It is|Those|That of|The same of)\b")


def public_docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """The name and the docstring of the module, and of its public classes, functions and methods."""
    pending: list[tuple[str, ast.AST]] = [(name_of(path), ast.parse(path.read_text()))]
    while pending:
        name, node = pending.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield name, ast.get_docstring(node) or ""
        if isinstance(node, ast.Module | ast.ClassDef):
            children = [item for item in node.body if isinstance(item, ast.ClassDef | ast.FunctionDef)]
            pending += [(f"{name}.{item.name}", item) for item in children if not item.name.startswith("_")]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_examples_in_docstrings_run(path: Path) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name_of(path)), optionflags=doctest.ELLIPSIS)
    assert failed == 0


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_first_sentences_stand_alone(path: Path) -> None:
    for name, docstring in public_docstrings(path):
        sentence = re.split(r"\.(?:\s|$)", " ".join(docstring.split("\n\n")[0].split()))[0]
        assert len(sentence.split()) >= 4, f"{name}: {sentence}"
        assert not NO_SENTENCE.match(sentence), f"{name}: {sentence}"
