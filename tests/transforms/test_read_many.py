"""Many small files of a store: how many are under way at once, in which order they come, and how many bytes wait."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bulklabel.model.errors import SourceChangedError
from bulklabel.transforms.files import read_many as module
from bulklabel.transforms.files import remote_file
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.read_many import BYTES_AHEAD, FILES_AHEAD, REQUESTS, read_many
from bulklabel.transforms.files.stores import local
from bulklabel.transforms.files.stores.local_walk import described
from bulklabel.transforms.files.stores.retry import RetryPolicy

PIECE = 2**20
ANEW = -1


@dataclass
class Store:
    """Answers as `read_remote` does, each request once `together` requests wait; keeps what was asked."""

    sizes: dict[str, int]
    together: int = 1
    waiting: int = 0
    most: int = 0
    requests: list[tuple[str, int]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        assert not version  # nothing was listed
        with self.changed:
            self.requests.append((path, start))
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.most >= self.together, timeout=20)
            self.waiting -= 1
        if path not in self.sizes:
            raise FileNotFoundError(path)
        return path[-1:].encode() * max(0, min(self.sizes[path], stop) - start)

    def read_one_version(self, path: str, stop: int) -> bytes:
        self.requests.append((path, ANEW))
        return path[-1:].encode() * min(self.sizes[path], stop)


Serve = Callable[..., Store]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    def make(sizes: dict[str, int], together: int = 1) -> Store:
        store = Store(sizes, together)
        monkeypatch.setattr(module, "read_remote", store.read)
        monkeypatch.setattr(module, "read_one_version", store.read_one_version)
        monkeypatch.setattr(module, "PIECE_BYTES", PIECE)
        return store

    return make


def test_as_many_requests_are_under_way_as_a_store_takes(serve: Serve) -> None:
    paths = [f"s3://x/{number}" for number in range(200)]
    store = serve(dict.fromkeys(paths, 3), together=REQUESTS)
    assert list(read_many([path] for path in paths)) == [path[-1:].encode() * 3 for path in paths]
    assert store.most == REQUESTS


def test_the_first_path_that_is_there_counts(serve: Serve) -> None:
    store = serve({"s3://x/a": 1, "s3://y/a": 2, "s3://y/b": 3})
    given = [["s3://x/a", "s3://y/a"], ["s3://x/b", "s3://y/b"], ["s3://x/c", "s3://y/c"], []]
    first, second, missing, nothing = read_many(given)
    assert (first, second) == (b"a", b"bbb")
    assert isinstance(missing, FileNotFoundError)
    assert isinstance(nothing, FileNotFoundError)
    assert ("s3://y/a", 0) not in store.requests


def test_what_is_fetched_ahead_is_bounded_in_files_and_in_bytes(serve: Serve) -> None:
    many = [f"s3://x/{number}" for number in range(1000)]
    for size, most in ((3, FILES_AHEAD), (PIECE - 1, BYTES_AHEAD // PIECE + REQUESTS + 1)):
        store = serve(dict.fromkeys(many, size))
        reading = read_many([path] for path in many)
        next(reading)
        time.sleep(0.05)
        assert len(store.requests) <= most
        reading.close()  # type: ignore[attr-defined]
        assert len(store.requests) <= most


def test_the_rest_of_a_large_file_is_fetched_when_it_is_its_turn(serve: Serve) -> None:
    sizes = {f"s3://x/{number}": 3 * PIECE + number for number in range(9)}
    store = serve(sizes)
    reading = read_many([path] for path in sizes)
    for path, size in sizes.items():
        assert next(reading) == path[-1:].encode() * size
        rest = [path for path, start in store.requests if start]
        assert rest == [*sizes][: len(rest)]
        assert rest[-1] == path


def test_no_more_of_a_file_is_read_than_a_record_may_have(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve({"s3://x/a": 9 * PIECE})
    monkeypatch.setattr(module, "MAX_RECORD_BYTES", 2 * PIECE)
    (content,) = read_many([["s3://x/a"]])
    assert isinstance(content, bytes)
    assert len(content) == 2 * PIECE + 1


def test_no_content_is_of_two_versions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An object is replaced between two pieces, a local file while it is read."""
    versions = iter(["old", "old", "new"])

    class Replaced:
        def describe(self, path: str) -> File:
            return File(path, 3 * PIECE, "old")

        def get(self, path: str, start: int, stop: int, version: str) -> bytes:
            now = next(versions)
            if version not in ("", now):
                raise SourceChangedError(path)
            return now[:1].encode() * (min(stop, 3 * PIECE) - start)

    monkeypatch.setattr(remote_file, "store_of", lambda _: (Replaced(), RetryPolicy(None, 0)))
    for each in (module, remote_file):
        monkeypatch.setattr(each, "PIECE_BYTES", PIECE)
    path = tmp_path / "a.png"
    path.write_bytes(b"old" * 1000)

    def described_while_written(name: str, status: os.stat_result) -> File:
        with path.open("ab") as file:
            file.write(b"new")
        return described(name, status)

    monkeypatch.setattr(local, "described", described_while_written)
    contents = [*read_many([["s3://x/a"], [str(path)]])]
    assert [type(content) for content in contents] == [SourceChangedError] * 2
