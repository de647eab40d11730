"""The project itself: layers, imports, docstrings, flags, documents, and the package that workers install."""

import ast
import importlib
import inspect
import itertools
import os
import re
import shlex
import subprocess
import sys
import tarfile
import time
import tomllib
from pathlib import Path

import pytest

from bulklabel.model.errors import UserError
from bulklabel.model.report import page
from bulklabel.pipelines.cli import COMMANDS, main
from tests.conftest import ROOT, command

LAYERS = {"model": set(), "transforms": {"model"}, "pipelines": {"model", "transforms"}}
MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(["bulklabel", *(parts[:-1] if parts[-1] == "__init__" else parts)])


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_data_flows_one_way(path: Path) -> None:
    layer = path.relative_to(ROOT).parts[0]
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for top in (name.removeprefix("bulklabel.").split(".")[0] for name in names):
            assert top not in LAYERS or top == layer or top in LAYERS[layer], f"{path} imports {top}"
            assert layer != "model" or top != "apache_beam", f"{path} imports Beam"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_short_and_open_with_a_sentence(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 250
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert docstring.splitlines()[0].endswith(".")


@pytest.mark.parametrize("arguments", [("--help",), *((name, "--help") for name in COMMANDS)])
def test_help_answers_at_once(arguments: tuple[str, ...]) -> None:
    started = time.monotonic()
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: bulklabel")
    assert time.monotonic() - started < 5  # a second by the measure; the margin is for a busy machine


@pytest.mark.parametrize("name", COMMANDS)
def test_help_imports_neither_beam_nor_tensorflow(name: str) -> None:
    code = (
        f"import sys; from bulklabel.pipelines.flags.{name} import parser; parser().format_help(); "
        "sys.exit(bool({'apache_beam', 'tensorflow', 'pyarrow', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_an_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scor"]) == 2
    assert "no command 'scor'" in capsys.readouterr().err
    assert main([]) == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_also_a_script(name: str, tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "pipelines" / f"{name}.py")]
    done = subprocess.run([*script, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([*script, "--no_such_flag"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("bulklabel: error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_flags_are_snake_case_and_never_beams(name: str) -> None:
    parser = importlib.import_module(f"bulklabel.pipelines.flags.{name}").parser()
    flags = {flag for action in parser._actions for flag in action.option_strings} - {"-h", "--help"}
    assert all(re.fullmatch(r"--[a-z]+(_[a-z]+)*", flag) for flag in flags)
    assert not flags & {"--labels", "--project", "--region", "--job_name", "--runner"}
    assert parser.allow_abbrev is False
    assert all(action.help for action in parser._actions)


@pytest.mark.parametrize("path", [path for path in MODULES if "pipelines" not in path.parts], ids=name_of)
def test_public_things_say_what_they_are_for(path: Path) -> None:
    module = importlib.import_module(name_of(path))
    for name, item in vars(module).items():
        if name.startswith("_") or getattr(item, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(item) or inspect.isfunction(item):
            assert inspect.getdoc(item), f"{module.__name__}.{name}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_only_what_exists(path: Path) -> None:
    text = path.read_text()
    known = {"--help", "--runner", "--direct_num_workers", "--direct_running_mode", "--setup_file", "--labels"}
    known |= {"--records", "--output"}  # of the benchmarks
    known |= {"--no", "--upgrade"}  # uv's; `--no-deps` ends at its hyphen here
    known |= {"--impersonate_service_account", "--no_auth", "--s"}  # Beam's for stores; `--s3_…` ends at its digit here
    for name in COMMANDS:
        parser = importlib.import_module(f"bulklabel.pipelines.flags.{name}").parser()
        known |= {flag for action in parser._actions for flag in action.option_strings}
    assert set(re.findall(r"--[a-z_]+", text)) <= known
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (path.parent / link).exists(), link


def test_the_source_package_holds_all_that_workers_need(tmp_path: Path) -> None:
    """`--setup_file` makes workers install this; nothing of the checkout may be missing in it."""
    build = [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.glob("bulklabel-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    place = tmp_path / "installed"
    (tmp_path / "vl_convert.py").write_text("raise ImportError('the script that it makes is in the sdist')")
    without = os.environ | {"PYTHONPATH": str(tmp_path)}
    subprocess.run([*install, "--target", str(place), str(source)], env=without, check=True, capture_output=True)
    shown = [path for path in (ROOT / "model" / "report").rglob("*") if path.suffix in (".html", ".css", ".js")]
    expected = {Path("bulklabel") / path.relative_to(ROOT) for path in (*MODULES, *shown)}
    assert Path("bulklabel", "model", "report", "vega.js") in expected
    assert expected <= {path.relative_to(place) for path in place.rglob("*")}


def test_a_checkout_without_the_script_of_plots_says_how_to_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "files", lambda _: ROOT / "nowhere")
    page._plotting_library.cache_clear()
    with pytest.raises(UserError, match=r"vega\.js.* is missing; .* pip install -e \."):
        page._plotting_library()


def test_each_dependency_earns_its_line() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = content["project"]["optional-dependencies"].values()
    built = [content["build-system"]["requires"], *content["dependency-groups"].values()]
    for line in itertools.chain(content["project"]["dependencies"], *extras, *built):
        name = re.split(r"[>=<\[]", line)[0]
        assert f"`{name}`" in text, name


def test_the_commands_of_the_readme_run(
    corpus: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "README.md").read_text()
    lines = re.findall(r"^\.venv/bin/bulklabel (.+)$", text, re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["train", "score", "score", "verify", "score", *["evaluate"] * 4]
    for line in lines:
        here = re.sub(r"demo/corpus/\w+", str(corpus), line).replace("my/", f"{tmp_path}/")
        assert main(shlex.split(here)) == 0, line
    runs = [(tmp_path / name / "metrics.json").read_bytes() for name in ("scores", "scores2", "later")]
    assert len(set(runs)) == 1
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    capsys.readouterr()
    exec(snippet.replace("demo/scores", str(finished)), {})  # noqa: S102
    assert "prob_7" in capsys.readouterr().out


def test_the_page_on_models_runs(corpus: Path, tmp_path: Path) -> None:
    """Its blocks in order: Python as it is, and every `bulklabel` command."""
    text = (ROOT / "docs" / "models.md").read_text()
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert [kind for kind, _ in blocks] == ["python", "sh", "python"]
    for kind, block in blocks:
        here = re.sub(r"demo/corpus/\w+", str(corpus), block)
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
    table = text[text.index("## Flags") : text.index("## If")]
    assert flags <= set(re.findall(r"`(--\w+)`", table))
