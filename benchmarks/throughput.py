"""Prints how fast the whole job is, as a share of what its network and its decoding allow, and its peak memory.

    python benchmarks/throughput.py [collages|photographs|photographs_thin] [ROUNDS]

`collages` are PNGs of 32×32 pixels, `photographs` JPEGs of 500×375, both for the network of `bulklabel train`;
`photographs_thin` has a network that costs next to nothing, so that it shows what the pipeline costs.

Every round measures the network and decoding alone before, between and after the two jobs, and the table shows
medians, so that a machine whose speed changes from minute to minute still gives a ratio that means something. Start-up
cancels: the whole job's rate is that of the records by which its two sizes differ.
"""

import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bulklabel.model.images.decode import batch_size_for
from bulklabel.model.images.demo_collages import DIGITS, collages
from bulklabel.model.images.resize import Pixels, Preprocessing
from bulklabel.model.model_directory import Model
from bulklabel.model.network.engine import BATCHES_AT_ONCE
from bulklabel.model.network.keras_archive import network_bytes
from bulklabel.model.network.scorer import Scorer
from bulklabel.model.training.textbook import build_textbook
from bulklabel.transforms.concurrency.ordered_map import ordered_map
from bulklabel.transforms.concurrency.timeout import TimedThreads
from bulklabel.transforms.reading.records import RECORD_SCHEMA, RecordTable
from bulklabel.transforms.scoring.decode import decode_tables
from bulklabel.transforms.scoring.load_scorer import load_scorer
from bulklabel.transforms.scoring.model_files import save_model

SIZE = Preprocessing(32, 32)
CORES = os.cpu_count() or 1
PHOTOGRAPH = (375, 500)


@dataclass(frozen=True)
class Corpus:
    """Holds what is measured: distinct images, the two sizes of the job, records a row group, and the network."""

    name: str
    images: list[bytes]
    labels: list[list[str]]
    small: int
    large: int
    group: int
    network: keras.Model


def corpora(name: str) -> Corpus:
    textbook = build_textbook(32, 32, len(DIGITS), seed=0)
    if name == "collages":
        images, labels = zip(*collages(10_000, 0, held_out=False), strict=True)
        return Corpus("32×32 PNG", list(images), list(labels), 40_000, 160_000, 2_000, textbook)
    network = thin_network() if name == "photographs_thin" else textbook
    photographs, digits = [photograph(seed) for seed in range(500)], [[DIGITS[seed % 10]] for seed in range(500)]
    return Corpus("500×375 JPEG", photographs, digits, 3_000, 18_000, 500, network)


def photograph(seed: int) -> bytes:
    """Smooth colours with noise: 43 kB, as such a photograph has."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8))
    smooth = np.asarray(coarse.resize(PHOTOGRAPH[::-1], Image.Resampling.BICUBIC)).astype(float)
    buffer = io.BytesIO()
    noisy = np.clip(smooth + random.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def thin_network() -> keras.Model:
    images = keras.Input((32, 32, 3))
    x = keras.layers.AveragePooling2D(8)(keras.layers.Rescaling(1 / 255)(images))
    return keras.Model(images, keras.layers.Dense(len(DIGITS), activation="sigmoid")(keras.layers.Flatten()(x)))


def main(name: str, rounds: int) -> None:
    corpus = corpora(name)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = write_model(folder / "model", corpus)
        for records in (corpus.small, corpus.large):
            write_corpus(folder / f"{records}.parquet", corpus, records)
        starts = range(0, min(len(corpus.images), 10_000) - 255, 256)
        tables = [records_of(corpus.images[first : first + 256]) for first in starts] * (1 if len(starts) > 9 else 2)
        scorer = load_scorer(str(folder / "model"), model.digest)
        pixels = next(decode_tables(TimedThreads(1, "decode"), tables[:1], SIZE)).pixels
        rates: dict[str, list[float]] = {"job": [], "network": [], "decoding": []}
        memory: dict[int, list[float]] = {corpus.small: [], corpus.large: []}
        for turn in range(rounds):
            seconds: dict[int, float] = {}
            alone: dict[str, list[float]] = {"network": [], "decoding": []}
            for records in (corpus.small, corpus.large, 0):
                alone["network"].append(rate_of(lambda: run_network(scorer, tables, pixels)))
                alone["decoding"].append(rate_of(lambda: run_decoding(tables)))
                if records:
                    seconds[records], peak = run_job(folder, records, turn)
                    memory[records].append(peak)
            for name, found in alone.items():
                rates[name].append(statistics.mean(found))
            rates["job"].append((corpus.large - corpus.small) / (seconds[corpus.large] - seconds[corpus.small]))
        print_table(corpus, rates, memory)


def write_model(folder: Path, corpus: Corpus) -> Model:
    model = Model(DIGITS, SIZE, network_bytes(corpus.network))
    save_model(model, str(folder))
    return model


def write_corpus(path: Path, corpus: Corpus, records: int) -> None:
    with pq.ParquetWriter(path, pa.schema({"image": pa.binary(), "labels": pa.list_(pa.string())})) as writer:
        for first in range(0, records, corpus.group):
            some = [(first + i) % len(corpus.images) for i in range(corpus.group)]
            columns = {"image": [corpus.images[i] for i in some], "labels": [corpus.labels[i] for i in some]}
            writer.write_table(pa.table(columns, schema=writer.schema))


def records_of(images: list[bytes]) -> RecordTable:
    rows = [{"id": "", "source": "", "position": 0, "labels": None}] * len(images)
    return RecordTable(pa.Table.from_pylist(rows, RECORD_SCHEMA), images)


def run_network(scorer: Scorer, tables: list[RecordTable], pixels: Pixels) -> int:
    with ThreadPoolExecutor(BATCHES_AT_ONCE) as pool:
        answers = ordered_map(lambda _: pool.submit(scorer.predict, pixels), tables * 4, 2 * BATCHES_AT_ONCE)
        return sum(map(len, answers))


def run_decoding(tables: list[RecordTable]) -> int:
    with closing(TimedThreads(CORES, "decode")) as threads:
        return sum(len(batch.pixels) for batch in decode_tables(threads, tables * 4, SIZE))


def rate_of(work: Callable[[], int]) -> float:
    started = time.perf_counter()
    done = work()
    return done / (time.perf_counter() - started)


def run_job(folder: Path, records: int, turn: int) -> tuple[float, float]:
    """Seconds and peak megabytes of `bulklabel score`, in a process of its own."""
    arguments = [
        f"--input={folder}/{records}.parquet",
        f"--model={folder}/model",
        f"--output={folder}/{turn}/{records}",
    ]
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "bulklabel.pipelines.cli", "score", *arguments], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, status
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def print_table(corpus: Corpus, rates: dict[str, list[float]], memory: dict[int, list[float]]) -> None:
    floors = [1 / (1 / a + 1 / b) for a, b in zip(rates["network"], rates["decoding"], strict=True)]
    ratios = [job / floor for job, floor in zip(rates["job"], floors, strict=True)]
    rows = {
        "the network alone, on decoded images": statistics.median(rates["network"]),
        "decoding alone": statistics.median(rates["decoding"]),
        "floor: both, one after the other": statistics.median(floors),
        "the whole job, marginal": statistics.median(rates["job"]),
    }
    print(f"{CORES} cores, {corpus.name}, batches of {batch_size_for(SIZE)}, {len(ratios)} rounds: images per second")
    for name, rate in rows.items():
        print(f"  {name:<40}{rate:>10,.0f}")
    print(f"  {'the whole job ÷ floor':<40}{statistics.median(ratios):>10.2f}   each: {[round(r, 2) for r in ratios]}")
    shares = [job / decoding for job, decoding in zip(rates["job"], rates["decoding"], strict=True)]
    print(
        f"  {'the whole job ÷ decoding':<40}{statistics.median(shares):>10.2f}   each: {[round(r, 2) for r in shares]}"
    )
    small, large = (statistics.median(memory[records]) for records in (corpus.small, corpus.large))
    print(f"peak memory: {small:,.0f} MB at {corpus.small:,} records, {large:,.0f} MB at {corpus.large:,}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "collages", int(sys.argv[2]) if len(sys.argv) > 2 else 5)
