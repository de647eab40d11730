"""What is told of a run that goes on: words, and on a terminal a bar and colours."""

import fcntl
import io
import logging
import os
import pty
import re
import select
import struct
import termios
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bulklabel.model.errors import StoreError
from bulklabel.pipelines.console import progress
from bulklabel.pipelines.console.logs import Lines, log, takes_colour
from bulklabel.pipelines.console.progress import Look, Progress
from bulklabel.transforms.run_directory.parts import PartStamp
from bulklabel.transforms.run_directory.plan import Plan
from tests.durability.forked import forked


def followed(records: Sequence[int | None], looks: list[Look], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said at each look of a run of shards of so many records."""
    shards = [SimpleNamespace(records=count) for count in records]
    plan = cast(Plan, SimpleNamespace(shards=shards, stamp=PartStamp("0" * 64, "0" * 64, len(shards))))
    follower = Progress("/nowhere", plan)
    assert (follower.shards, follower.look().done) == (len(records), 0)
    monkeypatch.setattr(follower, "look", lambda: looks.pop(0))
    return [follower.update() for _ in range(len(looks))]


def test_images_are_told_with_a_rate_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    # The first images come after a start of ten seconds, which says nothing about the rest.
    looks = [Look(0, 0, 0), Look(10, 1, 1000), Look(12, 2, 2000), Look(14, 3, 3000), Look(16, 4, 4000)]
    assert followed([1000] * 4, looks, monkeypatch) == [
        "0 of 4,000 images",
        "1,000 of 4,000 images, 100 per second, 30 s left",
        "2,000 of 4,000 images, 500 per second, 4 s left",
        "3,000 of 4,000 images, 500 per second, 2 s left",
        "4,000 of 4,000 images, 500 per second",
    ]


def test_where_nobody_knows_how_many_images_there_are_shards_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [Look(0, 0, 0), Look(20, 1, 1), Look(30, 2, 2)]
    assert followed([1000, None, 5], looks, monkeypatch)[1:] == [
        "1 of 3 shards, 0.05 per second, 40 s left",
        "2 of 3 shards, 0.1 per second, 10 s left",
    ]


def test_a_store_that_fails_when_all_is_published_fails_no_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plan = cast(Plan, SimpleNamespace(shards=[], stamp=PartStamp("0" * 64, "0" * 64, 0)))
    monkeypatch.setattr(progress, "is_json", lambda: True)
    caplog.set_level(logging.INFO)
    with progress.show_progress("/nowhere", plan):
        monkeypatch.setattr(Progress, "look", fails)
    assert caplog.messages == ["started", "published"]


def fails(_: Progress) -> Look:
    raise StoreError("the store is away")


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [(True, {}, True), (False, {}, False), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_whose_users_want_them(
    terminal: bool, environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    assert takes_colour(stream) is coloured
    record = logging.LogRecord(log.name, logging.ERROR, "", 0, "words", None, None)
    shown = Lines(coloured).format(record)
    assert re.sub("\x1b\\[[0-9]+m", "", shown) == "bulklabel: error: words"
    assert ("\x1b" in shown) is coloured


def test_a_terminal_shows_images_against_the_plan(corpus: Path, model_directory: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    (tmp_path / "log.err").symlink_to(os.ttyname(theirs))  # where the run writes what it says
    run = forked([f"--input={corpus}", f"--model={model_directory}"], tmp_path / "run", tmp_path / "log")
    shown = b""
    while run.is_alive or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.1)[0]:
            shown += os.read(ours, 4096)
    os.close(theirs)
    os.close(ours)
    assert run.end() == 0
    assert b"0 of 4,800 images" in shown
    assert re.search(rb"100%.*4,800 of 4,800 images, [\d,]+ per second", shown)
