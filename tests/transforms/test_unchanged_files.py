"""Which files of an input count as those of an earlier run: by path, size and version, where that is known."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import Listing
from bulklabel.transforms.reuse.unchanged_files import find_unchanged
from bulklabel.transforms.run_directory.finished_run import FinishedRun, find_run
from bulklabel.transforms.run_directory.plan import read_plan
from tests.support.cheap_runs import cheap_plan, cheap_run, picture

VERSIONS = ["-1000000000", "0", "1", "1700000000000000000", '"etag"']


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    folder = tmp_path_factory.mktemp("night")
    (folder / "a.bmp").write_bytes(picture(1, 1))
    cheap_run(cheap_plan([folder], folder / "run"), folder / "run")
    return find_run(str(folder / "run"))


def unchanged(finished: FinishedRun, then: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether a file counts as unchanged since a run whose plan was saved and read again."""
    [file] = finished.plan.inputs
    plan = read_plan(replace(finished.plan, inputs=(replace(file, **then),)).to_json())
    renamed = json.dumps(finished.manifest).replace(finished.plan.digest[:8], plan.digest[:8])  # its parts
    run = replace(finished, plan=plan, manifest=json.loads(renamed))
    [earlier] = find_unchanged([run], [Listing("/", (replace(file, **now),), complete=True)], carry_over=True)
    return file.path in earlier.paths


@pytest.mark.parametrize("version", VERSIONS)
def test_every_known_version_counts_also_the_time_at_which_time_begins(version: str, finished: FinishedRun) -> None:
    then = {"version": version}
    assert unchanged(finished, then, then)
    assert not unchanged(finished, then, {"version": "2"})
    assert not unchanged(finished, then, then | {"size": 11})


def test_a_file_whose_version_is_unknown_is_new(finished: FinishedRun) -> None:
    unknown, known = {"version": ""}, {"version": "0"}
    assert not unchanged(finished, unknown, unknown)
    assert not unchanged(finished, unknown, known)
    assert not unchanged(finished, known, unknown)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_a_local_file_has_its_time_whatever_it_is(tmp_path: Path, seconds: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    os.utime(path, (seconds, seconds))
    [file] = files.list_file(str(path))
    assert file.version == str(seconds * 1_000_000_000)
