"""Which files of an input count as those of an earlier run: by path, size and version, where that is known."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File, Listing
from bulklabel.transforms.reading.records import Shard
from bulklabel.transforms.reuse.unchanged_files import find_unchanged
from bulklabel.transforms.run_directory.finished_run import FinishedRun
from bulklabel.transforms.run_directory.plan import Plan, read_plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from tests.transforms.test_run_directory import RECIPE

VERSIONS = ["-1000000000", "0", "1", "1700000000000000000", '"etag"']


def unchanged(then: File, now: File) -> bool:
    """Whether a file counts as unchanged since a run whose plan was saved and read again."""
    plan = read_plan(Plan((then,), (Shard(0, then.path, 0, None, 0, 1),), RECIPE).to_json())
    run = FinishedRun("run", RunDirectory("/run", plan.stamp), plan, {})
    [earlier] = find_unchanged([run], [Listing("/", (now,), complete=True)], carry_over=True)
    return now.path in earlier.paths


@pytest.mark.parametrize("version", VERSIONS)
def test_every_known_version_counts_also_the_time_at_which_time_begins(version: str) -> None:
    file = File("/a.parquet", 10, version)
    assert unchanged(file, file)
    assert not unchanged(file, replace(file, version="2"))
    assert not unchanged(file, replace(file, size=11))


def test_a_file_whose_version_is_unknown_is_new() -> None:
    file = File("/a.parquet", 10)
    assert not unchanged(file, file)
    assert not unchanged(file, replace(file, version="0"))
    assert not unchanged(replace(file, version="0"), file)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_a_local_file_has_its_time_whatever_it_is(tmp_path: Path, seconds: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    os.utime(path, (seconds, seconds))
    [file] = files.list_file(str(path))
    assert file.version == str(seconds * 1_000_000_000)
