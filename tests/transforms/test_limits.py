"""How large an image may be, and what becomes of one that is cut off: what decides answers is part of the plan."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bulklabel.model.errors import UserError
from bulklabel.model.images.kinds import Kind
from bulklabel.model.images.limits import BYTES_A_PIXEL, Limits
from bulklabel.model.labels.predictions import kinds_of
from tests.conftest import ROOT, png, predictions_of, rejected_of
from tests.support.cheap_runs import cheap_plan, cheap_run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A whole image, one of twice the size, and two that are cut off."""
    folder = tmp_path / "images"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    (folder / "a.png").write_bytes(png(noise))
    (folder / "b.png").write_bytes(png(np.tile(noise, (2, 1, 1))))
    (folder / "c.png").write_bytes(png(noise)[:-300])
    (folder / "d.jpg").write_bytes(png(noise, format="JPEG")[:-100])
    return folder


def reasons(run: Path) -> dict[str, str]:
    return {row["id"]: row["reason"] for row in rejected_of(run)}


def test_what_is_cut_off_is_rejected_or_scored_and_counted(source: Path, tmp_path: Path) -> None:
    cheap_run(cheap_plan([source], tmp_path / "run"), tmp_path / "run")
    assert reasons(tmp_path / "run") == {"c.png": "truncated_image", "d.jpg": "truncated_image"}
    lenient = cheap_plan([source], tmp_path / "lenient", limits=Limits(truncated="score"))
    cheap_run(lenient, tmp_path / "lenient")
    assert reasons(tmp_path / "lenient") == {}
    part = pq.read_table(next((tmp_path / "lenient" / "predictions").glob("*.parquet")))
    assert kinds_of(part) == [Kind("PNG", 16), Kind("PNG", 32), Kind("PNG", 16, True), Kind("JPEG", 16, True)]
    strict, both = predictions_of(tmp_path / "run").to_pylist(), predictions_of(tmp_path / "lenient").to_pylist()
    assert [row for row in both if row["id"] in ("a.png", "b.png")] == strict


def test_what_is_too_large_is_what_the_user_says(source: Path, tmp_path: Path) -> None:
    cheap_run(cheap_plan([source / "*.png"], tmp_path / "run", limits=Limits(max_pixels=799)), tmp_path / "run")
    assert reasons(tmp_path / "run") == {"b.png": "too_large", "c.png": "truncated_image"}
    detail = next(row["detail"] for row in rejected_of(tmp_path / "run") if row["id"] == "b.png")
    assert detail == "20×40 pixels; at most 799 are decoded (--max_pixels)"


@pytest.mark.parametrize(
    ("limits", "difference"),
    [
        (Limits(max_pixels=800), "max_pixels changed from 178956970 to 800"),
        (Limits(truncated="score"), "truncated changed from reject to score"),
    ],
)
def test_limits_make_another_plan(source: Path, tmp_path: Path, limits: Limits, difference: str) -> None:
    cheap_run(cheap_plan([source], tmp_path / "run"), tmp_path / "run")
    with pytest.raises(UserError, match=difference):
        cheap_run(cheap_plan([source], tmp_path / "run", limits=limits), tmp_path / "run")


@pytest.mark.parametrize(("kind", "options"), [("WEBP", {}), ("AVIF", {"speed": 10}), ("JPEG2000", {})])
def test_decoding_takes_no_more_memory_than_the_help_says(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    side = 1600
    Image.new("RGBA", (side, side)).save(tmp_path / "image", kind, **options)
    arguments = ["-m", "tests.support.decoding_memory", str(tmp_path / "image"), str(side**2)]
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 10 < float(done.stdout) < BYTES_A_PIXEL + 4  # threads and their heaps do not depend on the image
