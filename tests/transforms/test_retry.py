"""Time limits and retries, without a network."""

import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from apache_beam.io.localfilesystem import LocalFileSystem

from bulklabel.model.errors import StoreError, UserError
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.read_many import read_many
from bulklabel.transforms.files.stores import retry
from bulklabel.transforms.files.stores.retry import RetryPolicy, fail_fast, store_error

PNG = re.compile(r"\.png$")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.01)


def failing(times: int, error: Exception, calls: list[float]) -> Callable[[], str]:
    """An attempt that fails so many times, and notes when it was made."""

    def attempt() -> str:
        calls.append(time.monotonic())
        if len(calls) <= times:
            raise error
        return "done"

    return attempt


@pytest.mark.parametrize("error", [ConnectionResetError("lost"), TimeoutError("late"), ConnectionRefusedError("no")])
def test_what_may_mend_is_tried_again(error: Exception) -> None:
    calls: list[float] = []
    assert RetryPolicy(5, 3).call(failing(3, error, calls)) == "done"
    assert len(calls) == 4
    with pytest.raises(type(error), match=str(error)):
        RetryPolicy(5, 2).call(failing(3, error, calls := []))
    assert len(calls) == 3


def test_pauses_double_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(retry, "FIRST_PAUSE", 1.0)
    monkeypatch.setattr(time, "sleep", pauses.append)
    with pytest.raises(ConnectionError):
        RetryPolicy(5, 7).call(failing(8, ConnectionError(), []))
    for pause, longest in zip(pauses, (1, 2, 4, 8, 16, 30, 30), strict=True):
        assert longest / 2 <= pause <= longest
    assert len({pause / longest for pause, longest in zip(pauses, (1, 2, 4, 8, 16, 30, 30), strict=True)}) == 7


@pytest.mark.parametrize(
    "error", [FileNotFoundError("none"), PermissionError("no"), OSError("full"), ValueError("bug")]
)
def test_what_no_retry_mends_is_raised_at_once(error: Exception) -> None:
    calls: list[float] = []
    with pytest.raises(type(error), match=str(error)):
        RetryPolicy(5, 3).call(failing(1, error, calls))
    assert len(calls) == 1


def test_an_attempt_that_never_ends_is_left_to_itself() -> None:
    never = threading.Event()
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"not done after 0\.1 seconds"):
        RetryPolicy(0.1, 2).call(never.wait)
    assert 0.3 <= time.monotonic() - started < 3
    with pytest.raises(TimeoutError, match=r"not done after 0\.3 seconds"):
        RetryPolicy(0.1, 0).call(never.wait, pieces=3)
    never.set()


def test_while_planning_nobody_waits_for_a_store_that_is_not_there() -> None:
    calls: list[float] = []
    with fail_fast(), pytest.raises(ConnectionRefusedError):
        RetryPolicy(5, 6).call(failing(9, ConnectionRefusedError("no"), calls))
    assert len(calls) == 3
    with fail_fast():
        assert isinstance(store_error("s3://x", "read", OSError("why")), UserError)
    assert isinstance(store_error("s3://x", "read", OSError("why")), StoreError)


class Mounted(LocalFileSystem):  # type: ignore[misc]
    """A file system of somebody else, as Beam lets them be added: a local folder where everything fails once."""

    folder = ""
    failed: ClassVar[set[str]] = set()

    @classmethod
    def scheme(cls) -> str:
        return "mounted"

    def _here(self, operation: str, path: str) -> str:
        if operation not in self.failed:
            self.failed.add(operation)
            raise RuntimeError("the other end is away")
        return path.replace("mounted://", type(self).folder)

    def exists(self, path: str) -> bool:
        return bool(super().exists(self._here("exists", path)))

    def create(self, path: str, *arguments: Any, **options: Any) -> Any:
        return super().create(self._here("create", path), *arguments, **options)

    def open(self, path: str, *arguments: Any, **options: Any) -> Any:
        return super().open(self._here("open", path), *arguments, **options)

    def rename(self, sources: list[str], targets: list[str]) -> None:
        super().rename([self._here("rename", sources[0])], [targets[0].replace("mounted://", type(self).folder)])

    def match(self, patterns: list[str], limits: list[int] | None = None) -> Any:
        matches = super().match([self._here("match", patterns[0])], limits)
        for item in matches[0].metadata_list:
            item.path = item.path.replace(type(self).folder, "mounted://")
            item.last_updated_in_seconds = 0.0  # as where a file system does not know
        return matches

    def delete(self, paths: list[str]) -> None:
        os.remove(self._here("delete", paths[0]))


def test_any_file_system_that_beam_knows_is_used_with_retries(tmp_path: Path) -> None:
    Mounted.folder = f"{tmp_path}/"
    content = os.urandom(2 * 2**20)
    files.write("mounted://a/b.png", content)
    assert (tmp_path / "a" / "b.png").read_bytes() == content
    [listed] = files.list_files("mounted://a", PNG).files
    assert listed == File("mounted://a/b.png", len(content))
    assert not listed.version
    assert files.read("mounted://a/b.png") == content
    with files.open_file("mounted://a/b.png") as file:
        file.seek(-5, os.SEEK_END)
        assert file.read() == content[-5:]
    (missing, read) = read_many([["mounted://a/none"], ["mounted://a/b.png"]])
    assert isinstance(missing, FileNotFoundError)
    assert read == content
    files.delete(["mounted://a/b.png", "mounted://a/none"])
    assert Mounted.failed == {"exists", "create", "open", "rename", "match", "delete"}
    assert not files.exists("mounted://a/b.png")


def test_an_unknown_scheme_is_the_users_error() -> None:
    for use in (files.read, files.exists, files.list_folder, files.open_file):
        with pytest.raises(UserError, match="nowhere:// is not a file system that is installed"):
            use("nowhere://a/b")
