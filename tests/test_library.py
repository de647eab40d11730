"""ScoreImages and ImageModelHandler in other people's pipelines: `score`'s answers, with their times and windows."""

from pathlib import Path

import pytest

from tests.library_runs import answers_of_file, run_inference, run_score_images

LOCAL = ["--runner=FnApiRunner"]


@pytest.mark.parametrize("max_latency", [None, 60.0])
def test_the_answers_are_those_of_score(
    max_latency: float | None, corpus: Path, model_directory: Path, finished: Path, tmp_path: Path
) -> None:
    images = corpus / "file-0.parquet"
    found = run_score_images(LOCAL, images, model_directory, tmp_path, max_latency)
    assert found == answers_of_file(finished, images)
    assert len(found[1]) == 3


def test_those_of_run_inference_too(corpus: Path, model_directory: Path, finished: Path, tmp_path: Path) -> None:
    images = corpus / "file-0.parquet"
    assert run_inference(LOCAL, images, model_directory, tmp_path) == answers_of_file(finished, images)
