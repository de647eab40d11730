"""A training that is killed goes on from its last epoch, to the same bytes, and another one does not take its state."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from bulklabel.pipelines.train import main
from tests.conftest import collage_rows, write_parquet
from tests.durability.forked import PATIENCE, forks


def _train(flags: list[str], log: str, saves: int) -> None:
    """Trains, and kills itself just before the state is saved for the last time of so many."""
    for stream in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    saved = 0

    def renamed(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal saved
        if event == "os.rename" and str(arguments[1]).endswith(".checkpoint"):
            saved += 1
            if saved == saves:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(renamed)
    main(flags)


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = write_parquet(tmp_path / "corpus.parquet", collage_rows(60))
    flags = [f"--input={corpus}", "--network=textbook", "--epochs=3", "--image_size=16", "--validation_fraction=0.3"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = forks().Process(target=_train, args=([*flags, f"--output={killed}"], str(tmp_path / "log"), 3))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
    (state,) = killed.glob("*.checkpoint")
    kept = state.read_bytes()
    assert main([*flags, f"--output={killed}"]) == 0
    printed = capsys.readouterr().out
    assert "continuing after epoch 2, where this training was stopped" in printed
    assert "epoch 2 of 3" not in printed
    assert main([*flags, f"--output={whole}"]) == 0
    names = {"model.keras", "model.json", "golden.parquet", "training.html"}
    assert {path.name for path in killed.iterdir()} == names
    for name in ("model.keras", "model.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    state.write_bytes(kept)
    capsys.readouterr()
    assert main([*flags, f"--output={killed}", "--seed=1"]) == 0
    captured = capsys.readouterr()
    assert (
        f"{state} is of a training by other flags, inputs or versions, so training starts from the beginning"
        in captured.err
    )
    assert "continuing" not in captured.out
    assert {path.name for path in killed.iterdir()} == names
