"""The demo: a report by the model that comes with bulklabel, and another by one that is trained."""

from pathlib import Path

import pytest

from bulklabel.model.errors import UserError
from bulklabel.pipelines import demo
from bulklabel.pipelines.demo import SHIPPED, main
from bulklabel.transforms.scoring.load_scorer import load_scorer
from bulklabel.transforms.scoring.model_files import load_model
from tests.conftest import metrics_of


def test_the_model_that_comes_with_bulklabel_is_small_and_checks_itself() -> None:
    assert sum(path.stat().st_size for path in Path(SHIPPED).iterdir()) < 500_000
    model = load_model(SHIPPED)
    assert model.golden is not None
    load_scorer(SHIPPED, model.digest)


@pytest.mark.parametrize("usable", [True, False])
def test_there_is_a_report_before_anything_is_trained(
    usable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "FILE_RECORDS", 150)
    monkeypatch.setattr(demo, "EPOCHS", 1)
    if not usable:
        monkeypatch.setattr(demo, "load_scorer", refuse)
    assert main([f"--output={tmp_path}"]) == 0
    said = capsys.readouterr()
    counts = metrics_of(tmp_path / "scores")["counts"]
    assert (counts["records"], counts["rejected"]) == (300, 1)
    assert len(list((tmp_path / "corpus" / "train").iterdir())) == 3
    trained = metrics_of(tmp_path / "scores")["overall"]["f1_micro"]
    assert (trained > 0.9) is usable
    assert ("one is trained: another decoder" in said.err) is not usable


def refuse(*_: object, **__: object) -> None:
    raise UserError("another decoder")
