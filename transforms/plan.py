"""The plan of a run: its shards, in order, and everything that decides the answers; named by its digest."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from model.resizing import Preprocessing
from transforms.files import File
from transforms.parts import PartStamp
from transforms.records import Columns, Problem, Shard

SHARD_FIELDS = tuple(field.name for field in dataclasses.fields(Shard) if field.name != "index")

DIGEST_BYTES = 100


@dataclass(frozen=True)
class Recipe:
    """All that decides the answers besides the records.

    `labels` and `thresholds` (0…1) are in the order of the network's outputs; `tuned_thresholds` are the model's own,
    kept so that `evaluate` needs no model directory; `batch_size` is images a batch; `versions` are those of the
    packages that decode and compute.
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


@dataclass(frozen=True)
class Plan:
    """The inputs with their sizes, the shards in order, and the recipe."""

    inputs: tuple[File, ...]
    shards: tuple[Shard, ...]
    recipe: Recipe

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything in the plan, in hexadecimal."""
        return hashlib.sha256(_canonical(self._content())).hexdigest()

    @property
    def stamp(self) -> PartStamp:
        """What the footers of this plan's parts say."""
        return PartStamp(self.digest, self.recipe.model_digest, len(self.shards))

    def to_json(self) -> bytes:
        """The text of `plan.json`."""
        text = json.dumps({"digest": self.digest} | self._content(), ensure_ascii=False, indent=1)
        return text.encode("utf-8", "surrogatepass") + b"\n"  # names of files may hold bytes that are no characters

    def differences(self, saved: bytes) -> str:
        """In words, in what a saved `plan.json` is another plan than this one; empty if it is the same."""
        try:
            other = json.loads(saved.decode("utf-8", "surrogatepass"))
            if other["digest"] == self.digest:
                return ""
            words = _input_differences(other["inputs"], self._content()["inputs"])
            recipe, mine = other["recipe"], self._content()["recipe"]
            words += [_change(key, recipe.get(key), mine[key]) for key in mine if recipe.get(key) != mine[key]]
        except (ValueError, KeyError, TypeError, AttributeError):
            return "its plan.json cannot be read"
        return ", ".join(words) or "the shards differ"

    def _content(self) -> dict[str, Any]:
        return {
            "inputs": [[file.path, file.size] for file in self.inputs],
            "recipe": json.loads(json.dumps(dataclasses.asdict(self.recipe))),
            "shard_fields": list(SHARD_FIELDS),
            "shards": [_row(shard) for shard in self.shards],
        }


def _row(shard: Shard) -> list[Any]:
    row = {name: getattr(shard, name) for name in SHARD_FIELDS}
    return [*(row | {"problem": shard.problem and dataclasses.asdict(shard.problem)}).values()]


def _shard(index: int, row: Sequence[Any]) -> Shard:
    saved = dict(zip(SHARD_FIELDS, row, strict=True))
    problem = saved["problem"] and Problem(**saved["problem"])
    return Shard(index, **saved | {"names": tuple(saved["names"]), "problem": problem})


def digest_in(start: bytes) -> str:
    """The digest that `plan.json` opens with, from its first `DIGEST_BYTES`; empty if they are none of one."""
    found = re.match(rb'\{\s*"digest": "([0-9a-f]{64})"', start)
    return found.group(1).decode() if found else ""


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


def _input_differences(old: list[list[Any]], new: list[list[Any]]) -> list[str]:
    before: dict[str, int] = dict(map(tuple, old))
    after: dict[str, int] = dict(map(tuple, new))
    counted = {
        "added": len(after.keys() - before.keys()),
        "removed": len(before.keys() - after.keys()),
        "of another size": sum(before[path] != after[path] for path in before.keys() & after.keys()),
    }
    return [f"{count} input file{'s' * (count > 1)} {what}" for what, count in counted.items() if count]


def _change(key: str, old: Any, new: Any) -> str:
    if key == "model_digest":
        return f"model changed from {str(old)[:12]}… to {new[:12]}…"
    if isinstance(new, list | dict):
        return f"{key} changed"
    return f"{key} changed from {old} to {new}"


def read_plan(content: bytes) -> Plan:
    """The plan that a `plan.json` holds."""
    saved = json.loads(content.decode("utf-8", "surrogatepass"))
    recipe = saved["recipe"]
    return Plan(
        inputs=tuple(File(*row) for row in saved["inputs"]),
        shards=tuple(_shard(index, row) for index, row in enumerate(saved["shards"])),
        recipe=Recipe(
            **recipe
            | {
                "columns": Columns(**recipe["columns"] | {"carry": tuple(recipe["columns"]["carry"])}),
                "labels": tuple(recipe["labels"]),
                "preprocessing": Preprocessing(**recipe["preprocessing"]),
                "thresholds": tuple(recipe["thresholds"]),
                "tuned_thresholds": recipe["tuned_thresholds"] and tuple(recipe["tuned_thresholds"]),
            }
        ),
    )
