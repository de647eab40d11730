"""What is done to a process before TensorFlow works in it."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from bulklabel.model.network.engine import THREADS, threads_per_batch
from bulklabel.model.versions import processor_cores

COUNT = """
import resource, sys
import numpy as np
from bulklabel.model.network.freed_memory import keep_freed_memory
from bulklabel.transforms.scoring.load_scorer import load_scorer
from bulklabel.transforms.scoring.model_files import load_model
if sys.argv[1] == "keep":
    keep_freed_memory()
elif sys.argv[1] != "give back":
    load_scorer(sys.argv[1], load_model(sys.argv[1]).digest)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.empty(3 * 2**20).fill(1.0)  # 24 MiB, as large as a tensor of a batch
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


MODULES = """
import sys
from bulklabel.model.network.import_tensorflow import import_tensorflow
import_tensorflow(wrappers=False)
assert "sklearn" not in sys.modules
import gc, sklearn, os
assert gc.isenabled()
assert gc.get_freeze_count() > 500_000
frozen = gc.get_freeze_count()
import_tensorflow(wrappers=False)
assert gc.get_freeze_count() == frozen
assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
"""


def test_keras_imports_no_scikit_learn_for_us_and_whoever_needs_it_can() -> None:
    subprocess.run([sys.executable, "-c", MODULES], env=os.environ | {"TF_ENABLE_ONEDNN_OPTS": "0"}, check=True)


IMPORTED_BEFORE = """
import tensorflow
from bulklabel.model.network.import_tensorflow import import_tensorflow
import_tensorflow()
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="TensorFlow is made for oneDNN on x86-64 alone")
@pytest.mark.parametrize("switch", ["0", "1"])
def test_a_line_says_that_somebody_has_imported_tensorflow_without_onednn(switch: str) -> None:
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": switch}
    command = [sys.executable, "-c", IMPORTED_BEFORE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    warnings = [line for line in done.stderr.splitlines() if line.startswith("TensorFlow was imported before")]
    assert len(warnings) == (switch == "0")


def test_cores_are_counted_where_the_system_knows_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert processor_cores() == (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("cores", "told", "threads"), [(1, "", 1), (2, "", 1), (16, "", 8), (16, "3", 3), (16, "0", 8), (16, "many", 8)]
)
def test_threads_per_batch(monkeypatch: pytest.MonkeyPatch, cores: int, told: str, threads: int) -> None:
    monkeypatch.setenv(THREADS, told)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert threads_per_batch() == threads


COMPUTE = """
import os, sys
from bulklabel.model.network.import_tensorflow import import_tensorflow
import_tensorflow(wrappers=False, threads=int(sys.argv[1]))
import tensorflow as tf
tf.linalg.matmul(tf.ones((512, 512)), tf.ones((512, 512)))
print(len(os.listdir("/proc/self/task")))
"""


def test_tensorflow_has_so_many_threads_per_batch() -> None:
    found = {}
    for threads in (1, 4):
        command = [sys.executable, "-c", COMPUTE, str(threads)]
        found[threads] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found[4] - found[1] == 3


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_freed_memory_is_used_again(onnx_model: Path) -> None:
    """Where ONNX Runtime scores, too, without TensorFlow."""
    faults = {}
    for way in ("give back", "keep", str(onnx_model)):
        command = [sys.executable, "-c", COUNT, way]
        environment = os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0", "MALLOC_MMAP_THRESHOLD_": str(2**17)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        faults[way] = int(done.stdout)
    assert max(faults["keep"], faults[str(onnx_model)]) < faults["give back"] / 10


HEAPS = """
import os, re, threading
import numpy
from bulklabel.model.network.freed_memory import keep_freed_memory

os.cpu_count = lambda: 2
keep_freed_memory()
ended = threading.Event()
idle = [threading.Thread(target=lambda: (bytearray(1000), ended.wait())) for _ in range(14)]
for thread in idle:
    thread.start()
for _ in range(20):
    thread = threading.Thread(target=numpy.ones, args=(30_000_000, numpy.uint8))
    thread.start()
    thread.join()
ended.set()
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""
"""Fills 30 MB in one thread after another, while others live."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_memory_that_is_kept_is_not_kept_for_each_thread() -> None:
    done = subprocess.run([sys.executable, "-c", HEAPS], capture_output=True, text=True, check=True)
    assert int(done.stdout) / 1024 < 140
