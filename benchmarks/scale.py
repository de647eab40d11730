"""Prints what shards cost apart from scoring: the driver's own work, Publish's, and the runner's.

    python benchmarks/scale.py driver [SHARDS …]
    python benchmarks/scale.py run [SHARDS [WORKERS …]]

`driver` plans, starts, builds the graph, reads the plan and publishes for 1,000, 10,000 and 100,000 shards without
records, each number in a process of its own: processor and wall time of each step, and the peak memory so far. `run`
scores 10,000 files without records, with 1, 2 and 4 worker processes, and does so once more when all parts are there.
What follows from the tables is in `docs/scale.md`.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam

from bulklabel.model.images.demo_collages import DIGITS
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.metrics import Goal
from bulklabel.model.model_directory import Model
from bulklabel.model.network.import_tensorflow import import_tensorflow
from bulklabel.model.statistic import Statistic
from bulklabel.model.statistic.distinct import Distinct
from bulklabel.pipelines.score import Job, build
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.evaluating.publication import Publication
from bulklabel.transforms.evaluating.publish import Publish
from bulklabel.transforms.planning.make_plan import make_plan
from bulklabel.transforms.reading.records import Columns
from bulklabel.transforms.reuse.earlier_runs import EarlierRuns
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, PLAN_FILE
from bulklabel.transforms.run_directory.manifest import Written, launch_of, now, provenance_of
from bulklabel.transforms.run_directory.part_tables import no_predictions, rejected_schema
from bulklabel.transforms.run_directory.parts import PART_KINDS, PREDICTIONS, REJECTED, Part, PartStamp, make_part
from bulklabel.transforms.run_directory.plan import Plan, read_plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.scoring.load_scorer import load_scorer
from bulklabel.transforms.scoring.model_files import load_model, save_model

LOCAL = ["--runner=bulklabel.pipelines.runners.in_process.LocalRunner"]


def main(arguments: list[str]) -> None:
    what, numbers = arguments[0], [int(number) for number in arguments[1:]]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if what == "driver":
            for shards in numbers or [1_000, 10_000, 100_000]:
                subprocess.run([sys.executable, __file__, "steps", str(shards)], check=True)
        elif what == "steps":
            measure_steps(place, numbers[0])
        else:
            measure_runs(place, numbers[0] if numbers else 10_000, numbers[1:] or [1, 2, 4])


def save_network(place: Path) -> Model:
    import_tensorflow()
    from bulklabel.model.network.keras_archive import network_bytes
    from bulklabel.model.training.textbook import build_textbook

    model = Model(DIGITS, Preprocessing(32, 32), network_bytes(build_textbook(32, 32, len(DIGITS), seed=0)))
    save_model(model, str(place / "model"))
    return load_model(str(place / "model"))


def write_files(folder: Path, shards: int) -> None:
    """TFRecord files without a record, each of which is a shard."""
    folder.mkdir()
    for number in range(shards):
        (folder / f"file-{number:06d}.tfrecord").touch()


def measure_steps(place: Path, shards: int) -> None:
    model, output = save_network(place), str(place / "run")
    write_files(place / "in", shards)
    print(f"{shards:,} shards{'':<17}{'processor s':>12}{'wall s':>9}{'peak MB':>9}")
    with step("plan"):
        plan = make_plan([str(place / "in")], "tfrecord", Columns(), model, output, EarlierRuns())
        directory = RunDirectory(output, plan.stamp)
        directory.state(plan, overwrite=False)
    with step("start: write plan.json"):
        directory.start(plan, overwrite=False)
    recipe = plan.recipe
    publication = Publication(output, recipe.labels, recipe.thresholds, provenance_of(plan, "model"), Goal())
    launch = launch_of({"model": "model"}, now())
    with step("graph"):
        root = beam.Pipeline(argv=LOCAL)
        build(root, Job(plan, OncePerProcess(load_scorer, "model", model.digest), launch, publication))
        graph = len(root.to_runner_api().SerializeToString())
    with step("read plan.json"):
        assert read_plan(Path(output, PLAN_FILE).read_bytes()) == plan
    with step("state of a continued run"):
        directory.state(plan, overwrite=False)
    some = [empty_part(kind, plan) for kind in PART_KINDS]
    with step("(write parts, apart)"):
        for part in some:
            folder = Path(output, part.name).parent
            folder.mkdir()
            for shard in plan.shards:
                Path(output, plan.stamp.name(folder.name, shard)).write_bytes(part.content)
    with step("Publish"), beam.Pipeline(argv=LOCAL) as root:
        nothing = root | "Nothing" >> beam.Create([])
        predictions, rejected = (
            root
            | f"Some {part.name}" >> beam.Create([0])
            | f"Indices {part.name}" >> beam.FlatMap(lambda _: list(range(shards)))
            | f"Written {part.name}" >> beam.Map(written, plan.stamp, part)
            for part in some
        )
        distinct = root | "Distinct" >> beam.Create([Distinct()])
        statistic = root | beam.Create([Statistic.zero(len(plan.recipe.labels))])
        _ = statistic | Publish(directory, publication, launch, distinct, nothing, predictions, rejected)
    sizes = {name: Path(output, name).stat().st_size / 1e6 for name in (PLAN_FILE, MANIFEST_FILE)}
    print(f"  graph {graph:,} bytes, " + ", ".join(f"{name} {size:,.1f} MB" for name, size in sizes.items()))


def empty_part(kind: str, plan: Plan) -> Part:
    recipe = plan.recipe
    table = no_predictions(recipe) if kind == PREDICTIONS else rejected_schema(recipe).empty_table()
    return make_part(kind, plan.shards[0], table, plan.stamp)


def written(index: int, stamp: PartStamp, part: Part) -> Written:
    kind = PREDICTIONS if part.name.startswith(PREDICTIONS) else REJECTED
    return Written(part.entry | {"name": stamp.name_of(kind, index)}, {"reading": 0.25}, 0)


@contextmanager
def step(name: str) -> Iterator[None]:
    wall, processor = time.perf_counter(), time.process_time()
    yield
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  {name:<28}{processor:>12.2f}{wall:>9.2f}{peak:>9,.0f}", flush=True)


def measure_runs(place: Path, shards: int, workers: list[int]) -> None:
    save_network(place)
    write_files(place / "one", 1)
    write_files(place / "in", shards)
    print(f"{shards:,} shards without records{'':<8}{'processor s':>12}{'wall s':>9}{'ms a shard':>12}")
    for count in workers:
        flags = [f"--direct_num_workers={count}", "--direct_running_mode=multi_processing"] if count > 1 else []
        alone = run_job(place, "one", f"one-{count}", flags)
        for again in ("", ", continued"):
            Path(place / f"run-{count}" / "_SUCCESS").unlink(missing_ok=True)
            processor, wall = run_job(place, "in", f"run-{count}", flags)
            cost = 1000 * (processor - alone[0]) / shards
            print(f"  {f'{count} workers{again}':<28}{processor:>12.1f}{wall:>9.1f}{cost:>12.2f}", flush=True)


def run_job(place: Path, name: str, output: str, flags: list[str]) -> tuple[float, float]:
    """Seconds of processor and of wall time of `bulklabel score`, workers included."""
    given = [
        f"--input={place}/{name}",
        "--input_format=tfrecord",
        f"--model={place}/model",
        f"--output={place}/{output}",
    ]
    before, started = os.times(), time.perf_counter()
    command = [sys.executable, "-m", "bulklabel.pipelines.cli", "score", *given, *flags]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return processor, time.perf_counter() - started


if __name__ == "__main__":
    main(sys.argv[1:])
