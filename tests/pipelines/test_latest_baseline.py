"""`--baseline latest`: which run it is, that it stays that one, and what a first night says."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bulklabel.pipelines import score as score_module
from bulklabel.pipelines.evaluate import main as evaluate
from bulklabel.pipelines.plan import main as plan
from bulklabel.pipelines.verify import main as verify
from bulklabel.transforms.evaluating.publish import to_json
from bulklabel.transforms.run_directory.success import success_of
from tests.conftest import ROOT, collage_rows, metrics_of, score, write_parquet

DEMO_MODEL = ROOT / "pipelines" / "demo_model"
GATES = ("--baseline=latest", "--require=f1_micro>=baseline-0.5", "--require=drift_label_rate_max<=1")

Evaluated = Callable[..., Path]


def manifest_of(output: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output / "manifest.json").read_bytes())
    return content


@pytest.fixture
def evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Evaluated:
    """Evaluates a table of another system's predictions into a folder beside the others; returns the folder."""

    def run(
        name: str, *flags: str, label: str = "cat", truth: str = "cat", exit_code: int = 0, again: bool = False
    ) -> Path:
        table = tmp_path / f"{name}.csv"
        rows = [f"r{row},{truth},0.{row}" for row in range(10, 40)]
        if not again:
            table.write_text("\n".join([f"id,labels,prob_{label}", *rows, f"last,{truth and '|'},0.05"]) + "\n")
        output = tmp_path / "runs" / name
        assert evaluate([f"--predictions={table}", f"--output={output}", *flags]) == exit_code, capsys.readouterr().err
        return output

    return run


def test_nights_are_compared_with_the_night_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures, runs = write_parquet(tmp_path / "a.parquet", collage_rows(20)), tmp_path / "runs"
    nights = [runs / name for name in ("friday", "saturday", "sunday", "monday")]

    # The first night has nothing to compare with: it is finished, and nobody can take it for one that was judged.
    assert score(pictures, DEMO_MODEL, nights[0], *GATES, "--require=scored>=20") == 0
    captured = capsys.readouterr()
    waiting = "so f1_micro>=baseline-0.5, drift_label_rate_max<=1 will not be judged"
    assert f"no finished run in {runs} to compare with yet, {waiting}" in captured.err
    assert captured.out.count("not judged: there is no earlier run to compare with yet)\n") == 2
    assert "  passed  scored>=20 (it is 20)\n" in captured.out
    assert [gate["passed"] for gate in manifest_of(nights[0])["gates"]] == [None, None, True]
    assert metrics_of(nights[0])["baseline"] == {
        "folder": str(runs),
        "run": None,
        "ended": None,
        "passed_over": {},
    }
    page = (nights[0] / "report.html").read_text()
    assert "2 of 3 requirements were not judged" in page
    assert "All other requirements hold" in page
    assert "no earlier run to compare with yet" in page
    assert (nights[0] / "_SUCCESS").exists()

    # The second is compared with it, and the first, run again, has nothing to do.
    assert plan([f"--input={pictures}", f"--model={DEMO_MODEL}", f"--output={nights[1]}", *GATES]) == 0
    assert f"baseline: {nights[0]}, which ended 20" in capsys.readouterr().out
    assert not nights[1].exists()
    assert score(pictures, DEMO_MODEL, nights[1], *GATES) == 0
    assert f"baseline: {nights[0]}, which ended 20" in capsys.readouterr().out
    assert metrics_of(nights[1])["baseline"]["run"] == manifest_of(nights[1])["baseline"] == str(nights[0])
    assert all(gate["passed"] for gate in manifest_of(nights[1])["gates"])
    assert score(pictures, DEMO_MODEL, nights[0], *GATES, "--require=scored>=20") == 0
    assert "nothing to do" in capsys.readouterr().out

    # The third dies, the fourth finishes, and the third goes on with the baseline that it had, which is gone by now.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score_module, "launch", lambda *_: False)
        assert score(pictures, DEMO_MODEL, nights[2], *GATES) == 0
    assert score(pictures, DEMO_MODEL, nights[3], *GATES) == 0
    assert metrics_of(nights[3])["baseline"]["run"] == str(nights[1])
    shutil.rmtree(nights[1])
    for _ in range(2):
        assert score(pictures, DEMO_MODEL, nights[2], *GATES) == 0
        assert metrics_of(nights[2])["baseline"]["run"] == str(nights[1])
    assert "nothing to do" in capsys.readouterr().out
    assert verify([str(nights[2])]) == 0

    # Another plan in the same place chooses again, and leaves nothing of the choice before if it does not ask.
    assert score(pictures, DEMO_MODEL, nights[2], *GATES, "--overwrite", "--threshold=0.9") == 0
    assert metrics_of(nights[2])["baseline"]["run"] == str(nights[3])
    assert score(pictures, DEMO_MODEL, nights[2], "--overwrite", "--threshold=0.8") == 0
    assert not (nights[2] / "baseline.json").exists()


def test_what_cannot_be_compared_with_is_passed_over(
    evaluated: Evaluated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = evaluated("z-first", "--baseline=latest")  # the newest by time is not the last by name
    second = evaluated("m-second", "--baseline=latest")
    assert metrics_of(second)["baseline"]["run"] == str(first)
    evaluated("z-first", "--baseline=latest", "--threshold=0.3", again=True)  # judged again it is as old as it was
    evaluated("other-labels", label="dog", truth="dog")
    evaluated("no-truth", truth="")
    evaluated("failed", "--require=scored<1", exit_code=3)
    (evaluated("damaged") / "metrics.json").write_text("{")
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / "newer").symlink_to(second)
    capsys.readouterr()
    third = evaluated("a-third", "--baseline=latest", "--require=f1_micro>=baseline")
    out = capsys.readouterr().out
    assert f"baseline: {second}, which ended" in out
    runs = tmp_path / "runs"
    assert metrics_of(third)["baseline"]["passed_over"] == {
        f"{runs}/damaged": "not finished: metrics.json has 1 bytes, and manifest.json says "
        f"{json.loads((runs / 'damaged' / 'manifest.json').read_bytes())['published'][0]['bytes']:,}",
        f"{runs}/failed": "not finished: _SUCCESS is missing",
        f"{runs}/no-truth": "it has no f1_micro",
        f"{runs}/other-labels": "other labels, such as 'cat'",
    }
    assert "passed over: " in out
    assert verify([str(third)]) == 0
    kept = json.loads((third / "baseline.json").read_bytes())
    del kept["numbers"]["overall"]["f1_micro"]  # as an earlier version would have it
    (third / "baseline.json").write_text(json.dumps(kept))
    evaluated("a-third", "--baseline=latest", "--require=f1_micro>=baseline", again=True)

    # Itself, by whatever name, it is never; a choice that was made stays, until what is evaluated is another thing.
    (runs / "link").symlink_to(third)
    link = [f"--predictions={tmp_path}/a-third.csv", f"--output={runs}/link", "--baseline=latest"]
    evaluated("b-fourth")
    assert evaluate(link) == 0
    assert metrics_of(third)["baseline"]["run"] == str(second)
    assert evaluate([*link, f"--predictions={tmp_path}/b-fourth.csv"]) == 0
    assert metrics_of(third)["baseline"]["run"] == str(runs / "b-fourth")

    # A folder of that name is a path.
    shutil.copytree(first, tmp_path / "latest")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        fifth = evaluated("fifth", "--baseline=./latest")
    assert manifest_of(fifth)["baseline"] == "./latest"
    assert "baseline" not in metrics_of(fifth)


def test_the_runs_of_the_same_model_come_first(finished: Path, tmp_path: Path) -> None:
    runs, pictures = tmp_path / "runs", write_parquet(tmp_path / "a.parquet", collage_rows(20))
    shutil.copytree(finished, runs / "theirs")
    manifest = manifest_of(runs / "theirs")
    manifest["timings"] |= dict.fromkeys(("ended", "first_ended"), "2999-01-01T00:00:00.000+00:00")
    (runs / "theirs" / "manifest.json").write_bytes(to_json(manifest))
    (runs / "theirs" / "_SUCCESS").write_bytes(success_of(to_json(manifest)))
    for name, expected in {"upgrade": "theirs", "next": "upgrade"}.items():
        assert score(pictures, DEMO_MODEL, runs / name, "--baseline=latest") == 0
        assert metrics_of(runs / name)["baseline"]["run"] == str(runs / expected)
