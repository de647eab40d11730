"""`train`: the same records as `score`, a split by hash, and equal models from equal seeds."""

import errno
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulklabel.model.errors import UserError
from bulklabel.model.images.limits import DEFAULT_LIMITS
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.labels.label_rule import LabelRule
from bulklabel.model.labels.truth import PRESENT, UNKNOWN
from bulklabel.model.model_directory import Model
from bulklabel.model.network.keras_archive import load_network
from bulklabel.model.statistic.hash_ids import hash_ids
from bulklabel.model.training.learner import Samples
from bulklabel.model.versions import ONNX
from bulklabel.pipelines.train import main
from bulklabel.transforms.reading.find_shards import find_shards
from bulklabel.transforms.reading.records import Columns, ReadSpec
from bulklabel.transforms.scoring.model_files import load_model, save_model
from bulklabel.transforms.training import samples
from bulklabel.transforms.training.samples import SampleSource, Sides, below, decode_samples
from tests.conftest import collage_rows, label_file, write_parquet
from tests.support.networks import package, save

NAMES = tuple(str(i) for i in range(10))


def train(path: Path, output: Path, *flags: str) -> int:
    return main([f"--input={path}", f"--output={output}", "--epochs=1", "--network=textbook", *flags])


@pytest.fixture
def small(tmp_path: Path) -> Path:
    rows = collage_rows(600)
    rows[5]["image"] = b"broken"
    rows[6]["labels"] = None
    return write_parquet(tmp_path / "small.parquet", rows, row_group_size=200)


def decoded(path: Path, fraction: float = 0.25, count: int = 600, folder: Path | None = None) -> Sides:
    _, found = find_shards([str(path)], "auto", Columns())
    source = SampleSource(
        found.shards, ReadSpec("parquet", Columns(), None, 1024, LabelRule("names", "labels")), fraction
    )
    return decode_samples(
        source, NAMES, Preprocessing(32, 32), DEFAULT_LIMITS, (count, count), None if folder is None else str(folder)
    )


def test_equal_seeds_give_equal_models(small: Path, tmp_path: Path) -> None:
    for name, seed in {"a": 1, "b": 1, "c": 2}.items():
        assert train(small, tmp_path / name, f"--seed={seed}") == 0
    a, b, c = (((tmp_path / name / "model.keras").read_bytes(), tmp_path / name / "model.json") for name in "abc")
    assert a[0] == b[0] != c[0]
    assert a[1].read_bytes() == b[1].read_bytes()


def test_the_split_is_a_partition_by_id(small: Path) -> None:
    sides = decoded(small)
    everything, learnt, judged = (
        decoded(small, fraction=0).training.images,
        sides.training.images,
        sides.validation.images,
    )
    assert len(everything) == 598  # less the broken image and the record without truth
    rows = sorted([row.tobytes() for row in learnt] + [row.tobytes() for row in judged])
    assert rows == sorted(row.tobytes() for row in everything)
    assert 100 < len(judged) < 200
    assert below(hash_ids([f"r{i}" for i in range(4000)]), 0.25).mean() == pytest.approx(0.25, abs=0.03)


def test_epochs_are_mixed_by_the_seed_and_the_epoch() -> None:
    side = Samples(np.zeros((130, 1, 1, 3), np.uint8), np.zeros((130, 2), np.int8))

    def order(seed: int, epoch: int) -> list[int]:
        return [int(row) for rows in side.batches(64, seed, epoch) for row in rows]

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (1, 2)}) == 4
    assert sorted(order(0, 0)) == list(range(130))
    assert [len(rows) for rows in side.batches(64, 0, 0)] == [44, 43, 43]


def test_pixels_that_fill_the_memory_are_kept_in_a_file_that_vanishes(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = decoded(small).training.images
    monkeypatch.setattr(samples, "MEMORY_BYTES", 1000)
    folder = tmp_path / "place"
    folder.mkdir()
    in_file = decoded(small, folder=folder).training.images
    assert isinstance(in_file, np.memmap)
    assert np.array_equal(in_memory, in_file)
    assert list(folder.iterdir()) == []


def test_a_disk_without_space_for_pixels_is_said(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(samples, "MEMORY_BYTES", 1000)
    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(UserError, match=r"1,843,200 bytes .* \(No space left on device\); make room"):
        decoded(small)


def test_images_are_as_large_and_as_whole_as_the_flags_let_them_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pq.read_table(write_parquet(tmp_path / "whole.parquet", collage_rows(40))).to_pylist()
    rows[3]["image"] = rows[3]["image"][: len(rows[3]["image"]) * 3 // 4]
    cut = write_parquet(tmp_path / "cut.parquet", rows)
    few = ("--network=textbook", "--epochs=1")
    assert train(cut, tmp_path / "m", *few) == 0
    assert "1 records could not be read or decoded" in capsys.readouterr().err
    assert train(cut, tmp_path / "m", *few, "--truncated=score") == 0
    assert "could not be" not in capsys.readouterr().err
    assert train(cut, tmp_path / "m", *few, "--max_pixels=1023") == 2
    assert re.search(r"none of the \d+ images to learn from can be decoded", capsys.readouterr().err)


def test_an_input_that_grew_since_it_was_counted_is_said(small: Path) -> None:
    with pytest.raises(UserError, match="has changed since its records were counted"):
        decoded(small, count=100)


def test_images_and_truth_stay_together(small: Path) -> None:
    from bulklabel.model.images.decode import decode

    rows = pq.read_table(small).to_pylist()
    truth_of = {
        decode(row["image"], Preprocessing(32, 32)).tobytes(): row["labels"]
        for row in rows
        if row["labels"] is not None and row["image"] != b"broken"
    }
    learnt = decoded(small).training
    for image, row in zip(learnt.images, learnt.truth, strict=True):
        assert [NAMES[i] for i in np.flatnonzero(row)] == truth_of[image.tobytes()]


def test_the_model_directory_says_what_it_is(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(small, tmp_path / "m", "--image_size=24x32", "--seed=7") == 0
    captured = capsys.readouterr()
    assert "1 without truth; 10 labels" in captured.out
    assert "1 records could not be read or decoded" in captured.err
    content = json.loads((tmp_path / "m" / "model.json").read_bytes())
    assert content["labels"] == list(NAMES)
    assert content["image_size"] == [24, 32]
    assert content["provenance"]["seed"] == 7
    assert set(content["thresholds"]) == set(NAMES)
    assert all(0 <= value <= 1 for value in content["thresholds"].values())
    assert {"f1_micro", "label_accuracy", "loss"} <= set(content["provenance"]["validation"])
    page = (tmp_path / "m" / "training.html").read_text()
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)[0])
    assert [point["kind"] for point in data["points"]["losses"]] == ["training", "validation"]
    assert {point["kind"] for point in data["points"]["reliability"]} == {"before", "after"}
    assert load_model(str(tmp_path / "m")).digest in page


def test_without_validation_there_are_no_tuned_thresholds(small: Path, tmp_path: Path) -> None:
    assert train(small, tmp_path / "m", "--validation_fraction=0", "--channels=1") == 0
    content = json.loads((tmp_path / "m" / "model.json").read_bytes())
    assert content["thresholds"] is None
    assert content["provenance"]["channels"] == 1
    network = load_network(load_model(str(tmp_path / "m")).network, "m", trusted=False)
    assert network.get_layer("conv_1").kernel.shape[2] == 1
    assert "Calibration" not in (tmp_path / "m" / "training.html").read_text()


def test_labels_by_number_need_their_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "numbers.parquet"
    rows = collage_rows(300)
    numbers = [[int(label) for label in row["labels"]] for row in rows]
    images = pa.array([row["image"] for row in rows], pa.binary())
    pq.write_table(pa.table({"image": images, "labels": numbers}), path)
    assert train(path, tmp_path / "m") == 2
    assert "--label_file" in capsys.readouterr().err
    names = tmp_path / "names.txt"
    names.write_text("\n".join("abcdefghij"))
    assert train(path, tmp_path / "m", f"--label_file={names}") == 0
    assert json.loads((tmp_path / "m" / "model.json").read_bytes())["labels"] == list("abcdefghij")


def test_bad_input_is_one_line_and_writes_nothing(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = write_parquet(tmp_path / "none.parquet", [row | {"labels": None} for row in collage_rows(5)])
    (tmp_path / "twice.txt").write_text("a\na\n")
    for flags, words in {
        (f"--input={nothing}", "--labels_column=tags"): "only id, image, labels; name one of those",
        (f"--label_file={tmp_path}/twice.txt",): "'a' twice",
        (f"--label_file={tmp_path}/missing.txt",): "no such file",
        ("--validation_fraction=1",): "leaves 0 records for training",
        ("--validation_fraction=0.00001",): "0 for validation",
        ("--epochs=0",): "0 is not 1 or more",
        ("--image_size=1x2x3",): "--image_size",
        ("--image_size=6",): "at least 7",
    }.items():
        assert train(small, tmp_path / "m", *flags) == 2, flags
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
        assert not (tmp_path / "m").exists()
    assert train(nothing, tmp_path / "m", "--labels_column=labels") == 2
    assert "no record has labels under 'labels'" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_an_unwritable_output_is_said_before_training(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(small, small / "m") == 2
    captured = capsys.readouterr()
    assert "cannot be written" in captured.err
    assert "Epoch" not in captured.out


def test_a_label_outside_the_label_file_is_named(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = label_file(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as some editors start a file
    path.write_text("1\n2\n")
    assert train(small, tmp_path / "m", f"--label_file={path}") == 0
    assert "so not learnt: 0, 3, 4, 5, 6, 7, 8, 9" in capsys.readouterr().err


def with_unknown(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A Parquet file with a second list of labels, `doubt`, where a row has one."""
    lists = pa.list_(pa.string())
    schema = pa.schema({"id": pa.string(), "image": pa.binary(), "labels": lists, "doubt": lists})
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return path


def test_unknown_truth_is_learnt_from_where_it_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = collage_rows(300)
    for index, row in enumerate(rows):
        row["labels"] = [label for label in row["labels"] if label not in ("3", "4", "5")]
        row["doubt"] = ["3", "zebra"] if index % 2 else ["3", "4"]
    rows[0] |= {"labels": [], "doubt": list(NAMES)}
    path = with_unknown(tmp_path / "some.parquet", rows)
    assert train(path, tmp_path / "m", f"--label_file={label_file(tmp_path)}", "--unknown_column=doubt") == 0
    captured = capsys.readouterr()
    assert "1 without truth; 10 labels" in captured.out
    warnings = [line for line in captured.err.splitlines() if "warning" in line]
    assert warnings == [
        f"bulklabel: warning: not in {tmp_path / 'labels.txt'}, so not learnt: zebra",
        "bulklabel: warning: unknown in all training records: 3; present in no training record: 4, 5",
    ]


def test_labels_that_are_nowhere_present_are_not_learnt_or_have_no_threshold_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row | {"doubt": ["zebra"]} for row in collage_rows(300)]
    for row in rows:
        if below(hash_ids([row["id"]]), 0.1)[0]:
            row["labels"] = [label for label in row["labels"] if label != "3"]
    path = with_unknown(tmp_path / "some.parquet", rows)
    assert train(path, tmp_path / "m", "--unknown_column=doubt") == 0
    error = capsys.readouterr().err
    assert "warning: present in no record, so not learnt: zebra\n" in error
    assert "warning: present in no validation record, so their threshold is 0.5: 3\n" in error
    content = json.loads((tmp_path / "m" / "model.json").read_bytes())
    assert content["labels"] == list(NAMES)
    assert content["thresholds"]["3"] == 0.5


def test_samples_say_what_is_unknown(tmp_path: Path) -> None:
    rows = collage_rows(40)
    for row in rows:
        row["doubt"] = [name for name in NAMES if name not in row["labels"]][:4]
    rows[7] |= {"labels": [], "doubt": list(NAMES)}
    columns = Columns(unknown="doubt")
    _, found = find_shards([str(with_unknown(tmp_path / "some.parquet", rows))], "auto", columns)
    source = SampleSource(
        found.shards, ReadSpec("parquet", columns, None, 1024, LabelRule("names", "labels", "doubt")), 0
    )
    truth = decode_samples(source, NAMES, Preprocessing(32, 32), DEFAULT_LIMITS, (40, 0), None).training.truth
    assert len(truth) == 39
    assert ((truth == UNKNOWN).sum(axis=1) == 4).all()
    counts = source.survey(NAMES)
    assert (counts.training.samples, counts.validation.samples, counts.without_truth) == (39, 0, 1)
    assert counts.training.known.tolist() == (truth != UNKNOWN).sum(axis=0).tolist()
    assert counts.training.present.tolist() == (truth == PRESENT).sum(axis=0).tolist()
    assert counts.training.known.sum() == 0.6 * truth.size


def test_records_that_contradict_themselves_are_told_where_no_other_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = with_unknown(tmp_path / "torn.parquet", [row | {"labels": ["7"], "doubt": ["7"]} for row in collage_rows(3)])
    assert train(path, tmp_path / "m", "--unknown_column=doubt") == 2
    assert "no record has labels where its format has them, 3 cannot be read (bad_labels)" in capsys.readouterr().err


def test_records_that_cannot_be_read_are_said_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulklabel.pipelines.train._fit_and_save", lambda *_: None)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("a.jpg", "a.txt", "b.jpg", "b.txt", "a.json", "b.json"):
            member = tarfile.TarInfo(name)
            member.size = 3
            tar.addfile(member, io.BytesIO(b"cat"))
    assert train(tmp_path / "a.tar", tmp_path / "model", "--validation_fraction=0", "--labels_column=txt") == 0
    captured = capsys.readouterr()
    assert "2 records for training" in captured.out
    assert "some records cannot be read, so they are not used: 2 scattered_members" in captured.err


def test_training_further_takes_the_size_and_the_fit_of_where_it_starts(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = keras.Sequential(
        [keras.Input((24, 24, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(20)]
    )
    path = save(network, tmp_path / "other.keras")
    assert package(path, tmp_path / "other", "--fit=pad", "--outputs=logits") == 0
    start = [f"--input={small}", f"--from={tmp_path / 'other'}", f"--output={tmp_path / 'm'}", "--epochs=2"]
    assert main(start) == 0
    content = json.loads((tmp_path / "m" / "model.json").read_bytes())
    assert content["labels"] == list(NAMES)
    assert content["image_size"] == [24, 24]
    assert content["preprocessing"]["fit"] == "pad"
    assert content["provenance"]["from"]["digest"] == load_model(str(tmp_path / "other")).digest
    onnx = Model(NAMES, Preprocessing(24, 24), b"", engine=ONNX)
    save_model(onnx, str(tmp_path / "onnx"))
    capsys.readouterr()
    for flags, words in {
        (f"--from={tmp_path / 'onnx'}",): "its network is model.onnx, which cannot be trained",
        ("--network=textbook",): "not allowed with",
        ("--channels=3",): "--channels: a network given by --from keeps its own",
        ("--minutes=3",): "not allowed with",
        (f"--from={tmp_path}",): "not a model directory",
    }.items():
        assert main([*start, *flags]) == 2, flags
        assert words in capsys.readouterr().err
