"""Labels, thresholds, predictions tables, the model directory, and training."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bulklabel.model.errors import UserError
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.labels.predictions import predictions_table, probabilities_of, truth_of
from bulklabel.model.labels.thresholds import predict_labels, read_thresholds
from bulklabel.model.labels.truth import check_labels, decode_truth, encode_truth
from bulklabel.model.model_directory import read_model
from bulklabel.transforms.files import files
from bulklabel.transforms.scoring.model_files import load_model, save_model
from tests.conftest import untrained_model

NAMES = ("a", "b", 'ü, "<b>" \'|/', "c")


def test_truth_is_present_absent_or_unknown() -> None:
    labels = pa.array([["a", "c", "a"], None, [], ["b", "x", "x", None], ["y", "x"]], pa.list_(pa.string()))
    truth, unknown = encode_truth(labels, ["a", "b", "c"])
    assert truth.tolist() == [[1, 0, 1], [-1, -1, -1], [0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert unknown == {"x": 2, "y": 1}


def test_labels_may_be_unknown_one_by_one() -> None:
    labels = pa.array([["a"], ["a"], None, [], ["b", "x"]], pa.list_(pa.string()))
    unknown = pa.array([["c"], None, ["a"], ["y", "a", "b", "c", None, "y"], []], pa.list_(pa.string()))
    truth, strange = encode_truth(labels, ["a", "b", "c"], unknown)
    assert truth.tolist() == [[1, 0, -1], [1, 0, 0], [-1, -1, -1], [-1, -1, -1], [0, 1, 0]]
    assert strange == {"x": 1, "y": 1}
    chunks = [pa.chunked_array([lists.slice(0, 2), lists.slice(2)]) for lists in (labels, unknown)]
    assert np.array_equal(encode_truth(chunks[0], ["a", "b", "c"], chunks[1])[0], truth)


@given(npst.arrays(np.int8, st.tuples(st.integers(0, 9), st.integers(1, 4)), elements=st.integers(-1, 1)))
def test_decoded_truth_is_encoded_to_the_same(truth: np.ndarray) -> None:
    names = NAMES[: truth.shape[1]]
    labels, unknown = decode_truth(truth, names)
    assert np.array_equal(encode_truth(labels, names, unknown)[0], truth)
    nothing = (truth == -1).all(axis=1)
    assert [row is None for row in labels.to_pylist()] == nothing.tolist()
    assert unknown.null_count == nothing.sum()


@pytest.mark.parametrize("layout", ["wide", "list"])
def test_a_predictions_table_holds_what_is_unknown_beside_the_labels(layout: str) -> None:
    lists = pa.list_(pa.string())
    records = pa.table({"id": ["r"], "source": ["s"], "position": [0], "labels": pa.array([["a"]], lists)})
    probabilities = np.array([[0.25, 0.75]], np.float32)
    plain = predictions_table(records, probabilities, [0.5, 0.5], ["a", "b"], layout)
    assert truth_of(plain, ["a", "b"])[0].tolist() == [[1, 0]]
    records = records.append_column("unknown", pa.array([["b"]], lists)).append_column("price", pa.array(["5"]))
    table = predictions_table(records, probabilities, [0.5, 0.5], ["a", "b"], layout)
    assert table.column_names[3:6] == ["labels", "unknown", "predicted"]
    assert table.column_names[-1] == "price"
    assert truth_of(table, ["a", "b"])[0].tolist() == [[1, -1]]


def test_truth_of_a_slice() -> None:
    labels = pa.array([["a"], None, ["b"], ["a", "b"]], pa.list_(pa.string()))
    truth, _ = encode_truth(labels.slice(2), ["a", "b"])
    assert truth.tolist() == [[0, 1], [1, 1]]


@pytest.mark.parametrize(("names", "words"), [([], "no labels"), (["a", ""], "empty"), (["a", "a"], "twice")])
def test_bad_label_sets_are_refused(names: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_labels(names, "labels.txt")


def test_a_threshold_includes_the_stored_probability_that_prints_like_it() -> None:
    probabilities = np.array([[0.7, 0.3, 0.1]], np.float32)
    assert predict_labels(probabilities, [0.7, 0.3, 0.1]).tolist() == [[True, True, True]]
    assert predict_labels(probabilities, [0.71, 0.31, 0.11]).tolist() == [[False, False, False]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"nonsense", "not a thresholds file"),
        (b"[1]", "not a thresholds file"),
        (b'{"a": 2, "b": 0.5}', "not between 0 and 1"),
        (b'{"a": 0.5, "a": 0.7, "b": 0.5}', "an object has the key 'a' twice"),
        (b'{"a": 0.5}', "none for 'b'"),
        (b'{"a": 0.5, "b": 0.5, "z": 0.1}', "unknown to the model"),
    ],
)
def test_bad_thresholds_files_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_thresholds(content, ["a", "b"], "t.json")


def test_a_thresholds_file_is_taken_in_the_order_of_the_labels() -> None:
    assert read_thresholds(b'{"b": 0.25, "a": 0.75}', ["a", "b"], "t.json") == (0.75, 0.25)


@pytest.mark.parametrize("layout", ["wide", "list"])
def test_probabilities_survive_both_layouts(layout: str) -> None:
    block = np.random.default_rng(0).random((5, len(NAMES)), np.float32)
    records = pa.table(
        {
            "id": list("vwxyz"),
            "source": ["s"] * 5,
            "position": range(5),
            "labels": pa.array([["a"], None, [], ["b"], ["zz"]], pa.list_(pa.string())),
        }
    )
    table = predictions_table(records, block, [0.5] * len(NAMES), NAMES, layout)
    assert np.array_equal(probabilities_of(table, NAMES), block)
    expected = [[name for name, p in zip(NAMES, row, strict=True) if p >= 0.5] for row in block]
    assert table.column("predicted").to_pylist() == expected


def test_a_model_directory_is_read_as_it_was_written(tmp_path: Path) -> None:
    model = dataclasses.replace(untrained_model(NAMES), thresholds=(0.1, 0.2, 0.3, 0.4), provenance={"seed": 3})
    save_model(model, str(tmp_path / "m"))
    assert load_model(str(tmp_path / "m")) == model
    assert load_model(str(tmp_path / "m")).digest == model.digest


def test_a_killed_writer_leaves_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "m"
    save_model(untrained_model(("a",)), str(place))
    write = files.write

    def killed(path: str, content: bytes) -> None:
        if path.endswith("model.json"):
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(files, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        save_model(untrained_model(("a", "b")), str(place))
    with pytest.raises(UserError, match=r"model\.json is missing"):
        load_model(str(place))


def test_a_network_of_another_model_is_refused() -> None:
    one, other = untrained_model(("a",)), untrained_model(("a", "b"))
    with pytest.raises(UserError, match=r"model\.keras is not the file"):
        read_model({"model.json": one.description(), "model.keras": other.network}.get, "m")


def test_a_description_that_is_none_is_refused() -> None:
    for text in (b"", b"{}", b"[]", json.dumps({"labels": ["a"], "image_size": 3}).encode()):
        with pytest.raises(UserError, match="not a model description"):
            read_model({"model.json": text, "model.keras": b""}.get, "m")


def test_a_network_that_contradicts_the_labels_is_refused() -> None:
    from bulklabel.model.network.scorer import Scorer

    model = untrained_model(("a", "b"))
    with pytest.raises(UserError, match="lists 3 labels"):
        Scorer(dataclasses.replace(model, labels=("a", "b", "c")), "m")
    with pytest.raises(UserError, match="image_size"):
        Scorer(dataclasses.replace(model, preprocessing=Preprocessing(16, 16)), "m")
    with pytest.raises(UserError, match="is not a Keras archive"):
        Scorer(dataclasses.replace(model, network=b"nonsense"), "m")


def test_the_saved_network_alone_reproduces_every_answer(tmp_path: Path) -> None:
    import keras

    from bulklabel.model.network.scorer import Scorer

    model = untrained_model(("a", "b"))
    (tmp_path / "model.keras").write_bytes(model.network)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    answers = keras.saving.load_model(tmp_path / "model.keras").predict(images.astype(np.float32), verbose=0)
    assert np.allclose(Scorer(model, "m").predict(images), answers, atol=1e-6)


def test_an_answer_does_not_depend_on_its_neighbours() -> None:
    from bulklabel.model.network.scorer import Scorer

    scorer = Scorer(untrained_model(("a", "b")), "m")
    images = np.random.default_rng(0).integers(0, 256, (scorer.images_at_once, 32, 32, 3)).astype(np.uint8)
    whole = scorer.predict(images)
    assert np.array_equal(scorer.predict(images[:3]), whole[:3])
    others = images.copy()
    others[::2] = 0
    assert np.array_equal(scorer.predict(others)[1::2], whole[1::2])
