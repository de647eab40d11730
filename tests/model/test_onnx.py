"""ONNX networks: wrapped so that one file gives every answer, and refused where they would do more than compute."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from PIL import Image

from bulklabel.model.errors import UserError
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.model_directory import Model
from bulklabel.model.network.golden_images import add_golden
from bulklabel.model.network.interface import Interface, Scaling
from bulklabel.model.network.onnx import onnx_engine, package_onnx, try_onnx
from bulklabel.model.network.onnx.calibrate_onnx import calibrate_onnx
from bulklabel.model.network.onnx.check_onnx import parse_onnx
from bulklabel.model.network.onnx.try_onnx import TryError, try_network
from bulklabel.model.network.scorer import Scorer
from bulklabel.model.training.calibrate import HIGHEST, LOWEST, Calibration
from bulklabel.model.versions import ONNX
from tests.support.onnx_networks import FIRST, LAST, OUTPUTS, SIDE, expected, model, small

LABELS = tuple(f"label {number}" for number in range(OUTPUTS))
AS_IT_IS = Scaling.to_range(0, 255)
UNIT_RANGE = Scaling.to_range(0, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (7, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries networks here, which saves the half second of a process."""

    def try_here(network: bytes) -> list[int]:
        try:
            return list(try_onnx.run_once(network))
        except Exception as error:
            raise TryError(onnx_engine.words_of(error)) from error

    monkeypatch.setattr(package_onnx, "try_network", try_here)


def packaged(
    network: onnx.ModelProto | bytes,
    scaling: Scaling = UNIT_RANGE,
    logits: bool = False,
    size: tuple[int, int] | None = None,
    labels: Sequence[str] = LABELS,
    outputs: tuple[str, ...] = (),
    beside: Callable[[str], bytes] = Path.read_bytes,  # type: ignore[assignment]
) -> Model:
    """What `bulklabel package` makes of a network."""
    content = network if isinstance(network, bytes) else network.SerializeToString()
    interface = Interface(size, scaling, logits, len(labels), "labels.txt", outputs)
    wrapped, image_size = package_onnx.package_onnx(content, beside, "n.onnx", interface)
    return Model(tuple(labels), Preprocessing(*image_size), wrapped, engine=ONNX)


def answers(made: Model, images: np.ndarray = IMAGES) -> np.ndarray:
    return Scorer(made, "m").predict(images)


@pytest.mark.parametrize(
    ("shape", "size", "at_once"),
    [
        (FIRST, None, 256),
        (LAST, None, 256),
        ((1, 3, SIDE, SIDE), None, 1),
        ((4, SIDE, SIDE, 3), None, 4),
        (("batch", 3, "height", "width"), (SIDE, SIDE), 256),
        (("batch", "channels", "height", "width"), (SIDE, SIDE), 256),
        ((None, None, None, None), (SIDE, SIDE), 256),
    ],
)
def test_channels_and_batches_are_where_the_network_has_them(shape: Any, size: Any, at_once: int) -> None:
    made = packaged(small(shape), size=size)
    scorer = Scorer(made, "m")
    assert made.preprocessing == Preprocessing(SIDE, SIDE)
    assert scorer.images_at_once == at_once
    assert np.allclose(scorer.predict(IMAGES), expected(IMAGES / 255), atol=1e-6)


@pytest.mark.parametrize(
    ("scaling", "scaled"),
    [
        (AS_IT_IS, lambda pixels: pixels),
        (Scaling.to_range(-1, 1), lambda pixels: pixels / 127.5 - 1),
        (
            Scaling.normalized((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            lambda pixels: (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
        ),
    ],
)
def test_pixels_are_scaled_as_in_training(scaling: Scaling, scaled: Callable[[np.ndarray], np.ndarray]) -> None:
    assert np.allclose(answers(packaged(small(), scaling)), expected(scaled(IMAGES)), atol=1e-6)


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.INT32, TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_types_of_numbers_are_made_of_the_pixels(kind: int) -> None:
    assert np.allclose(answers(packaged(small(kind=kind), AS_IT_IS)), expected(IMAGES), atol=1e-6)


@pytest.mark.parametrize("shape", [("batch", 1, SIDE, SIDE), ("batch", SIDE, SIDE, 1)])
def test_one_channel_is_pillows_gray_to_the_bit(shape: Any) -> None:
    gray = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in IMAGES])[..., None]
    assert np.allclose(answers(packaged(small(shape))), expected(gray / 255), atol=1e-6)
    # All colours of a coarse cube at once, through a network that answers with their sum.
    colours = np.stack(np.meshgrid(*[np.arange(0, 256, 5)] * 3), -1).reshape(1, 52 * 52, 52, 3).astype(np.uint8)
    total = model(
        [helper.make_node("Flatten", ["images"], ["answers"])],
        {"images": (TensorProto.FLOAT, ("batch", 1, 52 * 52, 52))},
        {"answers": (TensorProto.FLOAT, ("batch", 52**3))},
        {},
    )
    seen = answers(packaged(total, AS_IT_IS, labels=[str(number) for number in range(52**3)]), colours)
    assert np.array_equal(seen.reshape(52 * 52, 52), np.asarray(Image.fromarray(colours[0]).convert("L")))


def test_logits_become_probabilities() -> None:
    assert np.allclose(answers(packaged(small(last=None), logits=True)), answers(packaged(small())), atol=1e-6)


def heads() -> onnx.ModelProto:
    """Three outputs of one network: 2, 3 and 1 numbers an image, the last of shapes that other frameworks leave."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),  # N×3×1×1
        helper.make_node("Flatten", ["pooled"], ["colours"]),
        helper.make_node("Slice", ["colours", "zero", "two", "one"], ["warm"]),
        helper.make_node("Slice", ["pooled", "two", "three", "one"], ["cold"]),  # N×1×1×1
        helper.make_node("ArgMax", ["colours"], ["brightest"], axis=1, keepdims=0),
    ]
    return model(
        nodes,
        {"images": (TensorProto.FLOAT, FIRST)},
        {
            "warm": (TensorProto.FLOAT, ("batch", 2)),
            "colours": (TensorProto.FLOAT, ("batch", 3)),
            "cold": (TensorProto.FLOAT, ("batch", 1, 1, 1)),
            "brightest": (TensorProto.INT64, ("batch",)),
        },
        {name: np.array([value]) for name, value in {"zero": 0, "one": 1, "two": 2, "three": 3}.items()},
    )


def test_several_heads_are_joined_in_the_order_that_is_asked_for() -> None:
    means = IMAGES.mean(axis=(1, 2)) / 255
    found = answers(packaged(heads(), labels=("b", "r", "g"), outputs=("cold", "warm")))
    assert np.allclose(found, means[:, [2, 0, 1]], atol=1e-6)
    assert np.allclose(answers(packaged(heads(), labels=("r", "g", "b"), outputs=("colours",))), means, atol=1e-6)


def test_answers_are_equal_in_all_batches_but_those_of_one() -> None:
    made = packaged(small())
    images = np.random.default_rng(1).integers(0, 256, (256, SIDE, SIDE, 3), np.uint8)
    whole = answers(made, images)
    engine = Scorer(made, "m").engine
    for size in (2, 3, 8, 64):
        run = engine.compile(size)
        cut = np.concatenate([run(images[at : at + size]) for at in range(0, 192, size)])
        assert np.array_equal(cut, whole[:192])
    assert np.array_equal(answers(made, images[::-1])[::-1], whole)
    assert np.array_equal(answers(made, images[:5]), whole[:5])


class Pixels(quantization.CalibrationDataReader):  # type: ignore[misc]  # which has no types
    """Images that a quantizer looks at, eight at a time, as the network takes them."""

    def __init__(self) -> None:
        images = np.random.default_rng(2).random((64, 3, SIDE, SIDE), np.float32)
        self.batches = iter(np.split(images, 8))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"images": batch}


def test_a_network_that_was_quantized_statically_is_run_in_whole_numbers(tmp_path: Path) -> None:
    onnx.save(small(), tmp_path / "float.onnx")
    quantization.quantize_static(tmp_path / "float.onnx", tmp_path / "int8.onnx", Pixels(), per_channel=True)
    content = (tmp_path / "int8.onnx").read_bytes()
    assert b"QuantizeLinear" in content
    made, images = packaged(content), np.random.default_rng(3).integers(0, 256, (64, SIDE, SIDE, 3), np.uint8)
    whole = answers(made, images)
    assert 0 < np.abs(whole - answers(packaged(small()), images)).max() < 0.01
    assert np.array_equal(answers(made, images[::-1])[::-1], whole)
    assert np.array_equal(answers(made, images[:5]), whole[:5])


def test_a_network_that_rounds_by_what_is_in_the_batch_is_refused_unless_that_is_one_image(tmp_path: Path) -> None:
    for size in ("batch", 1):
        onnx.save(small((size, *FIRST[1:])), tmp_path / f"{size}.onnx")
        quantization.quantize_dynamic(tmp_path / f"{size}.onnx", tmp_path / f"int8-{size}.onnx")
    with pytest.raises(UserError, match=r"'DynamicQuantizeLinear' .* so an image's answer would depend on the others"):
        packaged((tmp_path / "int8-batch.onnx").read_bytes())
    assert len(answers(packaged((tmp_path / "int8-1.onnx").read_bytes()))) == len(IMAGES)


def test_a_network_that_was_exported_in_training_mode_is_refused() -> None:
    network = small()
    (convolution,) = (node for node in network.graph.node if node.op_type == "Conv")
    convolution.input[0] = "normal"
    parts = {name: np.ones(3, np.float32) for name in ("weight", "bias", "mean", "variance")}
    outputs = ["normal", "mean_after", "variance_after"]
    network.graph.node.insert(1, helper.make_node("BatchNormalization", ["x", *parts], outputs, training_mode=1))
    network.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in parts.items())
    with pytest.raises(UserError, match="is asked again beside others; save it as it is for inference"):
        add_golden(packaged(network), "n.onnx")


def test_a_network_may_be_calibrated_twice() -> None:
    made = packaged(small())
    calibration = Calibration(np.linspace(0.5, 2, OUTPUTS), np.linspace(-1, 1, OUTPUTS))
    limits = (float(LOWEST), float(HIGHEST))
    network, wanted = made.network, answers(made)
    for _ in range(2):
        network = calibrate_onnx(network, calibration.slopes.tolist(), calibration.offsets.tolist(), limits)
        wanted = calibration.apply(wanted)
    assert np.allclose(answers(dataclasses.replace(made, network=network)), wanted, atol=1e-6)


def test_a_batch_is_halved_where_memory_is_short(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = packaged(small())
    whole, scorer = answers(made), Scorer(made, "m")
    compile_batch = scorer.engine.compile

    def run_out(_: np.ndarray) -> np.ndarray:
        raise type("Fail", (Exception,), {"__module__": "onnxruntime.capi"})("bad_alloc")

    monkeypatch.setattr(scorer.engine, "compile", lambda size: run_out if size > 64 else compile_batch(size))
    scorer._compiled = 256, run_out
    assert np.array_equal(scorer.predict(IMAGES), whole)
    assert scorer.images_at_once == 64
    assert "continuing with 64" in caplog.text


def with_node(operator: str, domain: str = "", **attributes: Any) -> onnx.ModelProto:
    network = small()
    network.graph.node.append(helper.make_node(operator, ["x"], ["more"], "culprit", domain=domain, **attributes))
    return network


def inside(network: onnx.ModelProto) -> onnx.ModelProto:
    """The same nodes in the branch of an `If`, in a function of the file."""
    branch = helper.make_graph(list(network.graph.node), "branch", [], [])
    called = helper.make_function(
        "mine", "Called", ["x"], ["y"], [helper.make_node("If", ["x"], ["y"], then_branch=branch)], [], []
    )
    outer = small()
    outer.functions.append(called)
    return outer


def external(location: str, offset: int = 0, network: onnx.ModelProto | None = None) -> onnx.ModelProto:
    """A network that keeps its kernel in another file."""
    network = network or small()
    kernel = network.graph.initializer[0]
    entries = {"location": location, "offset": str(offset), "length": str(len(kernel.raw_data))}
    kernel.ClearField("raw_data")
    kernel.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        kernel.external_data.add(key=key, value=value)
    return network


def of_no_type() -> onnx.ModelProto:
    network = small()
    network.graph.output[0].type.tensor_type.elem_type = 99
    return network


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (of_no_type(), "the output 'answers' is of the type 99, and not a fraction"),
        (
            with_node("Evil", "custom.ops"),
            "'custom.ops.Evil' (node 'culprit'), which is none of ONNX's own and runs code",
        ),
        (
            with_node("EPContext", "com.microsoft"),
            "'com.microsoft.EPContext' (node 'culprit'), which is none of ONNX's",
        ),
        (with_node("Unheard"), f"'Unheard' (node 'culprit'), which onnx {onnx.__version__} does not know"),
        (with_node("RandomNormalLike"), "'RandomNormalLike' (node 'culprit'), which draws random numbers"),
        (inside(with_node("Evil", "custom.ops")), "'custom.ops.Evil' (node 'culprit'), which is none of ONNX's own"),
        (external("/etc/passwd"), "keeps its weights ('kernel') in '/etc/passwd', outside of its folder"),
        (external("../weights.bin"), "in '../weights.bin', outside of its folder"),
        (external("a/../../weights.bin"), "outside of its folder"),
        (external("s3://bucket/weights.bin"), "outside of its folder"),
        (external("weights.bin", 10_000), "weights.bin ends before the weights 'kernel' do"),
        (small(opset=6), "is of opset 6, and 7 is the oldest"),
        (small(opset=99), "cannot be run by ONNX Runtime"),
        (small(outputs=3), "has 3 outputs for an image, but labels.txt lists 20 labels"),
        (small(("batch", 4, SIDE, SIDE)), "takes images of 4 channels"),
        (small(("batch", SIDE, SIDE, 4)), "takes images of 4 channels"),
        (small(("batch", 3, "height", "width")), "does not say the size of its images; give --image_size"),
        (
            small(kind=TensorProto.UINT8),
            "takes whole numbers (uint8), so it scales them itself; give --input_range=0,255",
        ),
        (small(kind=TensorProto.STRING), "takes strings ('images'), and bulklabel gives decoded pixels"),
        (heads(), "has 4 outputs, 'warm', 'colours', 'cold', 'brightest'; name those"),
        (b"", "is not an ONNX file: it holds no network"),
        (b"PK\x03\x04", "is a zip archive, as PyTorch's and Keras' files are, and not ONNX"),
        (b"\x80\x02", "is a pickle"),
        (b"\x89HDF\r\n", "is an HDF5 file"),
        (b"\x00\x00\x00\x00ORTM", "is of ONNX Runtime's own format"),
        (small().SerializeToString()[:-100], "is not an ONNX file, or damaged"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(network: onnx.ModelProto | bytes, words: str) -> None:
    with pytest.raises(UserError) as error:
        packaged(network, beside=lambda _: bytes(1000))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"logits": True}, "ends in a Sigmoid, so its outputs are probabilities; leave out --outputs"),
        ({"size": (32, 32)}, "takes images of 16 × 16 pixels alone, and --image_size says 32 × 32"),
        ({"outputs": ("logits",)}, "--output_name logits: n.onnx has not one output of that name, but 'answers'"),
    ],
)
def test_a_flag_that_contradicts_the_network_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        packaged(small(), **options)


def test_an_output_that_holds_whole_numbers_is_refused() -> None:
    with pytest.raises(UserError, match="the output 'brightest' is of the type int64, and not a fraction"):
        packaged(heads(), outputs=("brightest",))


def test_a_reshape_to_one_image_is_refused_in_words_unless_one_is_all_it_takes() -> None:
    network = small()
    flatten = next(node for node in network.graph.node if node.op_type == "Flatten")
    flatten.CopyFrom(helper.make_node("Reshape", ["pooled", "shape"], ["flat"]))
    network.graph.initializer.append(numpy_helper.from_array(np.array([1, -1]), "shape"))
    with pytest.raises(UserError, match="cannot be run by ONNX Runtime"):
        packaged(network)
    fixed = small((1, 3, SIDE, SIDE))
    fixed.graph.node[4].CopyFrom(flatten)
    fixed.graph.initializer.append(numpy_helper.from_array(np.array([1, -1]), "shape"))
    assert np.allclose(answers(packaged(fixed)), expected(IMAGES / 255), atol=1e-6)


def test_weights_beside_the_network_become_part_of_it() -> None:
    kernel = small().graph.initializer[0].raw_data
    made = packaged(external("data/weights.bin", 3), beside={"data/weights.bin": b"---" + kernel}.__getitem__)
    assert np.array_equal(answers(made), answers(packaged(small())))
    with pytest.raises(UserError, match=r"keeps its weights \('kernel'\) in another file"):
        answers(
            Model(
                LABELS,
                made.preprocessing,
                external("w", network=parse_onnx(made.network, "m")).SerializeToString(),
                engine=ONNX,
            )
        )


def test_a_network_that_ends_its_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TryError, match="does not have an ir_version"):
        try_network(b"")
    huge = helper.make_node("ConstantOfShape", ["huge"], ["zeros"])
    summed = helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0)
    network = model(
        [
            helper.make_node("Cast", ["images"], ["x"], to=TensorProto.FLOAT),
            huge,
            summed,
            helper.make_node("Add", ["x", "sum"], ["answers"]),
        ],
        {"images": (TensorProto.UINT8, ("batch", SIDE, SIDE, 3))},
        {"answers": (TensorProto.FLOAT, ("batch", SIDE, SIDE, 3))},
        {"huge": np.array([2**44])},
    )
    with pytest.raises(TryError, match=r"allocate|memory"):
        try_network(network.SerializeToString())
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], -11, "", ""))
    with pytest.raises(TryError, match="its process ended by SIGSEGV, so it is damaged"):
        try_network(small().SerializeToString())


def test_mutated_files_end_in_a_line() -> None:
    random, good = np.random.default_rng(3), small().SerializeToString()
    refused: list[str] = []
    for _ in range(300):
        content = bytearray(good)
        for place in random.integers(0, len(content), 3):
            content[place] = random.integers(256)
        try:
            Scorer(packaged(bytes(content)), "m")
        except UserError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 300
    assert not any("\n" in line for line in refused)


def test_only_the_engine_of_the_model_is_imported(tmp_path: Path) -> None:
    made = packaged(small())
    (tmp_path / "network").write_bytes(made.network)
    code = f"""
import sys
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.model_directory import Model
from bulklabel.model.versions import ONNX
from bulklabel.model.network.golden_images import add_golden, check_golden
from bulklabel.model.network.scorer import Scorer
network = open({str(tmp_path / "network")!r}, "rb").read()
model = add_golden(Model({LABELS!r}, Preprocessing({SIDE}, {SIDE}), network, engine=ONNX), "m")
check_golden(model, Scorer(model, "m"), "m")
assert not sys.modules.keys() & {{"tensorflow", "keras"}}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
