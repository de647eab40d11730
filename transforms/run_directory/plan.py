"""The plan of a run: its shards, in order, and everything that decides the answers; named by its digest."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from bulklabel.model.images.limits import DEFAULT_LIMITS, Limits
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.labels.label_rule import NO_TRUTH, LabelRule
from bulklabel.model.network.precision import FLOAT32
from bulklabel.model.tuples import as_tuples
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.reading.records import Columns, Problem, ReadSpec, Shard
from bulklabel.transforms.run_directory.parts import PartStamp
from bulklabel.transforms.truth.truth_source import TruthSource

SOMETIMES = ("reused", "by_path")
"""The fields of a shard that are in a plan only if one of its shards has them."""

UNSAVED = ("index", "sources")
"""The fields of a shard that follow from its place in the plan, and from the plan's inputs."""

SHARD_FIELDS = tuple(field.name for field in dataclasses.fields(Shard) if field.name not in (*UNSAVED, *SOMETIMES))


INCREMENTAL = ("since", "by_content", "carry_over", "truth")
"""The fields of a recipe that only some runs have."""

CONTENT = pa.field("content", pa.binary(16))
"""The hash of a record's encoded image, as `known_images.hash_of` has it; null where there is no image."""


@dataclass(frozen=True)
class EarlierRun:
    """Names an earlier run whose answers are read: its output, its plan's digest and number of shards."""

    place: str
    plan_digest: str
    shards: int


@dataclass(frozen=True)
class ReusedRecords:
    """Counts the records that are not scored again, since the run at an output scored or rejected them."""

    run: str
    plan_digest: str
    scored: int
    rejected: int


def reused_content(runs: Sequence[ReusedRecords]) -> dict[str, Any]:
    """Returns what the manifest says of reused records: their sums, and the counts of each run."""
    scored, rejected = sum(run.scored for run in runs), sum(run.rejected for run in runs)
    return {
        "records": scored + rejected,
        "scored": scored,
        "rejected": rejected,
        "runs": [dataclasses.asdict(run) for run in runs],
    }


def add_reused_of_parts(runs: Sequence[ReusedRecords], parts: Iterable[Sequence[Sequence[int]]]) -> list[ReusedRecords]:
    """Adds to each run's counts the pairs of records scored and rejected that each part has for each run."""
    totals = list(runs)
    for part in parts:
        for number, (scored, rejected) in enumerate(part):
            run = totals[number]
            totals[number] = replace(run, scored=run.scored + scored, rejected=run.rejected + rejected)
    return totals


DIGEST_BYTES = 100


DECODE_SECONDS = 60.0
"""The time limit for one image unless the user gives another; the slowest that are not too large take about two."""


@dataclass(frozen=True)
class Recipe:
    """Holds all that decides the answers besides the records.

    `labels` and `thresholds` (0…1) are in the order of the network's outputs; `tuned_thresholds` are the model's own,
    kept so that `evaluate` needs no model directory; `batch_size` is images a batch; `versions` are those of the
    packages that decode and compute; `rule` says how labels are read; `decode_seconds` is an image's time limit;
    `precision` is what the network computes in, `float32`, `bfloat16` or `tensorfloat32`; `max_pixels` and `truncated`
    are `limits`; `since` are the runs whose answers are known, as `Shard.reused` counts them; `by_content` says that
    images are recognised by their bytes, `carry_over` that known answers are written again; `truth` names the files
    whose truth counts instead of the records', if there are any.
    """

    input_format: str
    columns: Columns
    model_digest: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    thresholds: tuple[float, ...]
    tuned_thresholds: tuple[float, ...] | None
    layout: str
    batch_size: int
    versions: Mapping[str, str]
    rule: LabelRule = NO_TRUTH
    decode_seconds: float = DECODE_SECONDS
    precision: str = FLOAT32
    max_pixels: int = DEFAULT_LIMITS.max_pixels
    truncated: str = DEFAULT_LIMITS.truncated
    since: tuple[EarlierRun, ...] = ()
    by_content: bool = False
    carry_over: bool = False
    truth: TruthSource | None = None

    @property
    def limits(self) -> Limits:
        """Returns how large an image may be, and whether one that lacks pixels is rejected."""
        return Limits(self.max_pixels, self.truncated)

    @property
    def read_spec(self) -> ReadSpec:
        """Returns how the input is read."""
        return ReadSpec(self.input_format, self.columns, self.labels, self.batch_size, self.rule)

    @property
    def schema(self) -> pa.Schema:
        """Returns the schema of the records' tables, with `CONTENT` where images are known by it."""
        return self.read_spec.schema.append(CONTENT) if self.by_content else self.read_spec.schema


@dataclass(frozen=True)
class Plan:
    """Holds the inputs with their sizes and versions, the shards in order, and the recipe.

    `reused` says what the shards leave out, or have from earlier runs; None where no such run was asked for. `truth`
    says in words and by an example how labels are read. They are saved beside the plan, and make it no other plan.
    """

    inputs: tuple[File, ...]
    shards: tuple[Shard, ...]
    recipe: Recipe
    reused: tuple[ReusedRecords, ...] | None = None
    truth: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """Returns the SHA-256 of everything in the plan that decides the answers, in hexadecimal."""
        return hashlib.sha256(_canonical(self._content())).hexdigest()

    @property
    def stamp(self) -> PartStamp:
        """Returns what the footers of this plan's parts say."""
        return PartStamp(self.digest, self.recipe.model_digest, len(self.shards))

    def sourced_shards(self) -> Iterator[Shard]:
        """Yields the shards with the files that they are read from, so that reading fails where these have changed."""
        inputs = {file.path: file for file in self.inputs}
        for shard in self.shards:
            yield replace(shard, sources=tuple(inputs[path] for path in shard.paths if path in inputs))

    @property
    def new_shards(self) -> list[Shard]:
        """Returns the shards whose answers no earlier run has."""
        return [shard for shard in self.shards if shard.reused is None]

    def to_json(self) -> bytes:
        """Returns the text of `plan.json`."""
        beside: dict[str, Any] = {}
        if self.truth:
            beside["truth"] = dict(self.truth)
        if self.reused is not None:
            beside["reused"] = [dataclasses.asdict(run) for run in self.reused]
        text = json.dumps({"digest": self.digest} | self._content() | beside, ensure_ascii=False, indent=1)
        return text.encode("utf-8", "surrogatepass") + b"\n"  # names of files may hold bytes that are no characters

    def differences(self, saved: bytes) -> str:
        """Says in words how a saved `plan.json` differs from this plan; empty if it does not."""
        try:
            other = json.loads(saved.decode("utf-8", "surrogatepass"))
            if other["digest"] == self.digest:
                return ""
            own = self._content()
            words = _input_differences(other["inputs"], own["inputs"]) + changes(other["recipe"], own["recipe"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return "its plan.json cannot be read"
        return ", ".join(words) or "the shards differ"

    def _content(self) -> dict[str, Any]:
        fields = (*SHARD_FIELDS, *(name for name in SOMETIMES if any(getattr(shard, name) for shard in self.shards)))
        return {
            "inputs": [file.row for file in self.inputs],
            "recipe": recipe_content(self.recipe),
            "shard_fields": list(fields),
            "shards": [_row(shard, fields) for shard in self.shards],
        }


def recipe_content(recipe: Recipe) -> dict[str, Any]:
    """Returns a recipe as `plan.json` has it; the fields of `INCREMENTAL` only where they are set."""
    truth = recipe.truth and recipe.truth.content
    content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe) | {"truth": truth}))
    return {key: value for key, value in content.items() if value or key not in INCREMENTAL}


def _row(shard: Shard, fields: Sequence[str]) -> list[Any]:
    row = {name: getattr(shard, name) for name in fields}
    return [*(row | {"problem": shard.problem and dataclasses.asdict(shard.problem)}).values()]


def _shard(index: int, fields: Sequence[str], row: Sequence[Any]) -> Shard:
    saved = dict(zip(fields, row, strict=True))
    problem = saved["problem"] and Problem(**saved["problem"])
    reused = saved.get("reused") and tuple(saved["reused"])
    return Shard(index, **saved | {"names": tuple(saved["names"]), "problem": problem, "reused": reused})


def digest_in(start: bytes) -> str:
    """Returns the digest that `plan.json` opens with, from its first `DIGEST_BYTES`; empty if it has none."""
    match = re.match(rb'\{\s*"digest": "([0-9a-f]{64})"', start)
    return match.group(1).decode() if match else ""


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


def _input_differences(old: list[list[Any]], new: list[list[Any]]) -> list[str]:
    before, after = ({path: (size, identity) for path, size, *identity in inputs} for inputs in (old, new))
    both = [(before[path], after[path]) for path in before.keys() & after.keys()]
    counted = {
        "added": len(after.keys() - before.keys()),
        "removed": len(before.keys() - after.keys()),
        "of another size": sum(then[0] != now[0] for then, now in both),
        "modified or touched": sum(then[0] == now[0] and then[1] != now[1] for then, now in both),
    }
    return [f"{count} input file{'s' * (count > 1)} {what}" for what, count in counted.items() if count]


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Says in words in which fields one recipe's content differs from another's."""
    return [_change(key, old.get(key), new.get(key)) for key in old | new if old.get(key) != new.get(key)]


def _change(key: str, old: Any, new: Any) -> str:
    if key == "model_digest":
        return f"model changed from {str(old)[:12]}… to {str(new)[:12]}…"
    if isinstance(old or new, list | dict):
        return f"{key} changed"
    return f"{key} changed from {old} to {new}"


def read_plan(content: bytes) -> Plan:
    """Parses the content of a `plan.json`.

    Raises:
        ValueError, KeyError, TypeError: if it cannot be read, or is not what its own digest says.
    """
    saved = json.loads(content.decode("utf-8", "surrogatepass"))
    recipe = saved["recipe"]
    plan = Plan(
        inputs=tuple(File(*row) for row in saved["inputs"]),
        shards=tuple(_shard(index, saved["shard_fields"], row) for index, row in enumerate(saved["shards"])),
        recipe=Recipe(
            **recipe
            | {
                "columns": Columns(**{name: as_tuples(value) for name, value in recipe["columns"].items()}),
                "labels": tuple(recipe["labels"]),
                "preprocessing": Preprocessing(**recipe["preprocessing"]),
                "thresholds": tuple(recipe["thresholds"]),
                "tuned_thresholds": recipe["tuned_thresholds"] and tuple(recipe["tuned_thresholds"]),
                "rule": LabelRule.from_json(recipe["rule"]),
                "truth": TruthSource.from_json(recipe["truth"]) if "truth" in recipe else None,
                "since": tuple(EarlierRun(**run) for run in recipe.get("since", ())),
            }
        ),
        reused=tuple(ReusedRecords(**run) for run in saved["reused"]) if "reused" in saved else None,
        truth=saved.get("truth", {}),
    )
    if plan.digest != saved["digest"]:
        raise ValueError("it is not what its own digest says")
    return plan
