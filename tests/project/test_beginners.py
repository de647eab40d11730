"""What beginners type: each mistake ends with exit code 2 and one line that has the hint."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from bulklabel.pipelines.cli import main
from tests.conftest import png
from tests.durability.forked import Run

MISTAKES = {
    "scor images --model model --output out": "no command 'scor'; did you mean score?",
    "--model model score images": "no command '--model'; give one of demo, train, package, calibrate, plan",
    "score": "the following arguments are required: --input, --model, --output; see `bulklabel score --help`",
    "score --inptu images --model model --output out": "--inptu: no such flag; did you mean --input?",
    "score -i images --model model --output out": "-i: no such flag; did you mean --input?",
    "score --in images --model model --output out": "--in: no such flag; did you mean --input?",
    "score images --model model --output out --treshold 0.8": "--treshold: no such flag; did you mean --threshold?",
    "score --model model --output out images": "images: it follows no flag that takes it; inputs come first, or after "
    "--input; see `bulklabel score --help`",
    "score pictures --model model --output out": "pictures: no file matches; give a file, a glob, or a folder",
    "score images --model pictures --output out": "pictures is not a model directory: model.json is missing",
    "score images --model model/model.keras --output out": "is a file of a model directory; give the folder",
    "score images --model net.keras --output out": "net.keras is a network; make a model directory of it with "
    "`bulklabel package`",
    "score images --model model --output out --threshold typo.json": "--threshold typo.json: neither a number from 0 "
    "to 1, such as 0.8, nor `tuned`, nor a file that is there",
    "score images --model model --output out --threshold 0,8": "--threshold 0,8: neither a number from 0 to 1",
    "score images --model model --output out --threshold wrong.json": "wrong.json has the label 'O', unknown to the "
    "model; give a number for each of the model's 2 labels",
    "score images --model model --output out --slice_by camera": "column camera: no such column in",
    "score images --model model --output out --labels_column lables": "only id, image, labels; name one of those",
    "score images --model model --output out --require 'f1>=0.9'": "f1 is a number of a label; write "
    "f1_micro, f1_macro or f1[LABEL]",
    "score images --model model --output out --require 'mAP>=0.9'": "did you mean average_precision_macro",
    "score images --model model --output out --require f1_micro": "quote it, since a shell takes > and < for its own",
    "score images --model model --output out --require 'f1_micro=0.9'": "then one of >= <= == > <, then a number",
    "score images --model model --output out --max_rejected_fraction 5%": "'5%' is not a number; write it like 0.05",
    "score images --model model --output out --input_format jpg": "invalid choice: 'jpg' (choose from",
    "score images --model model --output out --deadline 5hours": "give seconds, or a number like 90m or 5h",
    "score images --model model --output run": "run holds another plan (8 input files added, 8 input files removed)",
    "train images --output out --epochs ten": "'ten' is not a whole number",
    "train images --output out --label_file typo.txt": "--label_file typo.txt: no such file",
    "train unlabelled --output out": "no record has labels",
    "evaluate --input images --output out": "images is not a finished run: manifest.json is missing; give an --output",
    "evaluate above --output out": "above is not a finished run: manifest.json is missing, but there is a run in "
    "above/run",
    "evaluate run run --output out": "run: one run is read at a time",
    "evaluate run --output out --truth typo.csv": "typo.csv: no file matches; give a file, a glob, or a folder",
    "evaluate run --output out --slice_by camera": "the run has no such column; it carried nothing: score with --carry",
    "evaluate run --output run": "--output run is the run itself",
    "compare run --output out": "the following arguments are required: RUN_B",
    "verify above": "above holds no run, but there is a run in above/run",
    "package net.keras --label_file typo.txt --output out": "one of the arguments --keras_model "
    "--onnx_model is required",
}
"""By command line, in a folder with `images`, a `model`, a finished `run`, one in `above`, and some files."""


@pytest.fixture(scope="module")
def desk(tiny: list[str], undisturbed: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the command lines name."""
    folder = tmp_path_factory.mktemp("desk")
    images, model = (flag.partition("=")[2] for flag in tiny)
    run = str(undisturbed.output)
    (folder / "above").mkdir()
    for name, target in (("images", images), ("model", model), ("run", run), ("above/run", run)):
        (folder / name).symlink_to(target)
    (folder / "net.keras").touch()
    (folder / "unlabelled").mkdir()
    (folder / "unlabelled" / "one.png").write_bytes(png(np.zeros((8, 8, 3), np.uint8)))
    (folder / "wrong.json").write_text('{"O": 0.4, "1": 0.6}')
    return folder


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_of_beginners_gets_one_line_with_the_hint(
    line: str, desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(desk)
    assert main(shlex.split(line)) == 2
    error = capsys.readouterr().err
    assert error.startswith("bulklabel: error: ")
    assert error.count("\n") == 1
    assert MISTAKES[line] in error
    assert not (desk / "out").exists()
