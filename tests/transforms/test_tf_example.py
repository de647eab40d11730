"""The message `tf.Example` made without TensorFlow, against TensorFlow's own."""

import subprocess
import sys

from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from bulklabel.transforms.reading.streams.tf_example import Example

VALUES = st.one_of(
    st.tuples(st.just("bytes_list"), st.lists(st.binary(max_size=20), max_size=4)),
    st.tuples(st.just("float_list"), st.lists(st.floats(width=32, allow_nan=False), max_size=4)),
    st.tuples(st.just("int64_list"), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4)),
)


@given(st.dictionaries(st.text(max_size=10), VALUES, max_size=5))
def test_what_one_writes_the_other_reads(features: dict[str, tuple[str, list[object]]]) -> None:
    from tensorflow.core.example.example_pb2 import Example as TensorFlowExample

    ours, theirs = Example(), TensorFlowExample()
    for example in (ours, theirs):
        for name, (kind, values) in features.items():
            getattr(example.features.feature[name], kind).value.extend(values)
            getattr(example.features.feature[name], kind).SetInParent()
    assert Example.FromString(theirs.SerializeToString()) == ours
    assert TensorFlowExample.FromString(ours.SerializeToString()) == theirs


@given(st.binary(max_size=60))
def test_both_refuse_the_same_bytes(content: bytes) -> None:
    from tensorflow.core.example.example_pb2 import Example as TensorFlowExample

    read = []
    for kind in (Example, TensorFlowExample):
        try:
            read.append(str(kind.FromString(content)))
        except DecodeError:
            read.append("damaged")
    assert read[0] == read[1]


def test_it_is_made_without_tensorflow() -> None:
    code = "import sys, bulklabel.transforms.reading.readers; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
