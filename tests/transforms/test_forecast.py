"""The forecast of a run: arithmetic on what a rehearsal took, and the bytes of records that nobody has counted."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from bulklabel.model.labels.label_rule import NO_TRUTH
from bulklabel.transforms.demo_formats import write_layout
from bulklabel.transforms.forecasting.count_records import bytes_a_record
from bulklabel.transforms.forecasting.forecast import GRAPH_SHARE, Rehearsal, forecast
from bulklabel.transforms.reading.find_shards import find_shards
from bulklabel.transforms.reading.records import Columns, ReadSpec
from bulklabel.transforms.run_directory.file_names import CURVES_FILE
from bulklabel.transforms.run_directory.plan import Plan, read_plan
from tests.conftest import collage_rows

STAGES = {"reading": 1.0, "decoding": 2.0, "predicting": 6.0, "writing": 0.0}
REHEARSAL = Rehearsal(100, 3, 5.0, 9.0, STAGES, 1000, {CURVES_FILE: 50, "report.html": 7}, 1000, 0.5, 0.4, 0, 10**9)


@pytest.fixture
def plan(finished: Path) -> Plan:
    return read_plan((finished / "plan.json").read_bytes())


def test_records_are_scaled_and_what_is_done_once_is_not(plan: Plan) -> None:
    left = [shard.index for shard in plan.shards[:2]]
    records = sum(shard.records or 0 for shard in plan.shards[:2])
    found = forecast(plan, left, 10.0, 8.0, REHEARSAL)
    times = records / 100
    assert (found.records, found.counted, found.memory_bytes) == (records, True, 10**9)
    assert found.startup == 10 * (1 + GRAPH_SHARE)
    assert found.end == 0.5
    assert found.seconds == pytest.approx(found.startup + 5 * times + 0.5)
    assert found.processor_seconds == pytest.approx(8 * (1 + GRAPH_SHARE) + 9 * times + 0.4)
    assert found.output_bytes == pytest.approx(1000 * times + 50 * times + 7 + len(plan.to_json()), abs=1)


def test_curves_grow_no_further_than_their_most_rows(plan: Plan) -> None:
    left = [shard.index for shard in plan.shards]
    small, full = (
        forecast(plan, left, 1, 1, replace(REHEARSAL, curve_rows=rows, part_bytes=0)).output_bytes
        for rows in (1000, 2_000_000)
    )
    assert small - full == pytest.approx(50 * (sum(shard.records or 0 for shard in plan.shards) / 100 - 1), abs=1)


def test_shards_whose_examples_are_shown_are_read_again(plan: Plan) -> None:
    left = [shard.index for shard in plan.shards]
    ends = [forecast(plan, left, 1, 1, replace(REHEARSAL, examples=count)).end for count in (0, 1, len(left), 10**6)]
    assert ends[0] < ends[1] < ends[2] == ends[3]


def test_files_that_nobody_has_counted_are_estimated_by_their_size(plan: Plan) -> None:
    shard = replace(plan.shards[0], records=None, start=0, stop=None)
    found = forecast(replace(plan, shards=(shard,)), [0], 1, 1, replace(REHEARSAL, bytes_a_record=100.0))
    size = next(file.size for file in plan.inputs if file.path == shard.source)
    assert (found.records, found.counted) == (round(size / 100), False)


@pytest.mark.parametrize(
    ("input_format", "packed"), [("tfrecord", False), ("webdataset", False), ("tfrecord", True), ("parquet", False)]
)
def test_a_record_is_measured_from_header_to_header_where_that_can_be_done(
    input_format: str, packed: bool, tmp_path: Path
) -> None:
    rows = [{name: row[name] for name in ("id", "image", "labels")} for row in collage_rows(200)]
    write_layout(input_format, str(tmp_path), rows, 0, 1)
    (path,) = tmp_path.iterdir()
    size = path.stat().st_size
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    _, inputs = find_shards([str(path)], input_format, Columns())
    shards = [replace(shard, sources=inputs.files) for shard in inputs.shards]
    found = bytes_a_record(shards, ReadSpec(input_format, Columns(), None, 256, NO_TRUTH))
    if input_format == "parquet":
        assert found is None
    elif packed:
        assert found == pytest.approx(sum(len(row["image"]) for row in rows) / 200, rel=0.1)
    else:
        assert found == pytest.approx(size / 200, rel=0.05)
