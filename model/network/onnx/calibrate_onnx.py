"""Puts a calibration behind the probabilities of a wrapped ONNX network."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper


def calibrate_onnx(
    network: bytes, slopes: Sequence[float], offsets: Sequence[float], limits: tuple[float, float]
) -> bytes:
    """Returns a network whose probabilities have other log-odds: slope times what they were, plus offset, by label.

    Args:
        network: a `model.onnx`, which may be calibrated already.
        slopes: a number for each label, above 0.
        offsets: a number for each label.
        limits: the lowest and the highest probability whose log-odds are computed.
    """
    model = onnx.ModelProto.FromString(network)
    graph, (output,) = model.graph, model.graph.output
    before = f"{output.name}_{len(graph.node)}"  # so that a second calibration finds names of its own
    for node in graph.node:
        node.output[:] = [before if name == output.name else name for name in node.output]
    numbers = {"lowest": limits[0], "highest": limits[1], "one": 1.0, "slopes": slopes, "offsets": offsets}
    for name, values in numbers.items():
        graph.initializer.append(numpy_helper.from_array(np.asarray(values, np.float32), f"{before}_{name}"))
    steps = [
        ("Max", ["", "_lowest"], "_above"),
        ("Min", ["_above", "_highest"], "_inside"),
        ("Log", ["_inside"], "_log"),
        ("Sub", ["_one", "_inside"], "_rest"),
        ("Log", ["_rest"], "_log_rest"),
        ("Sub", ["_log", "_log_rest"], "_odds"),
        ("Mul", ["_odds", "_slopes"], "_scaled"),
        ("Add", ["_scaled", "_offsets"], "_moved"),
    ]
    for operator, inputs, made in steps:
        graph.node.append(helper.make_node(operator, [before + name for name in inputs], [before + made]))
    graph.node.append(helper.make_node("Sigmoid", [f"{before}_moved"], [output.name]))
    content: bytes = model.SerializeToString(deterministic=True)
    return content
