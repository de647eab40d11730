"""`verify` finds every kind of damage to a run, says it in a line, and finds nothing in a run that is whole."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bulklabel.pipelines.verify import main
from bulklabel.transforms.demo_formats import LAYOUTS, write_layout
from bulklabel.transforms.reading.image_metadata import read_metadata
from bulklabel.transforms.run_directory.success import success_of
from bulklabel.transforms.scoring.model_files import save_model
from bulklabel.transforms.verifying.rescore import choose_rows
from tests.conftest import collage_rows, png, score, sign, untrained_model

PART = "predictions/part-00003-of-00008.parquet"
OTHER_PART = "predictions/part-00004-of-00008.parquet"
REJECTED_PART = "rejected/part-00003-of-00008.parquet"


def at(run: Path, name: str) -> Path:
    """Where a part is whose name is given without the plan's digest."""
    (path,) = run.glob(name.replace(".parquet", "-????????.parquet"))
    return path


def verify(run: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, list[str], str]:
    """Exit code, lines on stdout before the summary, without digests in names; and what is on stderr."""
    capsys.readouterr()
    code = main([str(run), *flags])
    printed = capsys.readouterr()
    lines = re.sub(r"(part-\d+-of-\d+)-[0-9a-f]{8}\.parquet", r"\1.parquet", printed.out).splitlines()
    return code, lines[:-1], printed.err


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def edit_json(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content, indent=1))


def flip_a_part(run: Path) -> None:
    flip(at(run, PART), 1000)


def truncate_a_part(run: Path) -> None:
    at(run, PART).write_bytes(at(run, PART).read_bytes()[:-1])


def remove_a_part(run: Path) -> None:
    at(run, REJECTED_PART).unlink()


def add_foreign_files(run: Path) -> None:
    (run / "predictions" / "part-00000-of-00001.parquet").write_bytes(at(run, PART).read_bytes())
    (run / "rejected" / "deeper").mkdir()
    (run / "rejected" / "deeper" / "notes.txt").touch()
    (run / "notes.txt").touch()
    Path(os.fsdecode(os.fsencode(run) + b"/odd\xff\nname")).touch()
    (run / "judged").mkdir()
    (run / "judged" / "report.html").touch()  # a folder of its own is nobody's business


def leave_temporary_files(run: Path) -> None:
    for name in ("predictions/.part", ".manifest"):
        (run / f"{name}.{'0' * 32}.tmp").touch()


def change_the_manifest(run: Path) -> None:
    edit_json(run / "manifest.json", lambda content: content.update(accepted=True, layout="other"))


def tear_the_manifest(run: Path) -> None:
    (run / "manifest.json").write_bytes((run / "manifest.json").read_bytes()[:-40])


def remove_the_manifest(run: Path) -> None:
    (run / "manifest.json").unlink()


def empty_success(run: Path) -> None:
    (run / "_SUCCESS").write_bytes(b"")


def change_counts(run: Path) -> None:
    sign(run, records=4801)


def change_the_metrics(run: Path) -> None:
    flip(run / "metrics.json", 100)


def remove_the_report(run: Path) -> None:
    (run / "report.html").unlink()


def change_the_plan(run: Path) -> None:
    edit_json(run / "plan.json", lambda content: content["recipe"].update(batch_size=1))


def take_another_plan(run: Path) -> None:
    from dataclasses import replace

    from bulklabel.transforms.run_directory.plan import read_plan

    plan = read_plan((run / "plan.json").read_bytes())
    (run / "plan.json").write_bytes(replace(plan, shards=plan.shards[:-1]).to_json())


def remove_the_plan(run: Path) -> None:
    (run / "plan.json").unlink()


def remove_success(run: Path) -> None:
    (run / "_SUCCESS").unlink()


def leave_unfinished(run: Path) -> None:
    for path in (run / "_SUCCESS", run / "manifest.json", at(run, PART), at(run, REJECTED_PART)):
        path.unlink()
    flip(at(run, OTHER_PART), 1000)


def refuse(run: Path) -> None:
    edit_json(run / "manifest.json", lambda content: content.update(accepted=False))
    (run / "_SUCCESS").unlink()


def swap_two_parts(run: Path) -> None:
    one, other = at(run, PART).read_bytes(), at(run, OTHER_PART).read_bytes()
    at(run, PART).write_bytes(other)
    at(run, OTHER_PART).write_bytes(one)
    sign(run)


def lose_a_row(run: Path) -> None:
    rewrite(at(run, PART), lambda table: table.slice(1))
    sign(run)


def lose_a_row_and_count_so(run: Path) -> None:
    rewrite(at(run, PART), lambda table: table.slice(1))
    sign(run, records=4799, scored=4795)


def double_a_row(run: Path) -> None:
    rewrite(at(run, PART), lambda table: table.take([0, 0, *range(2, len(table))]))
    sign(run)


def move_a_row(run: Path) -> None:
    def moved(table: pa.Table) -> pa.Table:
        index = table.column_names.index("position")
        positions = [10_000, *table.column("position").to_pylist()[1:]]
        return table.set_column(index, "position", pa.array(positions))

    rewrite(at(run, PART), moved)
    sign(run)


def lose_a_column(run: Path) -> None:
    rewrite(at(run, PART), lambda table: table.drop_columns(["prob_3"]))
    sign(run)


def write_no_parquet(run: Path) -> None:
    at(run, PART).write_bytes(at(run, PART).read_bytes()[:-1])
    path = run / "manifest.json"
    manifest = json.loads(path.read_bytes())
    (entry,) = (entry for entry in manifest["predictions"] if at(run, PART) == run / entry["name"])
    entry |= {"bytes": entry["bytes"] - 1, "sha256": hashlib.sha256(at(run, PART).read_bytes()).hexdigest()}
    path.write_text(json.dumps(manifest))
    (run / "_SUCCESS").write_bytes(success_of(path.read_bytes()))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (flip_a_part, [f"{PART} was changed: its SHA-256 is"]),
        (truncate_a_part, [f"{PART} has "]),
        (remove_a_part, [f"{REJECTED_PART} is missing"]),
        (
            add_foreign_files,
            [
                "notes.txt does not belong to this run",
                "odd\\udcff name does not belong to this run",
                "predictions/part-00000-of-00001.parquet does not belong to this run",
                "rejected/deeper/notes.txt does not belong to this run",
            ],
        ),
        (
            leave_temporary_files,
            [
                f".manifest.{'0' * 32}.tmp is a temporary file of a run that was killed",
                f"predictions/.part.{'0' * 32}.tmp is a temporary file of a run that was killed",
            ],
        ),
        (change_the_manifest, ["manifest.json is not the one whose SHA-256 _SUCCESS holds"]),
        (
            tear_the_manifest,
            ["manifest.json is damaged", "_SUCCESS stands beside a manifest.json that is damaged, or"],
        ),
        (remove_the_manifest, ["manifest.json is missing"]),
        (empty_success, ["manifest.json is not the one whose SHA-256 _SUCCESS holds"]),
        (change_counts, ["manifest.json: the records are not those scored and those rejected"]),
        (change_the_metrics, ["metrics.json was changed"]),
        (remove_the_report, ["report.html is missing"]),
        (change_the_plan, ["plan.json is damaged"]),
        (take_another_plan, ["plan.json is another plan than manifest.json names"]),
        (remove_the_plan, ["plan.json is missing"]),
        (remove_success, ["_SUCCESS is missing: the run was published and then interrupted; run the same"]),
        (
            leave_unfinished,
            [
                "_SUCCESS is missing: the run has not finished, 7 of 8 shards are done; run the same",
                f"{OTHER_PART} is damaged or another plan's; the same `bulklabel score` makes it again",
            ],
        ),
        (refuse, ["_SUCCESS is missing: the run was published but not accepted"]),
        (swap_two_parts, [f"{PART} is of another shard: its footer says 4, expected 3", f"{OTHER_PART} is of another"]),
        (
            lose_a_row,
            [
                "shard 3 has 600 records of",
                "predictions/ has 4,795 rows, and manifest.json counts 4,796 scored",
                "the parts have other records than those that manifest.json has counted",
            ],
        ),
        (lose_a_row_and_count_so, ["shard 3 has 600 records of", "the parts have other records than those"]),
        (double_a_row, ["shard 3 has record ", "the parts have other records than those"]),
        (move_a_row, ["shard 3 of ", "the parts have other records"]),
        (lose_a_column, [f"{PART} has other columns than the plan asks for"]),
        (write_no_parquet, [f"{PART} is no Parquet file"]),
    ],
)
def test_damage_is_found(
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    expected: list[str],
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    damage(run)
    code, faults, error = verify(run, capsys)
    assert code == 1
    assert len(faults) == len(expected), faults
    for fault, start in zip(faults, expected, strict=True):
        assert fault.startswith(start)
    assert error.startswith(f"bulklabel: error: {run} has ")
    assert error.count("\n") == 1


def test_a_whole_run_has_no_fault(
    finished: Path, corpus: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [verify(finished, capsys, f"--sample={sample}")[0] for sample in (1, 2, 3)] == [0, 0, 0]
    code, lines, error = verify(finished, capsys)
    assert (code, error) == (0, "")
    assert lines[0].startswith(f"{finished} is as its run left it: 16 parts and 6 other files, ")
    assert lines[0].endswith("MB; 4,800 records, 4,796 scored, 4 rejected")
    continued = tmp_path / "continued"
    shutil.copytree(finished, continued)
    leave_unfinished(continued)
    assert score(corpus, model_directory, continued) == 0
    assert verify(continued, capsys)[0] == 0


def test_a_run_that_replaced_another_has_no_fault(
    finished: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    write_layout("parquet", str(tmp_path / "in"), collage_rows(30), 0, 1)
    assert score(tmp_path / "in", model_directory, run, "--overwrite", "--layout=list") == 0
    code, lines, _ = verify(run, capsys, "--sample=5")
    assert code == 0
    assert lines[1] == "5 records scored again: no probability differs by more than 0"


def test_the_model_is_looked_at(
    finished: Path, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(untrained_model(("zebra", "lion")), str(tmp_path / "other"))
    shutil.copytree(model_directory, tmp_path / "torn")
    flip(tmp_path / "torn" / "model.keras", 1000)
    run, moved = tmp_path / "run", tmp_path / "moved"
    shutil.copytree(finished, run)
    edit_json(run / "manifest.json", lambda content: content.update(model_directory=str(moved)))
    sign(run)
    for flags, words in {
        (f"--model={tmp_path / 'other'}",): "now holds",
        (f"--model={tmp_path / 'torn'}",): "model.keras is not the file that model.json describes",
        (): f"{moved} is not a model directory: model.json is missing",
    }.items():
        code, (fault,), _ = verify(run, capsys, *flags, "--sample=1")
        assert code == 1
        assert fault.startswith("model: ")
        assert words in fault
        assert "--model" in fault
    shutil.copytree(model_directory, moved)
    assert verify(run, capsys)[0] == 0


@pytest.mark.parametrize("input_format", list(LAYOUTS))
def test_a_sample_of_every_format_is_scored_again_to_the_same_bits(
    input_format: str, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = collage_rows(60)
    rows[3]["image"] = b"broken"
    for number in range(2):
        write_layout(input_format, str(tmp_path / "in"), rows[number * 30 : (number + 1) * 30], number, 2)
    assert score(tmp_path / "in", model_directory, tmp_path / "run") == 0
    for sample, scored in (("7", 7), ("1000", 59)):
        code, lines, _ = verify(tmp_path / "run", capsys, f"--sample={sample}")
        assert (code, lines[1]) == (0, f"{scored} records scored again: no probability differs by more than 0")


def score_photos(folder: Path, model_directory: Path) -> Path:
    """A run over a folder of 40 images, which is beside it."""
    write_layout("images", str(folder / "in"), collage_rows(40), 0, 1)
    assert score(folder / "in", model_directory, folder / "run") == 0
    return folder / "run"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, model_directory: Path) -> Path:
    return score_photos(tmp_path_factory.mktemp("photos"), model_directory)


def test_a_sample_finds_inputs_that_changed(
    model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = score_photos(tmp_path, model_directory)
    (folder,) = (tmp_path / "in").iterdir()
    gone, grown, swapped, broken, relabelled = (folder / f"r0000{number}.png" for number in range(5))
    gone.unlink()
    grown.write_bytes(grown.read_bytes() + b"more")
    size = swapped.stat().st_size
    other = png(np.zeros((32, 32, 3), np.uint8))
    swapped.write_bytes(other + bytes(size - len(other)))
    broken.write_bytes(bytes(broken.stat().st_size))
    described, whole = folder / "metadata.jsonl", (folder / "metadata.jsonl").read_bytes()
    lines = described.read_text().splitlines()
    labels = json.loads(lines[4])["labels"]
    lines[4] = lines[4].replace(json.dumps(labels), json.dumps(["9", *labels[1:]] if labels[0] != "9" else ["8"]))
    described.write_text("\n".join(lines) + "\n")
    read_metadata.cache_clear()  # which the command, in a process of its own, has not read before
    assert verify(run, capsys)[0] == 0
    code, faults, _ = verify(run, capsys, "--sample=40")
    assert code == 1
    expected = [
        f"input {gone} is gone",
        f"input {grown} changed: it has {size_of(grown)} bytes, and had {size_of(grown, -4)} when it was planned",
        f"input {broken}: record 0 was scored, and now is rejected: ",
        f"input {swapped}: record 0 has 0.",
        f"input {relabelled}: record 0 has labels {labels!r} in its part, and now ",
    ]
    for start in expected:
        matching = [fault for fault in faults if fault.startswith(start)]
        assert len(matching) == 1, (start, faults)
        faults.remove(matching[0])
    assert faults == []
    described.write_bytes(whole + b"\n")
    code, faults, _ = verify(run, capsys, "--sample=40")
    assert code == 1
    assert f"input {described} changed: it has {size_of(described)} bytes, and had {len(whole):,} when" in faults[0]
    assert not any("r0001" in fault for fault in faults)


def size_of(path: Path, more: int = 0) -> str:
    return f"{path.stat().st_size + more:,}"


def test_a_sample_finds_a_file_that_cannot_be_read_any_more(
    model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        write_layout("parquet", str(tmp_path / "in"), collage_rows(20, seed=number), number, 3)
    assert score(tmp_path / "in", model_directory, tmp_path / "run") == 0
    first, second, third = sorted((tmp_path / "in").iterdir())
    first.write_bytes(bytes(first.stat().st_size))
    write_layout("parquet", str(tmp_path / "short"), collage_rows(5), 0, 1)
    (short,) = (tmp_path / "short").iterdir()
    content = short.read_bytes()
    second.write_bytes(content[:4] + bytes(second.stat().st_size - len(content)) + content[4:])
    third.unlink()
    code, faults, _ = verify(tmp_path / "run", capsys, "--sample=3")
    assert code == 1
    assert len(faults) == 3
    assert faults[0].startswith(f"input {first} changed: it cannot be read (")
    assert faults[1] == f"input {second} changed: its records are not where they were planned"
    assert faults[2] == f"input {third} is gone"


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("prob_3", "for '3' in its part, and now gets"),
        ("predicted", "is predicted otherwise in its part than its probabilities and thresholds say"),
        ("labels", "in its part, and now"),
    ],
)
def test_a_sample_finds_a_forgery_whose_checksums_fit(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str, words: str
) -> None:
    def change(table: pa.Table) -> pa.Table:
        index, old = table.column_names.index(column), table.column(column)
        if column == "prob_3":
            new = pc.if_else(pa.array([i == 17 for i in range(40)]), pa.scalar(0.5, pa.float32()), old)
        else:
            rows = old.to_pylist()
            rows[17] = [str(i) for i in range(10)]
            new = pa.array(rows, old.type)
        return table.set_column(index, table.field(index), new)

    run = tmp_path / "run"
    shutil.copytree(photos, run)
    (part,) = run.glob("predictions/*.parquet")
    rewrite(part, change)
    sign(run)
    assert verify(run, capsys)[0] == 0
    code, faults, _ = verify(run, capsys, "--sample=40")
    assert code == 1
    assert "r00017.png: record 0" in faults[0]
    assert words in faults[0]
    assert len(faults) <= 2


def test_what_is_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").touch()
    for flags, words in {(): "holds no run; give an --output of", ("--sample=-1",): "-1 is not 0 or more"}.items():
        code, lines, error = verify(tmp_path, capsys, *flags)
        assert (code, lines) == (2, [])
        assert words in error
        assert error.count("\n") == 1
    assert main(["--direct_num_workers", "2", str(tmp_path)]) == 2
    assert "the run comes first" in capsys.readouterr().err


def test_chosen_rows_are_spread_over_all_parts() -> None:
    rows = [100, 0, 3, 997, 1]
    chosen = choose_rows(rows, 50, "seed")
    assert sum(map(len, chosen.values())) == 50
    numbers = [sum(rows[:part]) + row for part, part_rows in chosen.items() for row in part_rows]
    assert all(0 <= row < rows[part] for part, part_rows in chosen.items() for row in part_rows)
    assert all(at * 1101 // 50 <= number < (at + 1) * 1101 // 50 for at, number in enumerate(numbers))
    assert chosen == choose_rows(rows, 50, "seed") != choose_rows(rows, 50, "another")
    assert choose_rows(rows, 2000, "") == {0: list(range(100)), 2: [0, 1, 2], 3: list(range(997)), 4: [0]}
    assert choose_rows([0], 5, "") == choose_rows([], 5, "") == choose_rows([5], 0, "") == {}
