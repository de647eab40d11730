"""The page on files: its tables are what pyarrow, DuckDB and Polars see of a run."""

import json
import re
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from bulklabel.pipelines.demo import SHIPPED
from bulklabel.transforms.run_directory.file_names import PLAN_FILE
from tests.conftest import ROOT, metrics_of
from tests.durability.forked import Run
from tests.support import flags_page

PAGE = (ROOT / "docs" / "files.md").read_text()


def section(name: str) -> str:
    """The part of the page below a heading."""
    return PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]


def types(name: str) -> dict[str, tuple[str, str, str]]:
    """Each documented column of a table with its type for Arrow, DuckDB and Polars, those of labels spelt out."""
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \| (.+?) \| (.+?) \|", section(name), re.MULTILINE)
    return {
        column.replace("<label>", label): (arrow.replace("&lt;", "<"), duck, polars)
        for column, arrow, duck, polars in rows
        for label in (("0", "1") if "<label>" in column else ("",))
    }


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("`predictions/part-….parquet`", "predictions/*.parquet"),
        ("`rejected/part-….parquet`", "rejected/*.parquet"),
        ("`threshold_curves.parquet`", "threshold_curves.parquet"),
    ],
)
def test_other_tools_read_what_is_documented(name: str, files: str, undisturbed: Run) -> None:
    documented, pattern = types(name), f"{undisturbed.output}/{files}"
    table = ds.dataset(sorted(str(path) for path in undisturbed.output.glob(files))).to_table()
    shown = {field.name: re.sub(r"element: | not null", "", str(field.type)) for field in table.schema}
    assert shown == {column: arrow for column, (arrow, _, _) in documented.items()}
    relation = duckdb.read_parquet(pattern)
    assert dict(zip(relation.columns, map(str, relation.types), strict=True)) == {
        column: duck for column, (_, duck, _) in documented.items()
    }
    frame = pl.read_parquet(pattern)
    assert {column: str(kind) for column, kind in frame.schema.items()} == {
        column: polars for column, (_, _, polars) in documented.items()
    }
    order = ["source", "position"] if "source" in frame.columns else ["label", "threshold"]
    ours = table.sort_by([(column, "ascending") for column in order]).to_pylist()
    assert frame.sort(order).to_dicts() == ours
    rows = relation.order(", ".join(order)).fetchall()
    assert [dict(zip(frame.columns, row, strict=True)) for row in rows] == ours


BIGQUERY = {  # what BigQuery's documentation makes of Parquet's own types; a list's name is followed by `.list.element`
    ("BYTE_ARRAY", "String"): "STRING",
    ("INT64", "None"): "INT64",
    ("FLOAT", "None"): "FLOAT64",
    ("DOUBLE", "None"): "FLOAT64",
}


@pytest.mark.parametrize("name", ["`predictions/part-….parquet`", "`rejected/part-….parquet`"])
def test_warehouses_get_the_documented_types(name: str, undisturbed: Run) -> None:
    """By Parquet's own schema, since no warehouse can be asked."""
    rows = re.findall(r"^\| (\S+) \| (\S+?),? .*?\|", section("BigQuery, Spark, Hive"), re.MULTILINE)
    warehouse = {arrow.replace("&lt;", "<"): kind.replace("&lt;", "<") for arrow, kind in rows}
    path = min(undisturbed.output.glob(f"{name[1:].partition('/')[0]}/*.parquet"))
    seen = {}
    for column in map(pq.ParquetFile(path).schema.column, range(pq.read_metadata(path).num_columns)):
        top, *below = column.path.split(".")
        kind = BIGQUERY[column.physical_type, str(column.logical_type)]
        seen[top] = f"ARRAY<{kind}>" if below == ["list", "element"] else kind
        assert column.max_definition_level == (3 if below else 1), "nullable"
    assert seen == {column: warehouse[arrow] for column, (arrow, _, _) in types(name).items()}


def keys(name: str) -> set[str]:
    """The keys in the first column of a table."""
    columns = re.findall(r"^\| (`.+?) \|", section(name), re.MULTILINE)
    return {key for column in columns for key in re.findall(r"`([\w.]+)`", column)}


def test_every_key_and_file_is_on_the_page(undisturbed: Run) -> None:
    run = undisturbed.output
    assert keys("`metrics.json`") == metrics_of(run).keys()
    plan = json.loads((run / PLAN_FILE).read_bytes())
    assert keys("`manifest.json`, `plan.json`, `_SUCCESS`") == plan.keys()
    assert keys("A model directory") == {path.name for path in Path(SHIPPED).iterdir()}
    assert all(f"`{path.name}`" in PAGE for path in run.iterdir() if path.is_file() and path.suffix != ".html")


def test_the_page_on_flags_is_what_the_parsers_say() -> None:
    assert flags_page.PAGE.read_text() == flags_page.page(), "run `python -m tests.support.flags_page`"
