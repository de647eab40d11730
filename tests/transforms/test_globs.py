"""Globs mean the same on every store, and can name every file."""

import fnmatch
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulklabel.model.errors import UserError
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.globs import escaped, glob_regex, prefix_of
from bulklabel.transforms.reading.find_shards import find_listings

PNG = re.compile(r"\.png$")

TRICKY = "ab-!^]\\[*?{},./ \n\udce9&~|$"

NAMES = [
    "plain.png",
    "back\\slash.png",
    "a\\{b,c}.png",
    "[test].png",
    "t.png",
    "{rule}.png",
    "{a,b}.png",
    "a.png",
    "b.png",
    "a b.png",
    "new\nline.png",
    "star*.png",
    "what?.png",
    "caf\udce9.png",
    "-dash.png",
    "!bang.png",
    "$HOME.png",
    "~.png",
    "&amp;.png",
]
"""Names of files that people really have; a dot or an underscore before them would hide them from a folder."""


def matches(pattern: str, path: str) -> bool:
    return glob_regex(pattern).fullmatch(path) is not None


@given(st.text(TRICKY), st.text(TRICKY))
def test_an_escaped_path_is_the_only_one_that_matches(path: str, other: str) -> None:
    assert matches(escaped(path), path)
    assert matches(escaped(path), other) == (path == other)


@given(st.text(TRICKY), st.text(TRICKY))
def test_what_matches_starts_as_the_glob_does(pattern: str, path: str) -> None:
    assert not matches(pattern, path) or path.startswith(prefix_of(pattern))


@given(st.text(TRICKY.replace("/", "")), st.text(TRICKY.replace("/", "")))
def test_within_a_name_a_glob_means_what_it_means_to_python(pattern: str, name: str) -> None:
    assert matches(pattern, name) == fnmatch.fnmatchcase(name, pattern)


@given(
    st.lists(st.text("ab\\*?[!]", min_size=1), min_size=1, max_size=3),
    st.lists(st.text("ab\\", min_size=1), min_size=1),
)
def test_a_slash_is_crossed_by_two_stars_alone(patterns: list[str], names: list[str]) -> None:
    patterns = [pattern.replace("**", "*") for pattern in patterns]
    expected = len(patterns) == len(names) and all(map(fnmatch.fnmatchcase, names, patterns))
    assert matches("/".join(patterns), "/".join(names)) == expected
    assert matches("**", "/".join(names))
    assert matches(f"**/{patterns[0]}", f"some/where/{names[0]}") == (fnmatch.fnmatchcase(names[0], patterns[0]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("[odd] {folder}")
    for name in NAMES:
        for path in (root / name, root / "below" / name):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"\x89PNG\r\n\x1a\n")
    return root


def found(pattern: str) -> set[str]:
    """The names that `--input` finds."""
    _, listings = find_listings([pattern], "images", [])
    return {os.path.basename(file.path) for listing in listings for file in listing.files}


@pytest.mark.parametrize(
    "pattern", ["", "/", "/below", "/*.png", "/below/*.png", "/be*/*.png", "/*/*", "/**/*.png", "/**"]
)
def test_a_glob_skips_no_name_that_a_folder_has(folder: Path, pattern: str) -> None:
    root = (
        str(folder) if pattern in ("", "/", "/below") else escaped(str(folder)).replace("{", "[{]").replace("}", "[}]")
    )
    assert found(root + pattern) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_found_by_its_name(folder: Path, name: str) -> None:
    assert found(f"{folder}/{name}") == {name}
    assert [file.path for file in files.list_files(f"{folder}/{name}", PNG).files] == [f"{folder}/{name}"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("[[]test].png", {"[test].png"}),
        ("[{]*.png", {"{rule}.png", "{a,b}.png"}),
        ("[{]a[,]b[}].png", {"{a,b}.png"}),
        ("{rule}*.png", {"{rule}.png"}),
        ("{a,plain}.png", {"a.png", "plain.png"}),
        ("[{a,t}]*.png", {"a.png", "a b.png", "a\\{b,c}.png", "t.png"}),
        ("back\\*.png", {"back\\slash.png"}),
        ("*\\*.png", {"back\\slash.png", "a\\{b,c}.png"}),
        ("{back\\slash,b}.png", {"back\\slash.png", "b.png"}),
        ("star[*].png", {"star*.png"}),
        ("[!a-z]*.png", {name for name in NAMES if not "a" <= name[0] <= "z"}),
        ("?.png", {"t.png", "a.png", "b.png", "~.png"}),
        ("* *.png", {"a b.png"}),
        ("caf\udce9*", {"caf\udce9.png"}),
        ("*\n*", {"new\nline.png"}),
    ],
)
def test_globs_find_what_they_say(folder: Path, pattern: str, names: set[str]) -> None:
    assert found(f"{folder.parent}/*/below/{pattern}") == names


def test_a_glob_that_matches_nothing_is_an_error(folder: Path) -> None:
    with pytest.raises(UserError, match="no file matches"):
        found(f"{folder.parent}/*/[z-a]*.png")
