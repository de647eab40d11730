"""Mutated files of AVIF, JPEG 2000, HEIF, DICOM and deep PNGs: each is scored or rejected, and no process dies."""

import io
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from bulklabel.model.images.limits import Limits
from tests.conftest import ROOT, png, predictions_of, rejected_of
from tests.support.cheap_runs import cheap_plan, cheap_run
from tests.support.dicom_files import TEST_FILES
from tests.support.mutations import flipped, mutated

FILES = int(os.environ.get("MUTATED_FILES", "1500"))
"""Ten thousand were tried; these take ten seconds."""

REASONS = set((ROOT / "docs" / "rejected.md").read_text().split("`")[1::2])

DICOM = (
    *("CT_small", "MR_small_RLE", "SC_rgb_jpeg_dcmtk", "MR_small_bigendian", "SC_rgb_rle_2frame"),
    *("SC_rgb_small_odd_jpeg", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless"),
)


def sources() -> dict[str, bytes]:
    """Small files of each kind, by name."""
    numbers = np.random.default_rng(0)
    coarse = np.kron(numbers.integers(0, 250, (6, 6, 3)), np.ones((8, 8, 1), int))
    pixels = (coarse + numbers.integers(0, 5, coarse.shape)).astype(np.uint8)
    deep = pixels[:, :, 0].astype(np.uint16) * 200
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer)
    return {
        "a.heic": buffer.getvalue(),
        "a.avif": png(pixels, format="AVIF"),
        "b.avif": png(pixels, "RGBA", format="AVIF"),
        "a.jp2": png(pixels, format="JPEG2000"),
        "b.jp2": png(deep, format="JPEG2000"),
        "a.j2k": png(pixels, "L", format="JPEG2000", no_jp2=True),
        "a.png": png(deep),
        "b.png": png(pixels, "P", transparency=3),
        **{f"{name}.dcm": (TEST_FILES / f"{name}.dcm").read_bytes() for name in DICOM},
    }


@pytest.mark.parametrize("truncated", ["reject", "score"])
def test_mutated_files_stop_nothing_and_change_nothing(truncated: str, tmp_path: Path) -> None:
    good, mixed, limits = tmp_path / "good", tmp_path / "mixed", Limits(truncated=truncated)
    good.mkdir()
    images = sources()
    for name, content in images.items():
        (good / name).write_bytes(content)
    shutil.copytree(good, mixed)
    dice = random.Random(truncated)  # noqa: S311
    for number in range(FILES // 2):
        name = dice.choice(sorted(images))
        mutate = flipped if dice.random() < 0.5 else mutated
        (mixed / f"broken-{number:05d}-{name}").write_bytes(mutate(images[name], dice))
    assert cheap_run(cheap_plan([good], tmp_path / "alone", limits=limits), tmp_path / "alone") == {
        "records": len(images),
        "scored": len(images),
        "rejected": 0,
    }
    counts = cheap_run(cheap_plan([mixed], tmp_path / "run", limits=limits), tmp_path / "run")
    rows, rejected = predictions_of(tmp_path / "run").to_pylist(), rejected_of(tmp_path / "run")
    assert counts == {"records": len(rows) + len(rejected), "scored": len(rows), "rejected": len(rejected)}
    assert sorted(row["id"] for row in [*rows, *rejected]) == sorted(path.name for path in mixed.iterdir())
    assert len(rejected) > FILES // 10
    for row in rejected:
        assert row["reason"] in REASONS, row
        assert row["detail"]
        assert "\n" not in row["detail"]
    kept = {row["id"]: {**row, "source": ""} for row in rows if row["id"] in images}
    assert kept == {row["id"]: {**row, "source": ""} for row in predictions_of(tmp_path / "alone").to_pylist()}
