"""Measures bulklabel and its peers in turn, on the same images, network and outputs, and writes a table of ratios.

    python -m benchmarks.compare_peers [--rounds N] [--corpus collages|photographs] [--peers NAMES] [--output FILE]

Each peer is a script in `peers/`, in an environment of its own (`make bench` makes it). A round runs each of them once
on two numbers of records, each in a process of its own, so that what makes the machine slow for a while does so for all
of them. Rates are marginal: the records by which the two runs differ, by the difference of their times, so that
start-up cancels. Seconds of the processor are those of a process and of all that it starts. Outputs are compared, too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds

from benchmarks.process_tree import Usage, run
from benchmarks.throughput import Corpus, corpora, write_corpus, write_model
from bulklabel.model.images.demo_collages import DIGITS
from bulklabel.model.network.precision import ABLE
from bulklabel.model.versions import processor as processor_name
from bulklabel.model.versions import processor_flags

ROOT = Path(__file__).resolve().parent.parent
PEER_PYTHON = ROOT / ".tools" / "bench" / "bin" / "python"
SIZES = {"collages": (8_000, 40_000), "photographs": (1_000, 5_000)}
ALONE = {f"the network alone, batches of {batch}": f"network {batch}" for batch in (32, 256, 1024)} | {
    "decoding alone": "decoding"
}
PEERS = {
    "a Keras script": "keras_script",
    "Beam's RunInference": "run_inference",
    "Ray Data": "ray_data",
    "Spark's predict_batch_udf": "spark_udf",
    "Daft's class UDF": "daft_udf",
}
OURS, HALF = "bulklabel", "bulklabel --precision bfloat16"
THRESHOLD = 0.6  # as in peers/shared.py
NEAR = {OURS: 1e-4, HALF: 0.02}
"""How far mean probabilities may be from those of the first runner."""


Command = Callable[[Path, int, Path], list[str]]
"""Makes a command line of the folder of the corpora, a number of records, and the output."""


@dataclass(frozen=True)
class Job:
    """Holds what a runner took for the smaller and for the larger number of records, in one round."""

    records: tuple[int, int]
    small: Usage
    large: Usage

    def rate(self, of: Callable[[Usage], float]) -> float:
        """Returns records a second, marginal."""
        return (self.records[1] - self.records[0]) / max(of(self.large) - of(self.small), 1e-3)


def wall(usage: Usage) -> float:
    return usage.wall


def processor(usage: Usage) -> float:
    return usage.processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--corpus", choices=SIZES, default="collages")
    parser.add_argument("--peers", default=",".join(PEERS.values()), help="scripts in peers/, separated by commas")
    parser.add_argument("--output", default="build/peers.md")
    arguments = parser.parse_args()
    runners = runners_of(arguments.peers.split(","))
    output = Path(arguments.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder, corpus, sizes = Path(temporary), corpora(arguments.corpus), SIZES[arguments.corpus]
        write_model(folder / "model", corpus)
        for records in sizes:
            write_corpus(folder / f"{records}.parquet", corpus, records)
        jobs: dict[str, list[Job]] = {name: [] for name in runners}
        alone: dict[str, list[tuple[float, float]]] = {name: [] for name in ALONE}
        for turn in range(arguments.rounds):
            for name, what in ALONE.items():
                alone[name].append(measure_alone(folder, what, sizes[0]))
            for name, job in run_round(folder / str(turn), sizes, runners):
                print(f"round {turn + 1}, {name}: {job}", file=sys.stderr)
                jobs[name].append(job)
            output.write_text(table(corpus, jobs, alone))
    print(output.read_text())


def run_round(folder: Path, sizes: tuple[int, int], runners: dict[str, Command]) -> Iterator[tuple[str, Job]]:
    """Yields what each runner took, after a look at its predictions beside those of the first one."""
    for number, (name, command) in enumerate(runners.items()):
        used = []
        for records in sizes:
            output = folder / str(number) / str(records)
            used.append(run(command(folder.parent, records, output), ROOT))
            expected = mean_probabilities(folder / "0" / str(records))
            assert np.abs(mean_probabilities(output) - expected).max() < NEAR.get(name, NEAR[OURS]), name
        yield name, Job(sizes, *used)


def runners_of(scripts: list[str]) -> dict[str, Command]:
    """Returns the command line of bulklabel, and of each peer that is asked for."""
    runners = {OURS: our_command([])}
    if ABLE & set(processor_flags()):
        runners[HALF] = our_command(["--precision", "bfloat16"])
    return runners | {name: peer_command(script) for name, script in PEERS.items() if script in scripts}


def peer_command(script: str) -> Command:
    return lambda folder, records, output: [
        *(str(PEER_PYTHON), "-W", "ignore", "-m", f"benchmarks.peers.{script}"),
        *(f"{folder}/{records}.parquet", f"{folder}/model", str(output)),
    ]


def our_command(options: list[str]) -> Command:
    return lambda folder, records, output: [
        *(sys.executable, "-m", "bulklabel.pipelines.cli", "score", f"--input={folder}/{records}.parquet"),
        *(f"--model={folder}/model", f"--output={output}", f"--threshold={THRESHOLD}", *options),
    ]


def measure_alone(folder: Path, what: str, records: int) -> tuple[float, float]:
    """Returns images per second, and per second of CPU time, without start-up; networks with oneDNN, as bulklabel's."""
    command = [sys.executable, "-m", "benchmarks.alone", str(folder), str(records), *what.split()]
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": "1"}
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, env=environment
    )
    by_clock, by_processor = json.loads(done.stdout)
    return by_clock, by_processor


def mean_probabilities(output: Path) -> np.ndarray:
    """Returns the mean probability of each label, whatever the order of the records."""
    folder = output / "predictions" if (output / "predictions").is_dir() else output
    found = ds.dataset(folder, format="parquet", exclude_invalid_files=True).to_table()
    prefix = "prob_" if f"prob_{DIGITS[0]}" in found.column_names else ""
    return np.array([found[f"{prefix}{label}"].to_numpy().mean(dtype=float) for label in DIGITS])


def table(corpus: Corpus, jobs: dict[str, list[Job]], alone: dict[str, list[tuple[float, float]]]) -> str:
    small, large = next(iter(jobs.values()))[0].records
    lines = [
        f"{processor_name()}, {os.cpu_count()} cores; {corpus.name}; {len(jobs[OURS])} rounds; medians, and in"
        " brackets the least and the greatest ratio of a round.",
        "",
        f"| | images per second | per second of CPU time | bulklabel is faster | by processor | {small:,}: s |"
        f" s of the processor | {large:,}: s | s of the processor | peak MB |",
        "| --- |" + " ---: |" * 9,
    ]
    for name, rates in alone.items():
        found = [f"{statistics.median(each):,.0f}" for each in zip(*rates, strict=True)]
        lines.append(f"| {name} | {' | '.join(found)} |" + " |" * 7)
    lines += [row(name, found, jobs[OURS]) for name, found in jobs.items()]
    return "\n".join(lines) + "\n"


def row(name: str, found: list[Job], ours: list[Job]) -> str:
    cells = [name]
    cells += [f"{statistics.median(job.rate(of) for job in found):,.0f}" for of in (wall, processor)]
    for of in (wall, processor):
        cells.append(spread(our.rate(of) / job.rate(of) for our, job in zip(ours, found, strict=True)))
    for used in ([job.small for job in found], [job.large for job in found]):
        cells += [f"{statistics.median(of(usage) for usage in used):,.1f}" for of in (wall, processor)]
    cells.append(f"{max(job.large.peak for job in found):,.0f}")
    return f"| {' | '.join(cells)} |"


def spread(ratios: Iterable[float]) -> str:
    found = sorted(ratios)
    return f"{statistics.median(found):.2f} ({found[0]:.2f}–{found[-1]:.2f})"


if __name__ == "__main__":
    main()
