"""What `--overwrite` deletes: what a run has made, and nothing else."""

import json
from pathlib import Path

import pytest

from bulklabel.model.errors import UserError
from bulklabel.transforms.run_directory.file_names import PUBLISHED, SUCCESS_FILE
from bulklabel.transforms.run_directory.plan import Plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory, State
from tests.conftest import part_of, write_parquet
from tests.support.cheap_runs import cheap_plan, cheap_run, picture

MINE = ["predictions/2023/thesis.txt", "rejected/mine.parquet", "notes.txt"]

NAMED_LIKE_A_PART = "predictions/part-00007-of-00009-0123abcd.parquet"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def plans(tmp_path: Path, output: Path) -> tuple[Plan, Plan]:
    (tmp_path / "a.bmp").write_bytes(picture(1, 1))
    return cheap_plan([tmp_path / "*.bmp"], output), cheap_plan([tmp_path / "*.bmp"], output, threshold="0.1")


def put(output: Path, name: str) -> Path:
    path = output / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"mine")
    return path


@pytest.mark.parametrize("name", [*MINE[:2], NAMED_LIKE_A_PART, *PUBLISHED, SUCCESS_FILE, "plan.json"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_never_held_a_run_is_no_output(
    name: str, overwrite: bool, output: Path, plans: tuple[Plan, Plan]
) -> None:
    path = put(output, name)
    with pytest.raises(UserError, match=f"holds {name}, which no run has made; give another --output"):
        cheap_run(plans[0], output, overwrite)
    assert path.read_bytes() == b"mine"


def test_a_run_that_replaces_another_leaves_what_no_run_has_made(output: Path, plans: tuple[Plan, Plan]) -> None:
    cheap_run(plans[0], output)
    theirs = [put(output, name) for name in MINE]
    directory = RunDirectory(str(output), plans[1].stamp)
    assert sorted(directory.strangers()) == MINE[:2]
    with pytest.raises(UserError, match="holds another plan"):
        directory.start(plans[1], overwrite=False)
    directory.start(plans[1], overwrite=True)
    assert all(path.read_bytes() == b"mine" for path in theirs)
    assert not [*output.glob("predictions/part-*")]


def test_a_file_that_is_named_like_a_part_is_no_runs_before_its_footer_says_so(
    output: Path, plans: tuple[Plan, Plan]
) -> None:
    cheap_run(plans[0], output)
    write_parquet(output / NAMED_LIKE_A_PART, [])
    with pytest.raises(UserError, match=f"holds {NAMED_LIKE_A_PART}, which no run has made"):
        cheap_run(plans[1], output, overwrite=True)
    assert (output / "_SUCCESS").exists()
    RunDirectory(str(output), plans[0].stamp).reopen()
    assert (output / NAMED_LIKE_A_PART).exists()


@pytest.mark.parametrize(
    "left", [["manifest.json"], ["predictions", "rejected"], ["rejected"], ["metrics.json", "rejected"]]
)
def test_what_a_run_has_left_without_its_plan_is_known_by_manifest_or_parts(
    left: list[str], output: Path, plans: tuple[Plan, Plan]
) -> None:
    cheap_run(plans[0], output)
    (output / "metrics.json").touch()
    for path in output.rglob("*"):
        if path.is_file() and not any(str(path.relative_to(output)).startswith(name) for name in left):
            path.unlink()
    directory = RunDirectory(str(output), plans[1].stamp)
    with pytest.raises(UserError, match=r"holds parts but no plan\.json; give another --output, or --overwrite"):
        directory.state(plans[1], overwrite=False)
    assert directory.state(plans[1], overwrite=True) is State.REPLACES
    directory.start(plans[1], overwrite=True)
    assert [path.name for path in output.rglob("*") if path.is_file()] == ["plan.json"]


@pytest.mark.parametrize("name", [".nfs000000000123abcd00000001", ".DS_Store"])
def test_hidden_files_of_a_file_system_are_nobodys_run(name: str, output: Path, plans: tuple[Plan, Plan]) -> None:
    path = put(output, f"predictions/{name}")
    assert cheap_run(plans[0], output)
    assert cheap_run(plans[0], output) is None
    assert not RunDirectory(str(output), plans[0].stamp).strangers()
    assert path.exists()


def test_a_damaged_part_that_the_plan_lists_is_a_runs(output: Path, plans: tuple[Plan, Plan]) -> None:
    cheap_run(plans[0], output)
    part_of(output, "predictions", 0).write_bytes(b"mine")
    plan = json.loads((output / "plan.json").read_bytes())
    assert len(plan["shards"]) == 1
    RunDirectory(str(output), plans[1].stamp).start(plans[1], overwrite=True)
    assert not [*(output / "predictions").iterdir()]
