"""Failures that may not come again: tried again by the next run, and reused by none."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bulklabel.model.errors import UserError
from bulklabel.model.images.decode import decode_with_kind
from bulklabel.transforms.scoring import decode
from tests.conftest import predictions_of, rejected_of, write_parquet
from tests.support.cheap_runs import cheap_plan, cheap_run, picture

SLOW = picture(7, 7)
"""An image whose decoder hangs while `mend` has not been called."""


@pytest.fixture
def mend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Lets the decoder hang until this is called."""
    mended = threading.Event()

    def decode_slowly(image: bytes | None, *arguments: Any) -> Any:
        if image == SLOW:
            mended.wait()
        return decode_with_kind(image, *arguments)

    monkeypatch.setattr(decode, "decode_with_kind", decode_slowly)

    def mend() -> None:
        monkeypatch.undo()
        mended.set()

    yield mend
    mend()


@pytest.fixture(params=["images", "parquet"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    images = [picture(1, 1), SLOW, b"broken"]
    if request.param == "parquet":
        rows = [{"id": str(at), "image": image, "labels": []} for at, image in enumerate(images)]
        return write_parquet(tmp_path / "a.parquet", rows, row_group_size=1)
    folder = tmp_path / "images"
    folder.mkdir()
    for at, image in enumerate(images):
        (folder / f"{at}.bmp").write_bytes(image)
    return folder


def reasons(output: Path) -> list[str]:
    return sorted(row["reason"] for row in rejected_of(output))


def bytes_of(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [*output.glob("predictions/*"), *output.glob("rejected/*")]}


@pytest.mark.parametrize("by_content", [False, True])
def test_what_timed_out_is_tried_again_by_the_same_command_and_leaves_no_trace(
    by_content: bool, source: Path, tmp_path: Path, mend: Callable[[], None]
) -> None:
    plan = cheap_plan([source], tmp_path / "run", by_content=by_content, decode_seconds=0.2)
    assert cheap_run(plan, tmp_path / "run") == {"records": 3, "scored": 1, "rejected": 2}
    assert reasons(tmp_path / "run") == ["not_an_image", "timed_out"]
    assert cheap_run(plan, tmp_path / "run") == {"records": 3, "scored": 1, "rejected": 2}  # it hangs again
    mend()
    assert cheap_run(plan, tmp_path / "run") == {"records": 3, "scored": 2, "rejected": 1}
    assert cheap_run(plan, tmp_path / "run") is None
    kept = bytes_of(tmp_path / "run")
    cheap_run(plan, tmp_path / "other")
    assert bytes_of(tmp_path / "other") == kept


@pytest.mark.parametrize("by_content", [False, True])
@pytest.mark.parametrize("carry_over", [False, True])
def test_what_timed_out_is_no_answer_for_the_next_night(
    by_content: bool, carry_over: bool, source: Path, tmp_path: Path, mend: Callable[[], None]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    cheap_run(cheap_plan([source], first, by_content=by_content, decode_seconds=0.2), first)
    mend()
    plan = cheap_plan([source], second, [first], carry_over, by_content)
    counts = cheap_run(plan, second)
    assert counts is not None
    slow = f"{source}/1.bmp" if source.is_dir() else str(source)
    assert slow in predictions_of(second).column("source").to_pylist()
    assert "timed_out" not in reasons(second)
    assert plan.reused is not None
    if carry_over:
        assert counts == {"records": 3, "scored": 2, "rejected": 1}


def test_the_time_limit_is_of_the_plan(source: Path, tmp_path: Path) -> None:
    cheap_run(cheap_plan([source], tmp_path / "run", decode_seconds=0.5), tmp_path / "run")
    with pytest.raises(UserError, match=r"decode_seconds changed from 0\.5 to 60"):
        cheap_run(cheap_plan([source], tmp_path / "run"), tmp_path / "run")


def test_a_file_that_may_be_read_again_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.bmp").write_bytes(picture(1, 1))
    plan = cheap_plan([tmp_path / "*.bmp"], tmp_path / "run")
    opened = open

    def refuse(path: Any, *arguments: Any, **options: Any) -> Any:
        if str(path).endswith("a.bmp"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", refuse)
    assert cheap_run(plan, tmp_path / "run") == {"records": 1, "scored": 0, "rejected": 1}
    monkeypatch.undo()
    assert reasons(tmp_path / "run") == ["unreadable_file"]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_bytes())
    assert [entry["passing"] for entry in manifest["rejected"]] == [1]
    assert cheap_run(plan, tmp_path / "run") == {"records": 1, "scored": 1, "rejected": 0}


def test_a_file_that_is_again_as_it_was_planned_is_scored(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    path.write_bytes(picture(1, 1))
    planned = path.stat().st_mtime_ns
    plan = cheap_plan([path], tmp_path / "run")
    os.utime(path, ns=(1, planned + 1))
    assert cheap_run(plan, tmp_path / "run") == {"records": 1, "scored": 0, "rejected": 1}
    os.utime(path, ns=(1, planned))
    assert cheap_run(plan, tmp_path / "run") == {"records": 1, "scored": 1, "rejected": 0}
