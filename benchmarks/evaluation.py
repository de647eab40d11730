"""Prints what share of a whole job its evaluation is, for 10 labels and for 1,000.

    python benchmarks/evaluation.py [ROUNDS]

A round runs `bulklabel score` on two sizes of a corpus of 32×32 PNGs, so that start-up cancels, and then makes the
statistic of the larger run's parts again, as the graph does: from tables in memory, shard by shard, merged in place.
The share is evaluation's seconds a record ÷ the job's seconds a record, of the same round.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.model.images.demo_collages import collages
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.model_directory import Model
from bulklabel.model.network.keras_archive import network_bytes
from bulklabel.model.statistic import Statistic
from bulklabel.model.training.textbook import build_textbook
from bulklabel.transforms.answers.run_answers import PartReader
from bulklabel.transforms.evaluating.evaluate import Evaluation
from bulklabel.transforms.run_directory.finished_run import load_run
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.scoring.model_files import save_model

SIZES = {10: (20_480, 102_400), 1000: (10_240, 40_960)}
GROUP = 1024


def main(rounds: int) -> None:
    images = [image for image, _ in collages(4_096, 0, held_out=False)]
    with tempfile.TemporaryDirectory() as temporary:
        for labels, sizes in SIZES.items():
            folder = Path(temporary) / str(labels)
            names = tuple(f"l{index:04d}" for index in range(labels))
            network = network_bytes(build_textbook(32, 32, labels, seed=0))
            save_model(Model(names, Preprocessing(32, 32), network), str(folder / "model"))
            for size in sizes:
                write_corpus(folder / f"{size}.parquet", images, names, size)
            jobs, evaluations = zip(*(run_round(folder, sizes, turn) for turn in range(rounds)), strict=True)
            shares = [evaluation / job for job, evaluation in zip(jobs, evaluations, strict=True)]
            print(
                f"{labels:>5} labels: job {1e6 * statistics.median(jobs):,.0f} µs per record, evaluation "
                f"{1e6 * statistics.median(evaluations):,.1f} µs, share {statistics.median(shares):.1%}"
                f"   each: {[f'{share:.1%}' for share in shares]}"
            )


def write_corpus(path: Path, images: list[bytes], names: tuple[str, ...], records: int) -> None:
    random = np.random.default_rng(0)
    some = np.array(names)
    truth = [some[random.integers(0, len(names), 3)].tolist() for _ in range(records)]
    table = pa.table({"image": pa.array([images[i % len(images)] for i in range(records)]), "labels": truth})
    pq.write_table(table, path, row_group_size=GROUP)


def run_round(folder: Path, sizes: tuple[int, int], turn: int) -> tuple[float, float]:
    """Seconds a record of the job, and of evaluation."""
    seconds = [run_job(folder, size, turn) for size in sizes]
    small, large = sizes
    return (seconds[1] - seconds[0]) / (large - small), evaluate(folder / str(turn) / str(large)) / large


def run_job(folder: Path, size: int, turn: int) -> float:
    arguments = [f"--input={folder}/{size}.parquet", f"--model={folder}/model", f"--output={folder}/{turn}/{size}"]
    arguments.append("--threshold=0.6")
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bulklabel.pipelines.cli", "score", *arguments], stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - started


def evaluate(run: Path) -> float:
    plan = load_run(str(run))
    parts = PartReader(RunDirectory(str(run), plan.stamp))
    results = [result for shard in plan.shards for result in parts.read(shard)]
    evaluation = Evaluation(plan.recipe.labels, plan.recipe.thresholds, ())
    total = Statistic.zero(len(plan.recipe.labels))
    started = time.perf_counter()
    for result in results:
        total += evaluation.statistic(result)
    return time.perf_counter() - started


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
