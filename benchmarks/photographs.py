"""Prints what photographs of 0.2 to 50 megapixels cost a core: to decode, to resize to 224 pixels, and to score.

    python benchmarks/photographs.py steps|jobs [ROUNDS] [MEGAPIXELS,…]

`steps`: each round decodes every image as bulklabel did until photographs were measured (libjpeg-turbo, OpenCV's PNG,
Pillow's WebP, all resized by Pillow), and in the ways of a model directory, `exact` and `scaled`, one after the other:
what changes from minute to minute changes all. Times are the processor's, medians of the rounds.

`jobs`: jobs of two sizes are scored by a network that looks at 64 pixels, so that start-up cancels; decoding alone is
measured before and after each, on as many threads as the job has, and on as many copies of the file as a job has in
memory, since a single one would be in the processor's cache. What a job has at most in memory is the larger one's.
"""

import io
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from bulklabel.model.images.decode import decode, decode_whole
from bulklabel.model.images.resize import Pixels, Preprocessing, resize
from bulklabel.model.model_directory import Model
from bulklabel.model.network.freed_memory import keep_freed_memory
from bulklabel.model.versions import ONNX
from bulklabel.transforms.scoring.model_files import save_model

SIZES = {0.2: (375, 500), 0.8: (768, 1024), 3: (1536, 2048), 12: (3000, 4000), 50: (5774, 8660)}
EXACT = Preprocessing(224, 224)
SCALED = replace(EXACT, decode="scaled")
JOB_SECONDS = 5
"""A job has as many records as are decoded in this time of a core, and 28 more than the smaller one at least."""

CACHE_BYTES = 2**26
"""More than the caches of a processor hold."""

WAYS = {"JPEG": {"exact": EXACT, "scaled": SCALED}, "PNG": {"exact": EXACT}, "WEBP": {"exact": EXACT}}
"""Only JPEG files are decoded in two ways."""


@dataclass(frozen=True)
class Photograph:
    """Holds an encoded image and how it was decoded before."""

    megapixels: float
    format: str
    content: bytes
    before: Callable[[bytes], Pixels]


def photographs(sizes: list[float]) -> Iterator[Photograph]:
    for megapixels in sizes:
        pixels = photograph(*SIZES[megapixels])
        _, png = cv2.imencode(".png", pixels[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        yield Photograph(megapixels, "JPEG", encoded(pixels, "JPEG", 85), by_libjpeg)
        yield Photograph(megapixels, "PNG", png.tobytes(), by_opencv)
        yield Photograph(megapixels, "WEBP", encoded(pixels, "WEBP", 80), by_pillow)


def photograph(height: int, width: int) -> Pixels:
    """Smooth colours with noise: 42 kB as JPEG of 500×375 pixels, 2 MB of 4000×3000."""
    random = np.random.default_rng(height)
    smooth = cv2.resize(random.integers(0, 256, (12, 16, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    for top in range(0, height, 256):
        strip = smooth[top : top + 256]
        strip[:] = np.clip(strip + random.integers(-12, 13, strip.shape, np.int16), 0, 255)
    return smooth  # type: ignore[return-value]


def encoded(pixels: Pixels, kind: str, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=quality, method=0)
    return file.getvalue()


def by_libjpeg(content: bytes) -> Pixels:
    return simplejpeg.decode_jpeg(content, strict=True)  # type: ignore[no-any-return]


def by_opencv(content: bytes) -> Pixels:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)  # type: ignore[return-value]


def by_pillow(content: bytes) -> Pixels:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def resize_by_pillow(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((EXACT.width, EXACT.height), Image.Resampling.BILINEAR))


def main(what: str, rounds: int, sizes: list[float]) -> None:
    keep_freed_memory()  # as `score` does
    cv2.setNumThreads(1)
    images = photographs(sizes)
    print_steps(images, rounds) if what == "steps" else print_jobs(images, rounds)


def print_steps(images: Iterator[Photograph], rounds: int) -> None:
    print("ms of a core:  ---------- before -----------  -------------- exact --------------  --- scaled ---")
    print("MP  format       decode    resize      both    decode    resize      both  ÷ before      both  ÷ before")
    for image in images:
        times = [measure(image) for _ in range(rounds)]
        print(f"{image.megapixels:<4g}{image.format:<8}{columns(times)}", flush=True)


def print_jobs(images: Iterator[Photograph], rounds: int) -> None:
    print("                    ------ decoding ÷ job: the processor's time, and the clock's ------")
    print("MP  format  decode  processor                     clock                         peak MB")
    with tempfile.TemporaryDirectory() as temporary:
        for image in images:
            for name, how in WAYS[image.format].items():
                folder = Path(temporary) / f"{image.megapixels}-{image.format}-{name}"
                turns = [run_jobs(image, how, folder, turn) for turn in range(rounds)]
                processor, clock, megabytes = zip(*turns, strict=True)
                print(
                    f"{image.megapixels:<4g}{image.format:<8}{name:<8}{shares(processor):<30}{shares(clock):<30}"
                    f"{statistics.median(megabytes):,.0f}",
                    flush=True,
                )


def shares(found: Sequence[float]) -> str:
    return f"{statistics.median(found):.2f}   each: {', '.join(f'{share:.2f}' for share in found)}"


def measure(image: Photograph) -> dict[str, float]:
    """Returns the milliseconds of each step, by its name."""
    content, repeats = image.content, max(1, round(2 / image.megapixels))
    was, now = image.before(content), decode_whole(content)
    assert np.array_equal(was, now)
    assert np.array_equal(resize_by_pillow(was), decode(content, EXACT))
    steps: dict[str, Callable[[], Any]] = {
        "before decode": lambda: image.before(content),
        "before resize": lambda: resize_by_pillow(was),
        "before both": lambda: resize_by_pillow(image.before(content)),
        "exact decode": lambda: decode_whole(content),
        "exact resize": lambda: resize(now, EXACT),
        "exact both": lambda: decode(content, EXACT),
        "scaled both": lambda: decode(content, SCALED),
    }
    return {name: milliseconds(step, repeats) for name, step in steps.items()}


def milliseconds(step: Callable[[], Any], repeats: int) -> float:
    """Returns the milliseconds of the processor that a step takes."""
    started = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - started) * 1000 / repeats


def columns(times: list[dict[str, float]]) -> str:
    """Returns medians of times, and of what both steps take now as a part of what they took in the same round."""
    words = [f"{statistics.median(each[name] for each in times):10.1f}" for name in times[0]]
    for way, place in (("scaled both", 7), ("exact both", 6)):
        words.insert(place, f"{statistics.median(each[way] / each['before both'] for each in times):10.2f}")
    return "".join(words)


@dataclass(frozen=True)
class Seconds:
    """Holds seconds by the processor's time, and by the clock."""

    processor: float
    clock: float


def run_jobs(image: Photograph, how: Preprocessing, folder: Path, turn: int) -> tuple[float, float, float]:
    """Returns decoding's shares of the whole job's time a record, and the job's peak megabytes."""
    copies = [bytes(bytearray(image.content)) for _ in range(max(2, CACHE_BYTES // len(image.content)))]
    threads = os.cpu_count() or 1
    seconds = decode_all(copies, how, 2 * threads).processor
    large = max(32, round(JOB_SECONDS / seconds))
    small = max(large // 8, 2)
    save_model(Model(("a", "b"), how, glancing_network(), engine=ONNX), str(folder / "model"))
    used, alone, peak = [], [], 0.0
    for records in (small, large):
        write_corpus(folder / f"{records}.parquet", image, records)
        alone.append(decode_all(copies, how, large // 2))
        job, peak = run_job(folder, records, turn)
        used.append(job)
        alone.append(decode_all(copies, how, large // 2))
    more = large - small
    processor = statistics.mean(each.processor for each in alone) * more / (used[1].processor - used[0].processor)
    clock = statistics.mean(each.clock for each in alone) * more / (used[1].clock - used[0].clock)
    return processor, clock, peak


def decode_all(copies: Sequence[bytes], how: Preprocessing, count: int) -> Seconds:
    """Returns the seconds that one of so many images takes: the copies again and again, by threads that share them."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        processor, clock = time.process_time(), time.perf_counter()
        list(pool.map(lambda number: decode(copies[number % len(copies)], how), range(count)))
        return Seconds((time.process_time() - processor) / count, (time.perf_counter() - clock) / count)


def glancing_network() -> bytes:
    """Makes a network that answers with the mean of 8×8 pixels and touches no others: all else is the pipeline's."""
    constants = {"from": np.array([0, 0]), "to": np.array([8, 8]), "axes": np.array([1, 2])}
    constants["weights"] = np.full((3, 2), 0.01, np.float32)
    nodes = [
        helper.make_node("Slice", ["images", "from", "to", "axes"], ["corner"]),
        helper.make_node("Cast", ["corner"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Gemm", ["mean", "weights"], ["sums"]),
        helper.make_node("Sigmoid", ["sums"], ["answers"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", EXACT.height, EXACT.width, 3])
    answers = helper.make_tensor_value_info("answers", TensorProto.FLOAT, ["n", 2])
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "glance", [images], [answers], tensors)
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


def write_corpus(path: Path, image: Photograph, records: int) -> None:
    schema = pa.schema({"image": pa.binary()})
    group = max(1, min(64, 2**26 // len(image.content)))
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for first in range(0, records, group):
            count = min(group, records - first)
            writer.write_table(pa.table({"image": [image.content] * count}, schema=schema))


def run_job(folder: Path, records: int, turn: int) -> tuple[Seconds, float]:
    """Returns the seconds and the peak megabytes of `bulklabel score`, in a process of its own."""
    arguments = [
        f"--input={folder}/{records}.parquet",
        f"--model={folder}/model",
        f"--output={folder}/{turn}/{records}",
    ]
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "bulklabel.pipelines.cli", "score", *arguments], stdout=subprocess.DEVNULL
    )
    peak, ended = 0.0, 0
    while not ended:  # `usage.ru_maxrss` has this process' own peak in it, which it was forked from
        time.sleep(0.05)
        high_water = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        peak = max(peak, int(high_water[1]) / 1024) if high_water else peak
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    assert status == 0, status
    return Seconds(usage.ru_utime + usage.ru_stime, time.perf_counter() - started), peak


if __name__ == "__main__":
    what, rounds, sizes = (*sys.argv[1:], *("steps", "3", ",".join(map(str, SIZES)))[len(sys.argv) - 1 :])
    main(what, int(rounds), [float(size) for size in sizes.split(",")])
