"""Thousands of broken files: no run fails, every record is accounted for, and the good ones' answers do not change."""

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from bulklabel.model.images.demo_collages import collages
from bulklabel.transforms.demo_formats import LAYOUTS
from bulklabel.transforms.scoring.model_files import save_model
from tests.conftest import ROOT, metrics_of, png, predictions_of, rejected_of, score, untrained_model
from tests.support.mutations import mutated, mutated_image, strange_parquet

BROKEN_FILES = {"parquet": 800, "tfrecord": 800, "webdataset": 800, "images": 1200, "table": 400}
"""Four thousand in all: they take forty seconds."""

GOOD_FILES, RECORDS = 20, 3
"""Files with so many good records are mixed among the broken ones."""

ENDINGS = {"parquet": ".parquet", "tfrecord": ".tfrecord", "webdataset": ".tar", "table": ".jsonl"}

REASONS = set((ROOT / "docs" / "rejected.md").read_text().split("`")[1::2])
"""What the page on rejected records explains."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutations") / "model"
    save_model(untrained_model(("1", "2", "3"), side=12), str(folder))
    return folder


def rows_of(name: str, images: list[bytes | None]) -> list[dict[str, Any]]:
    return [{"id": f"{name}-{index}", "image": image, "labels": ["1"]} for index, image in enumerate(images)]


def sources() -> list[bytes]:
    """Small images of several formats to start from."""
    first = [image for image, _ in collages(8, 0, held_out=False)]
    from bulklabel.model.images.decode import decode
    from bulklabel.model.images.resize import Preprocessing

    pixels = [decode(image, Preprocessing(12, 12)) for image in first]
    formats = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PNG", "JPEG")
    return [png(image, format=name) for image, name in zip(pixels, formats, strict=True)]


def write_good(input_format: str, folder: Path, images: list[bytes]) -> None:
    for number in range(GOOD_FILES):
        rows = rows_of(f"good-{number}", [images[(number + k) % len(images)] for k in range(RECORDS)])
        LAYOUTS[input_format](str(folder / f"good-{number:04d}"), rows)


def write_broken(input_format: str, folder: Path, images: list[bytes], dice: random.Random) -> int:
    """Write the broken files; how many records they have where that is known: in whole files of broken images."""
    whole = 0
    for number in range(BROKEN_FILES[input_format]):
        path = folder / f"broken-{number:04d}"
        if input_format == "images":
            image = mutated_image(dice.choice(images), dice)
            path.with_suffix(dice.choice((".png", ".jpg", ".gif", ".tif"))).write_bytes(image or b"")
            whole += 1
            continue
        rows = rows_of(f"broken-{number}", [mutated_image(dice.choice(images), dice) for _ in range(RECORDS)])
        LAYOUTS[input_format](str(path), rows)
        file = path.with_suffix(ENDINGS[input_format])
        if dice.random() < 0.3:
            whole += RECORDS
        elif input_format == "parquet" and dice.random() < 0.3:
            file.write_bytes(strange_parquet([dice.choice(images)] * RECORDS, dice))
            whole += RECORDS
        else:
            file.write_bytes(mutated(file.read_bytes(), dice))
    return whole


@pytest.mark.parametrize("input_format", list(LAYOUTS))
def test_broken_files_stop_nothing_and_change_nothing(input_format: str, model: Path, tmp_path: Path) -> None:
    images = sources()
    write_good(input_format, tmp_path / "input", images)
    shutil.copytree(tmp_path / "input", tmp_path / "good")
    whole = write_broken(input_format, tmp_path / "input", images, random.Random(input_format))  # noqa: S311
    flags = [f"--input_format={input_format}", "--max_rejected_fraction=1"]
    assert score(tmp_path / "good", model, tmp_path / "alone", *flags) == 0
    assert score(tmp_path / "input", model, tmp_path / "mixed", *flags) == 0

    counts = metrics_of(tmp_path / "mixed")["counts"]
    predictions, rejected = predictions_of(tmp_path / "mixed"), rejected_of(tmp_path / "mixed")
    assert counts["scored"] == len(predictions)
    assert counts["rejected"] == len(rejected)
    assert counts["records"] == len(predictions) + len(rejected) >= GOOD_FILES * RECORDS + whole
    places = [(row["source"], row["position"]) for row in predictions.select(["source", "position"]).to_pylist()]
    places += [(row["source"], row["position"]) for row in rejected]
    assert len(set(places)) == len(places)
    empty = bytes(10240) if input_format == "webdataset" else b""  # a tar without members is all zeros
    held = {str(path) for path in (tmp_path / "input").glob("broken-*") if path.read_bytes() not in (b"", empty)}
    assert {source for source, _ in places} >= held
    for row in rejected:
        assert row["stage"] in ("read", "decode", "predict")
        assert row["reason"] in REASONS, row
        assert row["detail"]
        assert "\n" not in row["detail"]

    probabilities = [name for name in predictions.column_names if name.startswith("prob_")]
    mixed = {row["id"]: row for row in predictions.select(["id", *probabilities]).to_pylist()}
    alone = predictions_of(tmp_path / "alone").select(["id", *probabilities]).to_pylist()
    assert len(alone) == GOOD_FILES * RECORDS
    for row in alone:
        assert mixed[row["id"]] == row
