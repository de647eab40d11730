"""Prints what photographs of 0.2 to 50 megapixels cost a core: to decode, to resize to 224 pixels, and to score.

    python benchmarks/photographs.py steps|jobs [ROUNDS] [MEGAPIXELS,…]

`steps`: each round decodes every image as bulklabel did until photographs were measured (libjpeg-turbo, OpenCV's PNG,
Pillow's WebP, all resized by Pillow), and in the ways of a model directory, `exact` and `scaled`, one after the other:
what changes from minute to minute changes all. Times are the processor's, medians of the rounds.

`jobs`: jobs of two sizes are scored by a network that looks at 64 pixels, so that start-up cancels; decoding alone is
measured before and after each, on as many threads as the job has. That network is not free: all pixels are made numbers
of 32 bits first. So it is measured alone, too. What a job has at most in memory is the larger one's.
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
import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from PIL import Image

from bulklabel.model.images.decode import decode, decode_whole
from bulklabel.model.images.resize import Pixels, Preprocessing, resize
from bulklabel.model.model_directory import Model
from bulklabel.model.network.import_tensorflow import keep_freed_memory
from bulklabel.model.network.keras_archive import network_bytes
from bulklabel.transforms.scoring.load_scorer import load_scorer
from bulklabel.transforms.scoring.model_files import save_model

SIZES = {0.2: (375, 500), 0.8: (768, 1024), 3: (1536, 2048), 12: (3000, 4000), 50: (5774, 8660)}
EXACT = Preprocessing(224, 224)
SCALED = replace(EXACT, decode="scaled")
JOB_SECONDS = 5
"""A job has as many records as are decoded in this time of a core, and 16 more than the smaller one at least."""


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
    print("of the processor's time:")
    print("MP  format  decode   decoding ÷ job                (decoding + network) ÷ job    peak MB")
    with tempfile.TemporaryDirectory() as temporary:
        for image in images:
            for name, how in WAYS[image.format].items():
                folder = Path(temporary) / f"{image.megapixels}-{image.format}-{name}"
                turns = [run_jobs(image, how, folder, turn) for turn in range(rounds)]
                alone, both, megabytes = zip(*turns, strict=True)
                print(
                    f"{image.megapixels:<4g}{image.format:<8}{name:<9}{shares(alone):<30}{shares(both):<30}"
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


def milliseconds(step: Callable[[], Any], repeats: int, threads: int = 1) -> float:
    """Returns the milliseconds of the processor that a step takes, done so often by threads that share the work."""
    with ThreadPoolExecutor(threads) as pool:
        started = time.process_time()
        list(pool.map(lambda _: step(), range(repeats)))
        return (time.process_time() - started) * 1000 / repeats


def columns(times: list[dict[str, float]]) -> str:
    """Returns medians of times, and of what both steps take now as a part of what they took in the same round."""
    words = [f"{statistics.median(each[name] for each in times):10.1f}" for name in times[0]]
    for way, place in (("scaled both", 7), ("exact both", 6)):
        words.insert(place, f"{statistics.median(each[way] / each['before both'] for each in times):10.2f}")
    return "".join(words)


def run_jobs(image: Photograph, how: Preprocessing, folder: Path, turn: int) -> tuple[float, float, float]:
    """Returns shares of the whole job's time of the processor a record, and the job's peak megabytes.

    The shares are decoding's, and that of decoding and network together.
    """
    threads = os.cpu_count() or 1
    seconds = milliseconds(lambda: decode(image.content, how), 2 * threads, threads) / 1000
    large = max(32, round(JOB_SECONDS / seconds)) if image.megapixels < 50 else 12
    small = max(large // 8, 2)
    model = Model(("a", "b"), how, network_bytes(glancing_network()))
    save_model(model, str(folder / "model"))
    scorer = load_scorer(str(folder / "model"), model.digest)
    batch = np.zeros((scorer.images_at_once, how.height, how.width, 3), np.uint8)
    network = milliseconds(lambda: scorer.predict(batch), 16, threads) / 1000 / len(batch)
    used, alone, peak = {}, [seconds], 0.0
    for records in (small, large):
        write_corpus(folder / f"{records}.parquet", image, records)
        used[records], peak = run_job(folder, records, turn)
        alone.append(milliseconds(lambda: decode(image.content, how), max(2 * threads, large // 20), threads) / 1000)
    job, decoding = (used[large] - used[small]) / (large - small), statistics.mean(alone)
    return decoding / job, (decoding + network) / job, peak


def glancing_network() -> keras.Model:
    images = keras.Input((224, 224, 3))
    corner = keras.layers.Rescaling(1 / 255)(keras.layers.Cropping2D(((0, 216), (0, 216)))(images))
    pooled = keras.layers.GlobalAveragePooling2D()(corner)
    return keras.Model(images, keras.layers.Dense(2, activation="sigmoid")(pooled))


def write_corpus(path: Path, image: Photograph, records: int) -> None:
    schema = pa.schema({"image": pa.binary()})
    group = max(1, min(64, 2**26 // len(image.content)))
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for first in range(0, records, group):
            count = min(group, records - first)
            writer.write_table(pa.table({"image": [image.content] * count}, schema=schema))


def run_job(folder: Path, records: int, turn: int) -> tuple[float, float]:
    """Returns the seconds of the processor and the peak megabytes of `bulklabel score`, in a process of its own."""
    arguments = [
        f"--input={folder}/{records}.parquet",
        f"--model={folder}/model",
        f"--output={folder}/{turn}/{records}",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "bulklabel.pipelines.cli", "score", *arguments], stdout=subprocess.DEVNULL
    )
    peak, ended = 0.0, 0
    while not ended:  # `usage.ru_maxrss` has this process' own peak in it, which it was forked from
        time.sleep(0.1)
        high_water = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        peak = max(peak, int(high_water[1]) / 1024) if high_water else peak
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    assert status == 0, status
    return usage.ru_utime + usage.ru_stime, peak


if __name__ == "__main__":
    what, rounds, sizes = (*sys.argv[1:], *("steps", "3", ",".join(map(str, SIZES)))[len(sys.argv) - 1 :])
    main(what, int(rounds), [float(size) for size in sizes.split(",")])
