"""Prints how fast the whole job is, as a share of what its network and its decoding allow, and its peak memory.

    python benchmarks/throughput.py [ROUNDS]

Every round measures all four things one after the other; the table shows medians, so that a machine whose speed
changes from minute to minute still gives a ratio that means something. Start-up cancels: the whole job's rate is
that of the 120,000 records by which its two sizes differ.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from model.archive import network_bytes
from model.collages import DIGITS, collages
from model.directory import Model
from model.images import Preprocessing, batch_size_for
from model.network import build_network
from model.scorer import Scorer
from transforms.ahead import ahead
from transforms.decoding import decode_batch
from transforms.models import save_model
from transforms.records import RECORDS

SMALL, LARGE = 40_000, 160_000
DISTINCT, GROUP = 10_000, 2_000
SIZE = Preprocessing(32, 32)
CORES = os.cpu_count() or 1


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = [image for image, _ in collages(DISTINCT, 0, held_out=False)]
        model = Model(DIGITS, SIZE, network_bytes(build_network(32, 32, len(DIGITS), seed=0)))
        save_model(model, str(folder / "model"))
        for records in (SMALL, LARGE):
            write_corpus(folder / f"{records}.parquet", images, records)
        tables = [records_of(images[first : first + 256]) for first in range(0, DISTINCT - 256, 256)]
        scorer = Scorer(model, "model")
        rates: dict[str, list[float]] = {"job": [], "network": [], "decoding": []}
        memory: dict[int, list[float]] = {SMALL: [], LARGE: []}
        for turn in range(rounds):
            rates["network"].append(max(rate_of(lambda: run_network(scorer, tables)) for _ in range(2)))
            rates["decoding"].append(max(rate_of(lambda: run_decoding(tables)) for _ in range(2)))
            seconds = {}
            for records in (SMALL, LARGE):
                seconds[records], peak = run_job(folder, records, turn)
                memory[records].append(peak)
            rates["job"].append((LARGE - SMALL) / (seconds[LARGE] - seconds[SMALL]))
        print_table(rates, memory)


def write_corpus(path: Path, images: list[bytes], records: int) -> None:
    with pq.ParquetWriter(path, pa.schema({"image": pa.binary(), "labels": pa.list_(pa.string())})) as writer:
        for first in range(0, records, GROUP):
            some = [images[(first + i) % DISTINCT] for i in range(GROUP)]
            writer.write_table(pa.table({"image": pa.array(some, pa.binary()), "labels": [["1", "7"]] * GROUP}))


def records_of(images: list[bytes]) -> pa.Table:
    rows = [{"id": "", "source": "", "position": 0, "labels": None, "image": image} for image in images]
    return pa.Table.from_pylist(rows, RECORDS)


def run_network(scorer: Scorer, tables: list[pa.Table]) -> int:
    pixels = decode_batch(tables[0], SIZE).pixels
    with ThreadPoolExecutor(CORES) as pool:
        return sum(len(found) for found in ahead(pool, lambda _: scorer.predict(pixels), tables * 4, 2 * CORES))


def run_decoding(tables: list[pa.Table]) -> int:
    with ThreadPoolExecutor(CORES) as pool:
        decoded = ahead(pool, lambda table: decode_batch(table, SIZE), tables * 4, 2 * CORES)
        return sum(len(batch.pixels) for batch in decoded)


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
    process = subprocess.Popen([sys.executable, "-m", "pipelines.cli", "score", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, status
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def print_table(rates: dict[str, list[float]], memory: dict[int, list[float]]) -> None:
    floors = [1 / (1 / a + 1 / b) for a, b in zip(rates["network"], rates["decoding"], strict=True)]
    ratios = [job / floor for job, floor in zip(rates["job"], floors, strict=True)]
    rows = {
        "the network alone, on decoded images": statistics.median(rates["network"]),
        "decoding alone": statistics.median(rates["decoding"]),
        "floor: both, one after the other": statistics.median(floors),
        "the whole job, marginal": statistics.median(rates["job"]),
    }
    print(f"{CORES} cores, 32×32 PNG, batches of {batch_size_for(SIZE)}, {len(ratios)} rounds: images a second")
    for name, rate in rows.items():
        print(f"  {name:<40}{rate:>10,.0f}")
    print(f"  {'the whole job ÷ floor':<40}{statistics.median(ratios):>10.2f}   each: {[round(r, 2) for r in ratios]}")
    small, large = statistics.median(memory[SMALL]), statistics.median(memory[LARGE])
    print(f"peak memory: {small:,.0f} MB at {SMALL:,} records, {large:,.0f} MB at {LARGE:,} ({large / small - 1:+.1%})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
