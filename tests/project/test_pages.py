"""The pages of the documentation: what they tell users to type is run."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from bulklabel.pipelines.cli import main
from bulklabel.pipelines.console.exit_codes import (
    DONE,
    FAILED,
    NOTHING_TO_DO,
    PLANNED,
    RENDERED,
    STATES,
    STOPPED,
    SUBMITTED,
)
from bulklabel.transforms.reading.readers import READERS
from tests.conftest import ROOT, answers, collage_rows, metrics_of
from tests.durability.forked import Run
from tests.durability.test_signals import WORKERS
from tests.engines.library_runs import answers_of_file
from tests.support import servers


@pytest.mark.parametrize("input_format", list(READERS))
def test_the_example_of_a_format_runs(
    input_format: str, model_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for row in collage_rows(5):
        Path("photos", f"{row['id']}.png").write_bytes(row["image"])
    text = (ROOT / "docs" / "formats" / f"{input_format}.md").read_text()
    (python, shell) = re.findall(r"^```(?:python|sh)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    exec(python, {})  # noqa: S102
    line = shell.removeprefix(".venv/bin/bulklabel ").replace("demo/model", str(model_directory))
    assert main(line.split()) == 0
    assert metrics_of(tmp_path / "photos_scores")["counts"] == {
        "records": 5,
        "scored": 5,
        "rejected": 0,
        "with_truth": 5,
        "truncated": 0,
        "duplicate_ids": 0,
    }


def test_the_page_on_comparing_runs(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "compare.md").read_text()
    shell = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    for name, path in (("corpus/heldout", corpus), ("model", model_directory), ("scores", finished)):
        shell = shell.replace(f"demo/{name}", str(path))
    assert [main(line.removeprefix(".venv/bin/bulklabel ").split()) for line in shell.splitlines()] == [0] * 4
    content = json.loads(Path("my/changes/comparison.json").read_bytes())
    tables = text[text.index("## `comparison.json`") :]
    assert set(re.findall(r"^\| `(\w+)` \|", tables, re.MULTILINE)) == content.keys()


def test_the_page_on_what_is_new(
    model_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each night a picture more; what the last command carries over is complete."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "incremental.md").read_text()
    lines = re.findall(r"^\.venv/bin/bulklabel (.+)$", text, re.MULTILINE)
    assert len(lines) == 6
    Path("my/pictures").mkdir(parents=True)
    for row, line in zip(collage_rows(6), lines, strict=True):
        Path("my/pictures", f"{row['id']}.png").write_bytes(row["image"])
        assert main(line.replace("demo/model", str(model_directory)).split()) == 0
    assert "2 records were scored and 0 rejected before in" in capsys.readouterr().out
    names = ("scores/night-2", "scores/night-3", "scores/whole", "contents/night-1", "contents/night-2")
    assert [metrics_of(Path("my", name))["counts"]["records"] for name in names] == [1, 1, 4, 5, 1]
    manifest = json.loads(Path("my/scores/whole/manifest.json").read_bytes())
    table = text[text.index("## What the files say") :]
    assert set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))) == set(
        manifest["reused"]
    )
    assert all(f"`{name}`" in table for run in manifest["reused"]["runs"] for name in run)


def test_the_commands_of_the_page_on_verifying_runs(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "verify.md").read_text()
    lines = re.findall(r"^\.venv/bin/bulklabel (.+)$", text, re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["verify", "verify", "verify"]
    for line in lines[:2]:  # the third is of another page's evaluation
        assert main(line.replace("demo/scores", str(finished)).split()) == 0
    assert "100 records scored again" in capsys.readouterr().out


def test_the_page_on_operations_has_every_file_and_exit_code(finished: Path) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    (line,) = re.findall(r"^\.venv/bin/bulklabel (.+)$", text, re.MULTILINE)
    assert main(line.replace("demo/scores", str(finished)).split()) == 0
    assert all(f"`{path.name}`" in text for path in finished.iterdir() if path.is_file())
    done = {(DONE, state) for state in (NOTHING_TO_DO, PLANNED, SUBMITTED, RENDERED)}
    states = {*STATES.items(), *done, (FAILED, STOPPED)}
    rows = re.findall(r"^\| (\d) \| `(\w+)` \|", text, re.MULTILINE)
    assert {(int(code), state) for code, state in rows} == states


def test_the_page_on_verifying_has_all_of_the_manifest(finished: Path) -> None:
    text = (ROOT / "docs" / "verify.md").read_text()
    table = text[text.index("## `manifest.json`") :]
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (.+?) \|", table, re.MULTILINE))))
    assert json.loads((finished / "manifest.json").read_bytes()).keys() == named


def test_the_page_on_requirements(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "gates.md").read_text()
    (shell,) = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for name, path in (("corpus/heldout", corpus), ("model", model_directory), ("scores", finished)):
        shell = shell.replace(f"demo/{name}", str(path))
    codes = [main(shlex.split(line.removeprefix(".venv/bin/bulklabel "))) for line in shell.splitlines()]
    manifests = [json.loads(Path("my", name, "manifest.json").read_bytes()) for name in ("judged", "scores")]
    assert codes == [0 if manifests[0]["accepted"] else 3, 0]
    found, verdict = metrics_of(Path("my/scores")), manifests[1]["gates"][0]
    named = set(re.findall(r"`(\w+)(?:\[LABEL\])?`", text))
    assert {*found["drift"]["overall"], *found["distributions"], *found["distributions"]["labels"][0]} <= named
    assert {*found["drift"]["per_label"][0], *verdict} - {"label", "requirement", "passed"} <= named
    assert {"gates", "require", "baseline", "baseline_digest", "accepted", *found["counts"]} <= {*named, "gates"}
    (example,) = re.findall(r'^"gates": (.*)$', text, re.MULTILINE)
    assert json.loads(example)[0].keys() == verdict.keys()


@pytest.mark.parametrize("page", ["local", "prism"])
def test_the_commands_of_the_pages_on_local_runners(
    page: str, tiny: list[str], undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that need no process that loads TensorFlow: those with their flags are in other tests."""
    text = (ROOT / "docs" / "runners" / f"{page}.md").read_text()
    assert page == "local" or re.findall("go install (.+)$", text, re.MULTILINE) == [servers.PACKAGES["prism"]]
    lines = re.findall(r"^\.venv/bin/bulklabel (.+)$", text, re.MULTILINE)
    here = [line for line in lines if "EXTERNAL" not in line and " ".join(WORKERS).replace("=", " ") not in line]
    assert (len(lines), len(here)) == {"local": (2, 1), "prism": (3, 2)}[page]
    monkeypatch.chdir(tmp_path)
    for line in here:
        line = line.replace("--input demo/corpus/heldout --model demo/model", " ".join(tiny))
        words = shlex.split(line.replace(".tools/prism", str(servers.installed("prism")) if page == "prism" else ""))
        assert main(words) == 0
        assert answers(Path(words[words.index("--output") + 1])) == answers(undisturbed.output)


def test_links_between_pages_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_commands_of_the_page_on_metrics_run(finished: Path, tmp_path: Path) -> None:
    lines = re.findall(r"^\.venv/bin/bulklabel (.+)$", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    lines = [line for line in lines if "demo/" in line]  # the demo has no films
    assert len(lines) == 5
    for line in lines:
        here = line.replace("demo/scores", str(finished)).replace("demo/", f"{tmp_path}/")
        assert main(here.split()) == 0


def test_the_page_on_metrics_names_every_metric(finished: Path) -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    found = metrics_of(finished)
    names = {re.sub(r"_at_\d$", "_at_k", name) for name in found["overall"] if not name.endswith("_bounds")}
    names = {re.sub("_(micro|macro|weighted|samples)$", "", name) for name in names} | set(found) | set(found["counts"])
    for name in sorted(names | set(found["per_label"][0]) - {"accuracy", "roc_auc_bounds", "average_precision_bounds"}):
        assert f"`{name}`" in text, name


def test_the_page_on_other_peoples_pipelines(
    corpus: Path, model_directory: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its blocks are scripts of their own; that of a stream is built, and not run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["script", "--runner=FnApiRunner"])
    images = corpus / "file-0.parquet"
    text = (ROOT / "docs" / "library.md").read_text().replace("demo/model", str(model_directory))
    text = text.replace("demo/corpus/heldout/*.parquet", str(images))
    files, stream, inference = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    streaming: dict[str, Any] = {"__name__": "__main__"}
    for block, scope in ((files, {"__name__": "__main__"}), (inference, {"__name__": "__main__"}), (stream, streaming)):
        exec(block, scope)  # noqa: S102
    streaming["build"](beam.Pipeline(argv=["--streaming"]))
    written = {path.name.split("-")[0]: path.read_text().splitlines() for path in Path("my").iterdir()}
    predictions, rejected = answers_of_file(finished, images)
    assert {row["id"]: row["labels"] for row in map(json.loads, written["predictions"])} == {
        key: labels for key, (labels, _) in predictions.items()
    }
    assert sorted(written["rejected"]) == sorted("\t".join((key, *why)) for key, why in rejected.items())
    assert written["scored_by_camera"] == [str(("camera 1", len(predictions)))]
