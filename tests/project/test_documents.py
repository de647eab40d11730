"""What the README and the page on models tell users to type is run, and what documents name exists."""

import importlib
import re
import shlex
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bulklabel.pipelines.cli import COMMANDS, main
from tests.conftest import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs").glob("tutorials/*.md"))]


@pytest.fixture(scope="module")
def heldout(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of 150 records of the corpus, a broken one among them."""
    folder = tmp_path_factory.mktemp("heldout")
    records = pq.read_table(corpus / "file-0.parquet")
    for number in range(2):
        pq.write_table(records.slice(150 * number, 150), folder / f"{number}.parquet")
    return folder


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_only_what_exists(path: Path) -> None:
    text = path.read_text()
    known = {"--help", "--runner", "--direct_num_workers", "--direct_running_mode", "--setup_file", "--labels"}
    known |= {"--records", "--output", "--corpus", "--peers", "--rounds"}  # of the benchmarks
    known |= {"--source_format", "--parquet_enable_list_inference"}  # of BigQuery's command
    known |= {"--no", "--upgrade"}  # uv's; `--no-deps` ends at its hyphen here
    known |= {"--impersonate_service_account", "--no_auth", "--s"}  # Beam's for stores; `--s3_…` ends at its digit here
    for name in COMMANDS:
        parser = importlib.import_module(f"bulklabel.pipelines.flags.{name}").parser()
        known |= {flag for action in parser._actions for flag in action.option_strings}
    assert set(re.findall(r"--[a-z_]+", text)) <= known
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (path.parent / link).exists(), link


def test_the_commands_of_the_readme_run(heldout: Path, tmp_path: Path) -> None:
    """On a few images, from which the network learns little, but as the README says."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 90
    lines = re.findall(r"^bulklabel ((?:train|score|evaluate|compare) .+)$", text, re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["train", "score", "evaluate", "compare"]
    for line in lines:
        here = re.sub("demo/corpus/(train|heldout)", str(heldout), line)
        here = here.replace("my/", f"{tmp_path}/")
        assert main(shlex.split(here)) == 0, line


def test_the_page_on_models_runs(heldout: Path, tmp_path: Path) -> None:
    """Its blocks in order: Python as it is, and every `bulklabel` command."""
    text = (ROOT / "docs" / "models.md").read_text()
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert [kind for kind, _ in blocks] == ["python", "sh", "python"]
    for kind, block in blocks:
        here = block.replace("demo/corpus/heldout", str(heldout))
        here = re.sub(r"\bmy\b", str(tmp_path), here)
        if kind == "python":
            exec(here, {})  # noqa: S102
        else:
            commands = [line.removeprefix(".venv/bin/bulklabel ").split() for line in here.splitlines()]
            assert [main(line) for line in commands] == [0, 0]
    assert (tmp_path / "packaged_scores" / "_SUCCESS").exists()
    whole = [f"--keras_model={tmp_path}/whole.keras", f"--label_file={tmp_path}/labels.txt"]
    assert main(["package", *whole, f"--output={tmp_path}/whole", "--input_range=0,255"]) == 0


def test_the_page_on_models_has_every_flag() -> None:
    text = (ROOT / "docs" / "models.md").read_text()
    parser = importlib.import_module("bulklabel.pipelines.flags.package").parser()
    flags = {flag for action in parser._actions for flag in action.option_strings} - {"-h", "--help"}
    table = text[text.index("## Flags") : text.index("## Which")]
    assert flags <= set(re.findall(r"`(--\w+)`", table))
