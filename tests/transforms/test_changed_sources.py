"""Inputs that change between planning and reading, or while they are read: never a mixture, a loss or a double."""

import os
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulklabel.model.errors import SourceChangedError, UserError
from bulklabel.transforms.files import planned_files
from bulklabel.transforms.files.stores import local, local_walk
from bulklabel.transforms.reading.image_metadata import read_metadata
from bulklabel.transforms.reading.streams.tf_example import Example
from bulklabel.transforms.reading.streams.tfrecord import framed
from bulklabel.transforms.run_directory.plan import Plan, read_plan
from tests.conftest import predictions_of, rejected_of, write_parquet
from tests.support.cheap_runs import cheap_plan, cheap_run, picture

RECORDS = 6


def rows(red: int, count: int = RECORDS) -> list[dict[str, Any]]:
    return [{"id": str(number), "image": picture(red, number), "labels": []} for number in range(count)]


def write_images(folder: Path, red: int) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(RECORDS):
        (folder / f"{number}.bmp").write_bytes(picture(red, number))
    return folder


def write_tar(path: Path, red: int) -> Path:
    with tarfile.open(path, "w") as archive:
        for number in range(RECORDS):
            image = picture(red, number)
            member = tarfile.TarInfo(f"{number}.bmp")
            member.size = len(image)
            archive.addfile(member, BytesIO(image))
    return path


def write_tfrecord(path: Path, red: int) -> Path:
    def example(number: int) -> bytes:
        made = Example()
        made.features.feature["image/encoded"].bytes_list.value.append(picture(red, number))
        return bytes(made.SerializeToString())

    path.write_bytes(b"".join(framed(example(number)) for number in range(RECORDS)))
    return path


WRITERS: dict[str, Callable[[Path, int], Path]] = {
    "parquet": lambda folder, red: write_parquet(folder / "a.parquet", rows(red), row_group_size=2),
    "images": lambda folder, red: write_images(folder / "images", red),
    "tar": lambda folder, red: write_tar(folder / "a.tar", red),
    "tfrecord": lambda folder, red: write_tfrecord(folder / "a.tfrecord", red),
}


def places(output: Path) -> list[tuple[str, int]]:
    """The file and the place of each record, scored or rejected."""
    scored = predictions_of(output).select(["source", "position"]).to_pylist()
    return sorted((row["source"], row["position"]) for row in [*scored, *rejected_of(output)])


def reasons(output: Path) -> set[str]:
    return {row["reason"] for row in rejected_of(output)}


@pytest.fixture(params=WRITERS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def later(path: Path) -> None:
    """Let a file's time, or those in a folder, be another one, however slow the file system's clock is."""
    for file in [*path.glob("*")] if path.is_dir() else [path]:
        os.utime(file, ns=(1, file.stat().st_mtime_ns + 1))


def test_a_file_of_the_same_size_is_rejected_if_it_changed_since_it_was_planned(kind: str, tmp_path: Path) -> None:
    source = WRITERS[kind](tmp_path, 200)
    plan = cheap_plan([source], tmp_path / "run")
    WRITERS[kind](tmp_path, 100)
    later(source)
    counts = cheap_run(plan, tmp_path / "run")
    unknown = kind in ("tar", "tfrecord")  # how many records these have is known once they are read
    assert counts == {"records": 1 if unknown else RECORDS, "scored": 0, "rejected": 1 if unknown else RECORDS}
    assert reasons(tmp_path / "run") == {"changed_source"}
    assert len(set(places(tmp_path / "run"))) == counts["records"]


def test_a_file_that_is_gone_is_one_that_changed(kind: str, tmp_path: Path) -> None:
    source = WRITERS[kind](tmp_path, 200)
    plan = cheap_plan([source], tmp_path / "run")
    for file in [*source.glob("*")] if source.is_dir() else [source]:
        file.unlink()
    assert cheap_run(plan, tmp_path / "run")
    assert reasons(tmp_path / "run") == {"changed_source"}


def test_a_run_that_shall_stop_where_an_input_changed_stops(tmp_path: Path) -> None:
    source = WRITERS["tar"](tmp_path, 200)
    plan = cheap_plan([source], tmp_path / "run")
    later(source)
    with pytest.raises(SourceChangedError, match=r"a\.tar was changed after the run was planned"):
        cheap_run(plan, tmp_path / "run", stop_if_changed=True)


@pytest.mark.parametrize("groups", [[2], [2, 2, 2, 2], [6], [3, 3], [1, 2, 3], [2, 2, 1, 1]])
@pytest.mark.parametrize("touched", [True, False], ids=["new time", "same time"])
def test_a_parquet_file_of_other_row_groups_loses_and_doubles_nothing(
    groups: list[int], touched: bool, tmp_path: Path
) -> None:
    """Not even if its time was set back, as `rsync --times` does: then its records are not where they were planned."""
    source = WRITERS["parquet"](tmp_path, 200)
    plan = cheap_plan([source], tmp_path / "run")
    before = source.stat().st_mtime_ns
    schema = pq.read_schema(source)
    with pq.ParquetWriter(source, schema) as writer:
        for size in groups:
            writer.write_table(pq_table(rows(100, size), schema), row_group_size=size)
    os.utime(source, ns=(1, before + touched))
    counts = cheap_run(plan, tmp_path / "run")
    assert counts == {"records": RECORDS, "scored": 0, "rejected": RECORDS}
    assert [place for _, place in places(tmp_path / "run")] == list(range(RECORDS))


def test_a_parquet_file_is_known_by_its_footer_even_if_size_time_and_row_groups_are_the_same(tmp_path: Path) -> None:
    """As where it is rewritten in place and its time is set back, or changes within one tick of the clock."""
    source = WRITERS["parquet"](tmp_path, 200)
    before = source.stat()
    plan = cheap_plan([source], tmp_path / "run")
    WRITERS["parquet"](tmp_path, 100)
    os.utime(source, ns=(1, before.st_mtime_ns))
    assert source.stat().st_size == before.st_size
    again = cheap_plan([source], tmp_path / "run")
    assert again.differences(plan.to_json()) == "1 input file modified or touched"
    assert read_plan(plan.to_json()).inputs[0].footer == plan.inputs[0].footer != ""
    assert cheap_run(plan, tmp_path / "run") == {"records": RECORDS, "scored": 0, "rejected": RECORDS}
    assert reasons(tmp_path / "run") == {"changed_source"}


def pq_table(content: list[dict[str, Any]], schema: Any) -> Any:
    return pa.Table.from_pylist(content, schema)


def test_only_the_image_that_changed_is_rejected(tmp_path: Path) -> None:
    folder = WRITERS["images"](tmp_path, 200)
    plan = cheap_plan([folder], tmp_path / "run")
    (folder / "3.bmp").write_bytes(picture(1, 1))
    later(folder / "3.bmp")
    assert cheap_run(plan, tmp_path / "run") == {"records": RECORDS, "scored": RECORDS - 1, "rejected": 1}
    assert places(tmp_path / "run") == [(f"{folder}/{number}.bmp", 0) for number in range(RECORDS)]


def test_a_metadata_file_that_changed_rejects_what_it_describes(tmp_path: Path) -> None:
    folder = WRITERS["images"](tmp_path, 200)
    (folder / "metadata.csv").write_text("file_name,labels\n0.bmp,cat\n")
    plan = cheap_plan([folder], tmp_path / "run")
    (folder / "metadata.csv").write_text("file_name,labels\n0.bmp,dog\n")
    later(folder / "metadata.csv")
    read_metadata.cache_clear()  # as in a process that did not plan: this one still has what was planned
    assert cheap_run(plan, tmp_path / "run") == {"records": RECORDS, "scored": 0, "rejected": RECORDS}
    assert reasons(tmp_path / "run") == {"changed_source"}


def test_a_file_that_came_after_its_absence_was_planned_stays_missing(tmp_path: Path) -> None:
    folder = WRITERS["images"](tmp_path, 200)
    (folder / "metadata.csv").write_text("file_name,labels\nlate.bmp,cat\n")
    plan = cheap_plan([folder], tmp_path / "run")
    (folder / "late.bmp").write_bytes(picture(1, 1))
    assert cheap_run(plan, tmp_path / "run") == {"records": RECORDS + 1, "scored": RECORDS, "rejected": 1}
    assert reasons(tmp_path / "run") == {"missing_file"}


def test_an_input_that_changes_while_it_is_read_is_found_when_its_shard_is_done(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its bytes are those of the plan when it is opened, and half of them are not when it has been read."""
    source = WRITERS[kind](tmp_path, 200)
    plan = cheap_plan([source], tmp_path / "run")
    spoilt = source / "0.bmp" if source.is_dir() else source
    described = local_walk.described
    seen: list[str] = []

    def change_after_the_first_look(path: str, status: os.stat_result) -> Any:
        found = described(path, status)
        if path == str(spoilt):
            seen.append(path)
            if len(seen) == 1:
                later(spoilt)
        return found

    monkeypatch.setattr(local, "described", change_after_the_first_look)
    monkeypatch.setattr("bulklabel.transforms.files.local_file.described", change_after_the_first_look)
    assert cheap_run(plan, tmp_path / "run")
    assert len(seen) > 1
    assert reasons(tmp_path / "run") == {"changed_source"}


def test_a_killed_run_is_not_continued_with_inputs_that_changed_meanwhile(kind: str, tmp_path: Path) -> None:
    source = WRITERS[kind](tmp_path, 200)
    plan, output = cheap_plan([source], tmp_path / "run"), tmp_path / "run"

    def die(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cheap_run(plan, output, before=die)
    assert plan_again(source, output) == plan
    later(source)
    with pytest.raises(UserError, match=r"input files? modified or touched"):
        cheap_run(plan_again(source, output), output)
    cheap_run(plan_again(source, output), output, overwrite=True)
    assert not reasons(output)


def plan_again(source: Path, output: Path) -> Plan:
    return cheap_plan([source], output)


def test_what_has_the_same_bytes_is_the_same_for_those_who_do_not_trust_times(kind: str, tmp_path: Path) -> None:
    source = WRITERS[kind](tmp_path, 200)
    plan = cheap_plan([source], tmp_path / "run", by_bytes=True)
    WRITERS[kind](tmp_path, 200)
    later(source)
    assert cheap_plan([source], tmp_path / "run", by_bytes=True) == plan
    assert cheap_run(plan, tmp_path / "run") == {"records": RECORDS, "scored": RECORDS, "rejected": 0}


def test_what_has_the_same_time_is_not_the_same_for_those_who_do_not_trust_times(kind: str, tmp_path: Path) -> None:
    source = WRITERS[kind](tmp_path, 200)
    files = [*source.glob("*")] if source.is_dir() else [source]
    times = {file: file.stat().st_mtime_ns for file in files}
    plan, trusting = cheap_plan([source], tmp_path / "run", by_bytes=True), cheap_plan([source], tmp_path / "other")
    WRITERS[kind](tmp_path, 100)
    for file, time in times.items():
        os.utime(file, ns=(time, time))
    planned_files._hash_of_version.cache_clear()  # as in another process: within one, times are trusted
    assert cheap_plan([source], tmp_path / "other") == trusting
    assert cheap_plan([source], tmp_path / "run", by_bytes=True) != plan
    assert cheap_run(plan, tmp_path / "run")
    assert reasons(tmp_path / "run") == {"changed_source"}
