"""Runs without Beam and TensorFlow, whose network costs nothing: plan, score, write and publish, in milliseconds."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from bulklabel.model.images.limits import DEFAULT_LIMITS
from bulklabel.model.images.resize import Pixels, Preprocessing
from bulklabel.model.labels.choose_rule import AS_FOUND
from bulklabel.model.model_directory import Model
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.evaluating.publish import to_json
from bulklabel.transforms.planning.make_plan import ScoreOptions, make_plan
from bulklabel.transforms.reading.records import Columns, Shard
from bulklabel.transforms.reuse.earlier_runs import find_earlier_runs
from bulklabel.transforms.run_directory.manifest import Launch, build_manifest, now
from bulklabel.transforms.run_directory.parts import PART_KINDS
from bulklabel.transforms.run_directory.places import places_digest
from bulklabel.transforms.run_directory.plan import Plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory, State
from bulklabel.transforms.scoring.score_shards import ScoreShards
from bulklabel.transforms.scoring.write_parts import write_part

MODEL = Model(("cat", "dog"), Preprocessing(8, 8), b"no network")


class CheapScorer:
    """Finds cats where an image is red, and dogs where it is green; further labels follow the same colours."""

    images_at_once = 256

    def __init__(self, labels: int = len(MODEL.labels)) -> None:
        self.labels = labels

    def predict(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        colours = pixels.mean(axis=(1, 2), dtype=np.float64)[:, :2] / 255
        return np.asarray(np.tile(colours, self.labels)[:, : self.labels], np.float32)


def picture(red: int, green: int) -> bytes:
    """An image file of one colour; all have the same size."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (red, green, 77)).save(buffer, "BMP")
    return buffer.getvalue()


def cheap_plan(
    inputs: Sequence[Path | str],
    output: Path,
    since: Sequence[Path] = (),
    carry_over: bool = False,
    by_content: bool = False,
    **options: Any,
) -> Plan:
    """The plan that `bulklabel score` would make."""
    earlier = find_earlier_runs([str(path) for path in since], str(output), carry_over, by_content)
    return make_plan(
        inputs=[str(path) for path in inputs],
        input_format=options.get("input_format", "auto"),
        columns=options.get("columns", Columns()),
        model=options.get("model", MODEL),
        output=str(output),
        earlier_runs=earlier,
        options=ScoreOptions(
            options.get("threshold"),
            decode_seconds=options.get("decode_seconds", 60),
            limits=options.get("limits", DEFAULT_LIMITS),
        ),
        label_options=options.get("label_options", AS_FOUND),
        by_bytes=options.get("by_bytes", False),
        truth=options.get("truth"),
    )


def cheap_run(
    plan: Plan,
    output: Path,
    overwrite: bool = False,
    before: Callable[[Shard], object] = lambda _: None,
    stop_if_changed: bool = False,
) -> dict[str, int] | None:
    """Does what the graph of `bulklabel score` does; `before` is called with each shard that is about to be scored.

    Returns the counts; None if there was nothing to do.
    """
    directory = RunDirectory(str(output), plan.stamp)
    if directory.state(plan, overwrite) is State.FINISHED:
        return None
    directory.start(plan, overwrite)
    network: Any = OncePerProcess(CheapScorer, len(plan.recipe.labels))
    score = ScoreShards(directory, plan.recipe, network, stop_if_changed=stop_if_changed)
    score.setup()
    results = []
    for shard in plan.sourced_shards():
        before(shard)
        result = score.result(shard)
        assert result is not None
        results.append(result)
    score.teardown()
    written = [write_part(result, directory, kind) for result in results for kind in PART_KINDS]
    scored, rejected = (sum(len(getattr(result, kind).table) for result in results) for kind in PART_KINDS)
    counts = {"records": scored + rejected, "scored": scored, "rejected": rejected}
    verdict = {"counts": counts, "accepted": True}
    launch = Launch({}, "/model", now())
    about = {"plan": plan.digest, "model": "/model", "model_digest": plan.recipe.model_digest, "versions": {}}
    places = sum(places_digest(getattr(result, kind).table) for result in results for kind in PART_KINDS) % 2**64
    manifest = build_manifest(about, directory.stamp, launch, verdict, written, places, [])
    directory.publish({}, to_json(manifest))
    return counts
