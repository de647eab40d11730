"""Nights: each scores what is new since the earlier ones, and together they hold what one run over everything holds."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulklabel.model.errors import RecordError
from bulklabel.model.images.demo_collages import DIGITS
from bulklabel.model.images.kinds import Kind
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.labels.predictions import predictions_table, with_kinds
from bulklabel.transforms.reading.records import RECORD_SCHEMA, RecordTable, Unreadable
from bulklabel.transforms.reuse.known_images import load_known_images, outcomes_of_part
from bulklabel.transforms.reuse.skip_known_images import KnownImageFilter
from bulklabel.transforms.run_directory.part_tables import rejected_row_of
from bulklabel.transforms.run_directory.plan import Recipe
from bulklabel.transforms.scoring.model_files import save_model
from tests.conftest import (
    DEFAULT,
    ROOT,
    collage_rows,
    metrics_of,
    part_of,
    predictions_of,
    rejected_of,
    sign,
    untrained_model,
    write_parquet,
)

ROWS = collage_rows(70, seed=11)
FILE_ROWS = 10


@dataclass(frozen=True)
class Nights:
    """A folder of pictures that changes, a model, and runs side by side."""

    root: Path
    model: Path

    @property
    def pictures(self) -> Path:
        return self.root / "pictures"

    def put(self, kind: str, number: int, seed: int = 0, modified: int = 1_000) -> Path:
        """Make, or change, the file of a number: a Parquet file of ten records, or an image of a class of its own."""
        rows = (ROWS[seed:] + ROWS[:seed])[number * FILE_ROWS : (number + 1) * FILE_ROWS]
        if kind == "parquet":
            path = write_parquet(self.pictures / f"{number}.parquet", [*rows, {"id": f"bad{number}", "image": b"no"}])
        else:
            path = self.pictures / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(rows[0]["image"])
        os.utime(path, (modified, modified))
        return path

    def score(self, name: str, *flags: str, since: tuple[str, ...] = (), exit_code: int = 0) -> Path:
        """One night's run."""
        from bulklabel.pipelines.score import main

        output = self.root / name
        earlier = [f"--since={self.root / run}" for run in since]
        given = [f"--input={self.pictures}", f"--model={self.model}", f"--output={output}", "--max_rejected_fraction=1"]
        assert main([*given, *earlier, *flags]) == exit_code
        return output


def verify(run: Path) -> None:
    """Look for faults in a run, and score some of its records again."""
    from bulklabel.pipelines.verify import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main([str(run), "--sample=9"]) == 0
    assert f"{min(9, predictions_of(run).num_rows)} records scored again" in said.getvalue()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "digits"
    save_model(untrained_model(tuple(DIGITS)), str(folder))
    return folder


@pytest.fixture
def nights(tmp_path: Path, digits: Path) -> Nights:
    return Nights(tmp_path, digits)


def rows_of(*runs: Path) -> list[dict[str, Any]]:
    """All rows of some runs, scored and rejected, in one order."""
    scored = [predictions_of(run).to_pylist() for run in runs if any(run.glob("predictions/*"))]
    rows = [*(row for rows in scored for row in rows), *(row for run in runs for row in rejected_of(run))]
    return sorted(rows, key=lambda row: (row["source"], row["position"]))


def names_of(run: Path) -> set[str]:
    """The files that a run has rows of."""
    return {Path(row["source"]).name for row in rows_of(run)}


def manifest_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "manifest.json").read_bytes())
    return content


@pytest.mark.parametrize("kind", ["parquet", "images"])
def test_a_night_scores_what_is_new_or_has_changed(
    nights: Nights, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [nights.put(kind, number) for number in range(4)]
    first = nights.score("first")
    sizes = [path.stat().st_size for path in paths]
    paths[0].unlink()
    content = bytearray(paths[1].read_bytes())
    content[len(content) // 2] ^= 1
    paths[1].write_bytes(content)
    assert paths[1].stat().st_size == sizes[1]
    new = nights.put(kind, 4)
    capsys.readouterr()
    second = nights.score("second", since=("first",))
    kept = [row for row in rows_of(first) if row["source"] in (str(paths[2]), str(paths[3]))]
    scored = sum("stage" not in row for row in kept)
    said = f"{scored} records were scored and {len(kept) - scored} rejected before in {first}; {len(kept)} are new."
    assert said in capsys.readouterr().out
    assert names_of(second) == {paths[1].name, new.name}
    everything = nights.score("everything")
    assert sorted(kept + rows_of(second), key=lambda row: (row["source"], row["position"])) == rows_of(everything)
    reused = manifest_of(second)["reused"]
    assert {name: reused[name] for name in ("records", "scored", "rejected")} == {
        "records": len(kept),
        "scored": scored,
        "rejected": len(kept) - scored,
    }
    assert [run["run"] for run in reused["runs"]] == [str(first)]
    assert "reused" not in manifest_of(everything)


def test_a_night_with_nothing_new_ends_well(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the network, which would take longer to load than all the rest."""
    nights.put("parquet", 0)
    nights.score("first")
    arguments = [f"--input={nights.pictures}", f"--model={nights.model}", f"--output={nights.root / 'second'}"]
    arguments.append("--max_rejected_fraction=1")
    code = (
        "import sys; from bulklabel.pipelines.score import main; sys.exit(main(sys.argv[1:]) or 'keras' in sys.modules)"
    )
    command = [sys.executable, "-c", code, *arguments, f"--since={nights.root / 'first'}"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "nothing is new" in done.stdout
    second = nights.root / "second"
    assert (second / "_SUCCESS").exists()
    assert metrics_of(second)["counts"]["records"] == 0
    assert manifest_of(second)["predictions"] == []
    assert len((second / "report.html").read_bytes()) < 100_000  # nothing is drawn, so nothing that draws is in it
    capsys.readouterr()
    nights.score("second", since=("first",))
    assert "nothing to do" in capsys.readouterr().out
    third = nights.score("third", "--carry_over", since=("second", "first"))
    assert rows_of(third) == rows_of(nights.root / "first")


def test_a_touched_file_makes_another_plan_and_is_scored_by_the_next_night(
    nights: Nights, capsys: pytest.CaptureFixture[str]
) -> None:
    path = nights.put("images", 0)
    nights.put("images", 1)
    nights.score("first")
    os.utime(path, (2_000, 2_000))
    nights.score("first", exit_code=2)
    assert "(1 input file modified or touched)" in capsys.readouterr().err
    assert names_of(nights.score("second", since=("first",))) == {path.name}


def test_nights_overlap_and_follow_each_other(nights: Nights) -> None:
    for number in range(2):
        nights.put("images", number)
    nights.score("first")
    nights.put("images", 2)
    nights.score("overlapping")
    nights.put("images", 3)
    assert names_of(nights.score("third", since=("first", "overlapping"))) == {"3.png"}
    nights.put("images", 4)
    fourth = nights.score("fourth", since=("third", "first", "overlapping", "first"))
    assert names_of(fourth) == {"4.png"}
    assert [run["scored"] for run in manifest_of(fourth)["reused"]["runs"]] == [1, 2, 1]
    fifth = nights.score("fifth", since=("third", "fourth"))
    assert names_of(fifth) == {"0.png", "1.png", "2.png"}


def test_what_was_scored_otherwise_is_scored_again(
    nights: Nights, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nights.put("images", 0)
    described(nights)
    first = nights.score("first", "--threshold=0.5")
    save_model(untrained_model(tuple(DIGITS[::-1])), str(tmp_path / "other"))
    for name, flags, words in (
        ("model", (f"--model={tmp_path / 'other'}",), "model changed from "),
        ("columns", ("--id_column=file_name",), "columns changed"),
        ("carried", ("--carry=file_name", "--carry_over"), "it did not carry file_name"),
    ):
        capsys.readouterr()
        run = nights.score(name, *flags, since=("first",))
        assert f"warning: --since {first}: nothing of it can be reused ({words}" in capsys.readouterr().err
        assert "0.png" in names_of(run)
        assert manifest_of(run)["reused"]["records"] == 0
    assert not rows_of(nights.score("threshold", "--threshold=0.1", "--carry=file_name", since=("first",)))


def test_a_run_that_is_none_is_refused(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    nights.put("images", 0)
    first = nights.score("first")
    (first / "_SUCCESS").unlink()
    for since, words in (
        (("first",), "the run has not finished, _SUCCESS is missing"),
        (("nothing",), "is not a finished run: manifest.json is missing"),
        (("second",), "is the output itself"),
    ):
        nights.score("second", since=since, exit_code=2)
        assert words in capsys.readouterr().err
    nights.score("second", "--carry_over", exit_code=2)
    assert "--carry_over has nothing to carry over" in capsys.readouterr().err
    assert not (nights.root / "second").exists()


def test_a_file_that_cannot_be_used_is_looked_at_each_night_and_counted_once(nights: Nights) -> None:
    nights.put("parquet", 0)
    broken = nights.put("parquet", 1)
    content = broken.read_bytes()
    broken.write_bytes(bytes(len(content)))
    os.utime(broken, (1_000, 1_000))
    assert [row["reason"] for row in rejected_of(nights.score("first"))] == ["not_an_image", "damaged_file"]
    second = nights.score("second", since=("first",))
    assert not rows_of(second)
    assert manifest_of(second)["reused"]["rejected"] == 2
    carried = nights.score("carried", "--carry_over", since=("first",))
    assert rows_of(carried) == rows_of(nights.root / "first")
    broken.write_bytes(content)
    os.utime(broken, (1_000, 1_000))  # as if a store had given damaged bytes that night
    assert len(rows_of(nights.score("third", since=("first", "second")))) == FILE_ROWS + 1


def described(nights: Nights, *more: dict[str, Any]) -> None:
    """A metadata file with the truth of some images, one that is not there, and a row that cannot be used."""
    rows = [{"file_name": f"{number}.png", "labels": ROWS[number * FILE_ROWS]["labels"]} for number in range(5)]
    lines = [json.dumps(row) for row in [*rows, {"file_name": "missing.png"}, *more, {"labels": []}]]
    (nights.pictures / "metadata.jsonl").write_text("\n".join(lines))


@pytest.mark.parametrize("kind", ["parquet", "images"])
def test_what_is_carried_over_is_what_a_run_over_everything_says(nights: Nights, kind: str) -> None:
    for number in range(4):
        nights.put(kind, number)
    if kind == "images":
        described(nights)
    nights.score("first", "--layout=list", "--threshold=0.45")
    (nights.pictures / ("1.parquet" if kind == "parquet" else "1.png")).unlink()
    nights.put(kind, 2, seed=5, modified=2_000)
    nights.put(kind, 4)
    if kind == "images":
        described(nights, {"file_name": "later.png"})
    flags = ("--threshold=0.51",)
    second = nights.score("second", "--carry_over", *flags, since=("first",))
    nights.put(kind, 5)
    third = nights.score("third", "--carry_over", *flags, since=("second",))
    verify(third)
    everything = nights.score("everything", *flags)
    assert (third / "metrics.json").read_bytes() == (everything / "metrics.json").read_bytes()
    assert rows_of(third) == rows_of(everything)
    assert predictions_of(third).schema.equals(predictions_of(everything).schema, check_metadata=False)
    assert manifest_of(third)["reused"]["runs"][0]["run"] == str(second)
    assert len(rows_of(third)) == manifest_of(third)["counts"]["records"]
    assert not rows_of(nights.score("fourth", *flags, since=("third",)))
    assert metrics_of(third)["counts"]["with_truth"] > 0
    assert (third / "report.html").read_text().count("data:image") == (everything / "report.html").read_text().count(
        "data:image"
    )


def test_what_is_named_and_missing_is_no_news(nights: Nights) -> None:
    for number in range(2):
        nights.put("images", number)
    described(nights)
    assert len(rejected_of(nights.score("first"))) == 5
    second = nights.score("second", since=("first",))
    assert not rows_of(second)
    assert manifest_of(second)["reused"]["rejected"] == 5
    nights.put("images", 2)
    assert names_of(nights.score("third", since=("second", "first"))) == {"2.png"}


def test_a_lost_part_is_named_with_the_way_to_mend_it(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        nights.put("parquet", number)
    first = nights.score("first")
    kept = shutil.copytree(first, nights.root / "kept")
    nights.put("parquet", 2)
    part = part_of(first, "rejected", 1)
    content = part.read_bytes()
    part.write_bytes(content[:-9])
    capsys.readouterr()
    nights.score("second", "--carry_over", since=("first",), exit_code=2)
    assert f"rejected/{part.name} is not the part that manifest.json lists; run its command again" in (
        capsys.readouterr().err
    )
    part.write_bytes(content[:-9] + bytes(9))  # its size cannot tell
    nights.score("second", "--carry_over", since=("first",), exit_code=1)
    error = capsys.readouterr().err
    assert error.startswith(f"bulklabel: error: {part} is missing or damaged; delete {first}/_SUCCESS")
    assert error.count("\n") == 1
    (first / "_SUCCESS").unlink()
    (nights.pictures / "2.parquet").rename(nights.root / "2.parquet")
    nights.score("first")
    assert part.read_bytes() == (kept / "rejected" / part.name).read_bytes()
    shutil.move(nights.root / "2.parquet", nights.pictures / "2.parquet")
    second = nights.score("second", "--carry_over", since=("first",))
    assert rows_of(second) == rows_of(nights.score("everything"))


def put_image(nights: Nights, name: str, content: bytes) -> None:
    path = nights.pictures / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (1_000, 1_000))


def contents_night(nights: Nights) -> Path:
    """A first night; after it one picture is renamed, one touched, one there twice, one new, and one still broken."""
    for name, row in zip("abcd", ROWS, strict=False):
        put_image(nights, f"{name}.png", row["image"])
    put_image(nights, "broken.png", b"no image")
    first = nights.score("first", "--match=content")
    (nights.pictures / "a.png").rename(nights.pictures / "z.png")
    os.utime(nights.pictures / "b.png", (2_000, 2_000))
    shutil.copy(nights.pictures / "c.png", nights.pictures / "copy.png")
    (nights.pictures / "broken.png").rename(nights.pictures / "unfit.png")
    for name in ("new.png", "new-again.png"):
        put_image(nights, name, ROWS[50]["image"])
    return first


def test_images_are_known_whatever_they_are_called(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    first = contents_night(nights)
    second = nights.score("second", "--match=content", since=("first",))
    assert names_of(second) == {"new.png", "new-again.png"}
    one, other = predictions_of(second).drop_columns(["id", "source"]).to_pylist()
    assert one == other
    assert one["content"] == hashlib.blake2b(ROWS[50]["image"], digest_size=16).digest()
    reused = {"run": str(first), "scored": 5, "rejected": 1}
    manifest = manifest_of(second)
    assert manifest["reused"]["runs"] == [reused | {"plan_digest": manifest_of(first)["plan"]}]
    assert manifest["counts"]["records"] + manifest["reused"]["records"] == len(list(nights.pictures.iterdir()))
    assert "6 records needed no scoring" in capsys.readouterr().out
    (second / "_SUCCESS").unlink()
    nights.score("second", "--match=content", since=("first",))
    assert manifest_of(second) | {"timings": {}} == manifest | {"timings": {}}
    verify(second)
    third = nights.score("third", "--match=content", since=("second", "first"))
    assert manifest_of(third)["counts"]["records"] == 0


def test_answers_are_carried_over_by_content(nights: Nights) -> None:
    first = contents_night(nights)
    carried = nights.score("carried", "--match=content", "--carry_over", "--threshold=0.49", since=("first",))
    verify(carried)
    everything = nights.score("everything", "--match=content", "--threshold=0.49")
    assert rows_of(carried) == rows_of(everything)
    assert len(rows_of(carried)) == len(list(nights.pictures.iterdir()))
    assert (carried / "metrics.json").read_bytes() == (everything / "metrics.json").read_bytes()
    assert manifest_of(carried)["reused"]["records"] == 6
    (part,) = first.glob("predictions/*")
    table = pq.read_table(part)
    pq.write_table(table.set_column(table.column_names.index("prob_0"), "prob_0", pa.array([0.25] * 4, "f4")), part)
    sign(first)
    outcomes_of_part.cache_clear()
    again = nights.score("again", "--match=content", "--carry_over", since=("first",))
    found = {Path(row["source"]).stem: row["prob_0"] for row in predictions_of(again).to_pylist()}
    assert {name for name, probability in found.items() if probability == 0.25} == {"b", "c", "copy", "d", "z"}


def test_an_image_is_let_through_once() -> None:
    """And records without an image, of which nobody knows whether they are the same, each time."""
    recipe = Recipe("parquet", DEFAULT, "", ("a",), Preprocessing(8, 8), (0.5,), None, "wide", 8, {}, by_content=True)
    images = [b"one", b"two", b"one", None, None, b"two", b"three"]
    rows = [{"id": str(index), "source": "s", "position": index} for index in range(len(images))]
    known_filter = KnownImageFilter(recipe, load_known_images(recipe))
    tables = [
        RecordTable(pa.Table.from_pylist(rows[first:stop], RECORD_SCHEMA), images[first:stop])
        for first, stop in ((0, 3), (3, 5), (5, 7))
    ]
    fresh = [table for table in known_filter.new_records(tables) if not isinstance(table, Unreadable)]
    assert [image for table in fresh for image in table.images] == [b"one", b"two", None, None, b"three"]
    records = pa.concat_tables(table.rows for table in fresh)
    assert records.column("position").to_pylist() == [0, 1, 3, 4, 6]
    answered = with_kinds(records.take(pa.array([0, 4])), [Kind("PNG", 32), Kind("JPEG", 64)])
    predictions = predictions_table(answered, np.array([[0.75], [0.25]], np.float32), (0.5,), ("a",), "wide")
    refused = [rejected_row_of(records, row, RecordError("decode", "odd", "")) for row in (1, 2, 3)]
    table, rejected, reused = known_filter.joined(predictions, refused)
    assert [(row["position"], row["prob_a"]) for row in table.to_pylist()] == [(0, 0.75), (2, 0.75), (6, 0.25)]
    found = sorted((row["position"], row["reason"], row["content"] is None) for row in rejected)
    assert found == [(1, "odd", False), (3, "odd", True), (4, "odd", True), (5, "odd", False)]
    assert reused == []


def test_contents_that_were_never_noted_cannot_be_compared(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    nights.put("images", 0)
    nights.score("first")
    nights.score("second", "--match=content", since=("first",), exit_code=2)
    assert "it was scored without --match content" in capsys.readouterr().err
