"""What would run code is refused: in Keras archives, in SavedModels, and in model directories of somebody else."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from bulklabel.model.errors import UserError
from bulklabel.model.network.foreign_code import check_archive
from bulklabel.model.network.keras_archive import load_network, network_bytes
from bulklabel.model.network.saved_model import check_graph, network_from_saved_model
from bulklabel.model.network.scorer import Scorer
from bulklabel.transforms.scoring.model_files import load_model
from tests.conftest import metrics_of, score, write_parquet
from tests.support.networks import blocks, jpeg, package, save, tiny


def with_lambda() -> keras.Model:
    inner = tiny()
    images = keras.Input((16, 16, 3))
    return keras.Model(images, inner(keras.layers.Lambda(lambda x: x / 255, name="halve")(images)))


def edited(archive: bytes, edit: Callable[[Any], Any]) -> bytes:
    """An archive with another `config.json`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, json.dumps(edit(json.loads(content))) if name == "config.json" else content)
    return buffer.getvalue()


def replaced(module: str | None, class_name: str, registered_name: str | None) -> bytes:
    """A network whose convolution says to be another class."""

    def edit(config: Any) -> Any:
        layer = config["config"]["layers"][1]
        layer |= {"module": module, "class_name": class_name, "registered_name": registered_name}
        layer["config"]["name"] = "bad_one"
        return config

    return edited(network_bytes(tiny()), edit)


def test_a_lambda_is_refused_by_both_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(with_lambda(), tmp_path / "n.keras")
    data = write_parquet(tmp_path / "a.parquet", [{"id": "a", "image": jpeg(blocks(1, 16)[0]), "labels": None}])
    assert package(path, tmp_path / "m") == 2
    refused = capsys.readouterr().err
    assert package(path, tmp_path / "m", "--trust_model_code") == 0
    capsys.readouterr()
    assert score(data, tmp_path / "m", tmp_path / "run") == 2
    for error in (refused, capsys.readouterr().err):
        assert "the layer 'halve' uses keras.layers.Lambda" in error
        assert "--trust_model_code" in error
        assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
    assert score(data, tmp_path / "m", tmp_path / "run", "--trust_model_code") == 0
    assert metrics_of(tmp_path / "run")["counts"]["scored"] == 1


@pytest.mark.parametrize(
    ("module", "class_name", "registered_name"),
    [
        ("os", "system", None),
        ("keras_hub.models", "Backbone", None),
        ("keras.utils", "get_file", None),
        ("keras.src.utils.file_utils", "get_file", None),
        ("keras.layers", "TFSMLayer", None),
        ("keras.layers", "Conv2D", "evil>Thing"),
        ("kerasevil.layers", "Conv2D", None),
        ("keras.layers_of_evil", "Conv2D", None),
        ("keras", "Variable", None),
        (None, "Conv2D", None),
        (None, "__lambda__", None),
        ("bulklabel.model.network.saved_model", "FrozenGraph", "evil>FrozenGraph"),
    ],
)
def test_classes_from_elsewhere_are_refused(module: str | None, class_name: str, registered_name: str | None) -> None:
    archive = replaced(module, class_name, registered_name)
    with pytest.raises(UserError, match=rf"'bad_one' uses .*{class_name}.*--trust_model_code"):
        load_network(archive, "n.keras", trusted=False)


def test_functions_from_elsewhere_are_refused() -> None:
    function = {"module": "posix", "class_name": "function", "config": "abort", "registered_name": "abort"}

    def edit(config: Any) -> Any:
        config["config"]["layers"][1]["config"]["activation"] = function
        return config

    with pytest.raises(UserError, match=r"posix\.abort"):
        check_archive(edited(network_bytes(tiny()), edit), "n.keras")


def test_what_keras_itself_writes_is_accepted() -> None:
    images = keras.Input((16, 16, 3))
    x = keras.layers.RandomFlip()(images[..., ::-1])
    x = keras.ops.add(x, 1.0) / 2
    x = keras.layers.Dense(3, activation=keras.activations.gelu, kernel_regularizer=keras.regularizers.L2())(x)
    x = keras.layers.TimeDistributed(keras.layers.Dense(2, dtype="mixed_bfloat16"))(x)
    network = keras.Sequential([keras.Model(images, x), keras.layers.Flatten(), keras.layers.Activation("mish")])
    network.compile("adam", loss=keras.losses.BinaryFocalCrossentropy())
    load_network(network_bytes(network), "n.keras", trusted=False)


def test_more_members_are_refused() -> None:
    archive = io.BytesIO(network_bytes(tiny()))
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("assets/../../evil", b"x")
    with pytest.raises(UserError, match=r"the archive holds assets/\.\./\.\./evil"):
        load_network(archive.getvalue(), "n.keras", trusted=False)


def test_a_trusted_class_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "their_layers.py").write_text(
        "import keras\n\n\nclass Halve(keras.layers.Layer):\n    def call(self, x):\n        return x / 2\n"
    )
    config = {"name": "halve", "trainable": True, "dtype": "float32"}
    replacing = {"module": "their_layers", "class_name": "Halve", "registered_name": "Halve", "config": config}

    def edit(content: Any) -> Any:
        layer = content["config"]["layers"][1]
        layer |= replacing | {"name": layer["name"]}
        layer["config"] = config | {"name": layer["name"]}
        return content

    images = keras.Input((16, 16, 3))
    network = keras.Model(images, tiny()(keras.layers.Rescaling(2.0)(images)))
    path = tmp_path / "n.keras"
    path.write_bytes(edited(network_bytes(network), edit))
    assert package(path, tmp_path / "m", "--trust_model_code") == 2
    assert "add its folder to PYTHONPATH" in capsys.readouterr().err
    monkeypatch.syspath_prepend(tmp_path)
    assert package(path, tmp_path / "m") == 2
    assert "their_layers.Halve" in capsys.readouterr().err
    assert package(path, tmp_path / "m", "--trust_model_code") == 0
    model = load_model(str(tmp_path / "m"))
    answers = Scorer(model, "m", trusted=True).predict(blocks(2, 16))
    assert np.allclose(answers, tiny().predict(blocks(2, 16) / np.float32(2), verbose=0), atol=1e-6)


class Tricky(tf.Module):  # type: ignore[misc]
    """A SavedModel that does more than compute."""

    def __init__(self, trick: Callable[[tf.Tensor], tf.Tensor]) -> None:
        super().__init__()
        self._trick = trick

    @tf.function(input_signature=[tf.TensorSpec((None, 16, 16, 3), tf.float32)])  # type: ignore[untyped-decorator]
    def serve(self, images: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(images, (1, 2)) / 255 + self._trick(images)


def python(images: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.numpy_function(lambda x: x[:, 0, 0], [images], tf.float32), (None, 3))


def read_a_file(_: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def write_a_file(_: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.io.write_file("written", "x")]):
        return tf.constant(0.0)


def look_for_files(_: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.size(tf.io.matching_files("/*")), tf.float32)


def print_to_a_file(images: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.print("x", output_stream="file://printed")]):
        return tf.reduce_sum(images) * 0


@pytest.mark.parametrize(
    ("trick", "op"),
    [
        (python, "PyFunc"),
        (read_a_file, "ReadFile"),
        (write_a_file, "WriteFile"),
        (look_for_files, "MatchingFiles"),
        (print_to_a_file, "PrintV2"),
    ],
)
def test_a_saved_model_that_does_more_than_compute_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trick: Callable[[tf.Tensor], tf.Tensor], op: str
) -> None:
    served = Tricky(trick)
    tf.saved_model.save(served, str(tmp_path / "saved"), signatures=served.serve)
    assert package(tmp_path / "saved", tmp_path / "m") == 2
    error = capsys.readouterr().err
    assert f"is a {op}" in error or (op == "PrintV2" and "is a StringFormat" in error)
    assert error.count("\n") == 1
    graph = served.serve.get_concrete_function().graph.as_graph_def().SerializeToString()
    with pytest.raises(UserError, match="may do more than compute"):
        check_graph(graph, "m")


def test_a_function_that_no_signature_calls_is_checked_before_loading(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = Tricky(lambda images: tf.reduce_sum(images) * 0)
    served.other = Tricky(write_a_file)
    tf.saved_model.save(served, str(tmp_path / "saved"), signatures=served.serve)
    assert package(tmp_path / "saved", tmp_path / "m") == 2
    assert "is a WriteFile" in capsys.readouterr().err


COMPUTING = [
    "Conv2D",
    "MatMul",
    "ResizeBilinear",
    "NonMaxSuppressionV3",
    "Softmax",
    "While",
    "TensorListReserve",
    "Assert",
]
DOING_MORE = [
    *("PyFunc", "PyFuncStateless", "EagerPyFunc", "XlaCallModule", "XlaCustomCallV2", "MlirPassthroughOp"),
    *("ReadFile", "WriteFile", "MatchingFiles", "SaveV2", "RestoreV2", "DecodeProtoV2", "TFRecordDataset", "PrintV2"),
    *("DebugIdentity", "CopyHost", "DumpTensor", "RemoteCall", "TPUPartitionedCall", "_Send", "HashTableV2"),
    *("VarHandleOp", "AssignVariableOp", "RandomUniform", "Timestamp", "NoSuchOp"),
]


@pytest.mark.parametrize("within_a_function", [False, True])
def test_ops_are_told_apart(within_a_function: bool) -> None:
    def graph(op: str) -> bytes:
        content = tf.compat.v1.GraphDef()
        if within_a_function:
            function = content.library.function.add()
            function.signature.name = "inner"
            function.node_def.add(name="node", op=op)
            content.node.add(name="call", op="inner")
        else:
            content.node.add(name="node", op=op)
        return bytes(content.SerializeToString())

    for op in COMPUTING:
        check_graph(graph(op), "m")
    for op in DOING_MORE:
        with pytest.raises(UserError, match=f"is a {op}; "):
            check_graph(graph(op), "m")


def test_a_frozen_graph_from_somebody_else_is_checked_again(tmp_path: Path) -> None:
    served = Tricky(read_a_file)
    tf.saved_model.save(served, str(tmp_path / "saved"), signatures=served.serve)
    archive = network_bytes(network_from_saved_model(str(tmp_path / "saved"), "saved", trusted=True))
    with pytest.raises(UserError, match="is a ReadFile"):
        load_network(archive, "m/model.keras", trusted=False)
    (answers,) = load_network(archive, "m/model.keras", trusted=True)(blocks(2, 16)).values()
    assert answers.shape == (2, 3)


def test_a_saved_model_with_a_table_or_without_a_signature_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = Tricky(lambda images: tf.reduce_sum(images) * 0)
    tf.saved_model.save(served, str(tmp_path / "unsigned"), signatures={"other": served.serve})
    served.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1]), 0)
    tf.saved_model.save(served, str(tmp_path / "table"), signatures=served.serve)
    (tmp_path / "nonsense").mkdir()
    (tmp_path / "nonsense" / "saved_model.pb").write_bytes(b"nonsense")
    for name, words in {
        "unsigned": "no signature 'serving_default'",
        "table": "holds a table",
        "nonsense": "is not a SavedModel",
    }.items():
        assert package(tmp_path / name, tmp_path / "m") == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
