"""The manifest: complete, reconciled, named by `_SUCCESS`, and silent about what is nobody's business."""

import hashlib
import itertools
import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from bulklabel.model.errors import StoreError
from bulklabel.transforms.concurrency.stage_clock import STAGES, StageClock
from bulklabel.transforms.evaluating import publish as publishing
from bulklabel.transforms.run_directory.file_names import PLAN_FILE, PUBLISHED
from bulklabel.transforms.run_directory.manifest import (
    UnreconciledError,
    Written,
    build_manifest,
    launch_of,
    now,
    read_manifest,
)
from bulklabel.transforms.run_directory.parts import PART_KINDS, Entry
from bulklabel.transforms.run_directory.plan import read_plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.run_directory.success import REQUESTED
from tests.conftest import score

COUNTS = {"records": 12, "scored": 10, "rejected": 2}


def manifest_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "manifest.json").read_bytes())
    return content


def test_success_names_the_manifest_and_what_it_was_accepted_under(finished: Path) -> None:
    manifest = (finished / "manifest.json").read_bytes()
    stated = json.loads((finished / "_SUCCESS").read_bytes())
    assert stated.pop("manifest") == hashlib.sha256(manifest).hexdigest()
    assert stated == {name: json.loads(manifest)[name] for name in ("plan", *REQUESTED)}


def test_the_manifest_has_every_published_file(finished: Path) -> None:
    names = {PLAN_FILE, *PUBLISHED} - {"manifest.json"}
    assert {path.name for path in finished.iterdir() if path.is_file()} == names | {"manifest.json", "_SUCCESS"}
    entries = {entry["name"]: entry for entry in manifest_of(finished)["published"]}
    assert entries.keys() == names
    for name in names:
        content = (finished / name).read_bytes()
        assert entries[name]["bytes"] == len(content)
        assert entries[name]["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_manifest_says_how_the_run_came_about(finished: Path, corpus: Path, model_directory: Path) -> None:
    manifest = manifest_of(finished)
    assert manifest["options"]["input"] == [str(corpus)]
    assert manifest["options"]["layout"] == "wide"
    assert manifest["options"]["threshold"] is None
    assert manifest["model_directory"] == str(model_directory)
    assert manifest["versions"].keys() > read_plan((finished / "plan.json").read_bytes()).recipe.versions.keys()
    for name in ("apache-beam", "pyarrow", "tensorflow"):
        assert manifest["versions"][name] == version(name)
    assert manifest["platform"]["cores"] >= 1
    timings = manifest["timings"]
    started, ended = (datetime.fromisoformat(timings[name]) for name in ("started", "ended"))
    assert started <= ended
    assert started.utcoffset() == ended.utcoffset() == now().utcoffset()
    outside = timings["seconds_to_first_batch"], timings["seconds_from_last_batch"]
    assert min(outside) > 0
    assert sum(outside) <= (ended - started).total_seconds() + 0.01
    assert set(timings["seconds"]) == set(STAGES)
    assert all(seconds > 0 for seconds in timings["seconds"].values())


def test_a_continued_run_counts_no_time_for_what_was_there_and_tells_no_secret(
    finished: Path, corpus: Path, model_directory: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "_SUCCESS").unlink()
    assert score(corpus, model_directory, run, "--s3_secret_access_key=hush", "--store_retries=3") == 0
    before, after = manifest_of(finished), manifest_of(run)
    assert after["timings"]["seconds"] == dict.fromkeys(STAGES, 0)
    assert after["timings"]["seconds_to_first_batch"] is after["timings"]["seconds_from_last_batch"] is None
    assert after["options"]["store_retries"] == 3
    assert b"hush" not in (run / "manifest.json").read_bytes()
    same = before.keys() - {"timings", "options", "published"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    files, files_before = ({file["name"]: file for file in content["published"]} for content in (after, before))
    assert files.keys() == files_before.keys()
    assert [name for name in files if files[name] != files_before[name]] == ["report.html"]  # it names its folder


def manifest_with(
    finished: Path, predictions: list[int], rejected: list[int], places: int = 0, **counts: int
) -> dict[str, Any]:
    """A manifest of a plan of two shards, of parts with so many rows, that was started 100 s ago.

    The network answered for the first part's batches 90 and 80 s ago, for each further one 10 s later.
    """
    plan = read_plan((finished / "plan.json").read_bytes())
    stamp = replace(plan, shards=plan.shards[:2]).stamp
    entries: list[Entry] = [
        {"name": stamp.name_of(kind, index), "rows": count, "bytes": 1, "sha256": ""}
        for kind, rows in zip(PART_KINDS, (predictions, rejected), strict=True)
        for index, count in enumerate(rows)
    ]
    started = now() - timedelta(seconds=100)
    begun = [started.timestamp() + 10 + 10 * number for number in range(len(entries))]
    written = [  # the sum of their places is 2⁶⁴
        Written(entry, {"reading": 0.25}, places=2**62, answered=(time, time + 10))
        for entry, time in zip(reversed(entries), begun, strict=True)
    ]
    launch = launch_of({"model": "m"}, started)
    return build_manifest({"versions": {}}, stamp, launch, {"counts": COUNTS | counts}, written, places, [])


def test_parts_are_listed_in_order_and_their_seconds_summed(finished: Path) -> None:
    manifest = manifest_with(finished, [4, 6], [2, 0])
    assert [entry["rows"] for kind in PART_KINDS for entry in manifest[kind]] == [4, 6, 2, 0]
    timings = manifest["timings"]
    assert timings["seconds"] == {"reading": 1, "decoding": 0, "predicting": 0, "writing": 0}
    assert timings["seconds_to_first_batch"] == 10
    assert timings["seconds_from_last_batch"] == pytest.approx(50, abs=1)


@pytest.mark.parametrize(
    ("predictions", "rejected", "counts", "words"),
    [
        ([4, 6], [2], {}, "1 parts of rejected for 2 shards"),
        ([10], [2, 0], {}, "1 parts of predictions for 2 shards"),
        ([4, 6, 0], [2, 0], {}, "3 parts of predictions for 2 shards"),
        ([4, 5], [2, 0], {}, "predictions have 9 rows, and 10 records were counted"),
        ([4, 6], [2, 1], {}, "rejected have 3 rows, and 2 records were counted"),
        ([4, 6], [2, 0], {"records": 13}, "of 13 records some are neither"),
        ([4, 6], [2, 0], {"places": 1}, "other records than those that were counted"),
    ],
)
def test_parts_and_counts_that_do_not_reconcile_are_our_mistake(
    finished: Path, predictions: list[int], rejected: list[int], counts: dict[str, int], words: str
) -> None:
    with pytest.raises(UnreconciledError, match=words):
        manifest_with(finished, predictions, rejected, **counts)


def test_options_with_wild_bytes_can_be_written() -> None:
    launch = launch_of({"model": "m\udcff", "input": ["a\udcfe"], "slice_by": [], "layout": "wide"}, now())
    content = json.loads(publishing.to_json({"options": launch.options, "model": launch.model_directory}))
    assert content["options"]["input"] == ["a\\udcfe"]
    assert content["model"].endswith("/m\\udcff")


def test_a_plan_that_another_run_replaced_is_not_published_under(finished: Path, tmp_path: Path) -> None:
    stamp = read_plan((finished / "plan.json").read_bytes()).stamp
    assert RunDirectory(str(finished), stamp).read("plan.json") == (finished / "plan.json").read_bytes()
    for content in (None, b"{", b'{"digest": "another"}', b"[]"):
        if content is not None:
            (tmp_path / "plan.json").write_bytes(content)
        with pytest.raises(StoreError, match="while it went on"):
            RunDirectory(str(tmp_path), stamp).read("plan.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000, b'{"plan": 1}'],
)
def test_what_is_no_manifest_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_manifest(content)


@pytest.mark.parametrize("name", ["plan", "counts", "published", "predictions", "model_directory"])
def test_a_manifest_that_lacks_something_is_a_value_error(finished: Path, name: str) -> None:
    manifest = manifest_of(finished)
    assert read_manifest(json.dumps(manifest).encode()).counts["records"] == 4800
    for value in (None, 7, [7], "text", [{"name": "x"}]):
        if name in ("plan", "model_directory"):
            manifest.pop(name, None)
        else:
            manifest[name] = value
        with pytest.raises(ValueError):  # noqa: PT011
            read_manifest(json.dumps(manifest).encode())


def test_the_clock_counts_waiting_for_items_and_not_what_is_done_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("bulklabel.transforms.concurrency.stage_clock.time.monotonic", lambda: next(ticks))
    clock = StageClock()
    items = []
    for item in clock.measure_each("reading", "ab"):
        items.append(item)
        next(ticks)
    with clock.measure("decoding"):
        next(ticks)
    clock.add("decoding", 0.5)
    assert items == ["a", "b"]
    assert clock.seconds == {"reading": 3, "decoding": 2.5, "predicting": 0, "writing": 0}
