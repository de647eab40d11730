"""The manifest of a run: what was asked for, on what it ran, how long it took, and every file with its checksum."""

import hashlib
import itertools
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from bulklabel.model.versions import processor, processor_flags
from bulklabel.transforms.concurrency.stage_clock import STAGES
from bulklabel.transforms.files import files
from bulklabel.transforms.files.text import escape_surrogates, json_value
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE
from bulklabel.transforms.run_directory.parts import PART_KINDS, PREDICTIONS, REJECTED, Entry, PartStamp
from bulklabel.transforms.run_directory.plan import Plan

TIMINGS = "timings"
"""The entry that says when a run was made, the only one that differs between two that are the same."""


@dataclass(frozen=True)
class Launch:
    """Holds what the command knows and no worker does.

    `options` are the command's own flags as they were given, never Beam's; `model_directory` is where the model was,
    absolute; `started` is the wall clock's time in UTC; `parity` says how far the plan's precision is
    from float32, where it is another.
    """

    options: Mapping[str, Any]
    model_directory: str
    started: datetime
    parity: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Written:
    """Names a part that was written: its entry in the manifest, and the seconds by stage that it took in this run.

    `places` is the digest of its records, as `places_digest` has it; `answered` is the wall clock's time, in seconds
    since 1970, when the network answered for the shard's first and last batch: empty if it was not asked in this run.
    """

    entry: Entry
    seconds: Mapping[str, float]
    places: int
    answered: tuple[float, ...] = ()


class UnreconciledError(Exception):
    """Says that the parts are not what was counted, which no input causes: it is a mistake in bulklabel."""


def launch_of(options: Mapping[str, Any], started: datetime, parity: Mapping[str, Any] | None = None) -> Launch:
    """Returns how `score` was launched, from its parsed flags, `model` among them."""
    return Launch(json_value(options), escape_surrogates(files.absolute(options["model"])), started, parity)


def now() -> datetime:
    """Returns the wall clock's time in UTC."""
    return datetime.now(UTC)


def time_words(time: datetime) -> str:
    """Writes a time as manifests have it; of two in one time zone the later one is the later text.

    >>> time_words(datetime(2026, 11, 27, 2, 13, 5, tzinfo=UTC))
    '2026-11-27T02:13:05.000+00:00'
    """
    return time.isoformat(timespec="milliseconds")


def first_ended(previous: bytes | None, manifest: Mapping[str, Any]) -> str:
    """Returns when what a manifest is about was published for the first time, by the manifest that was there before.

    >>> manifest = {"plan": "f3a1", "timings": {"ended": "2026-11-27"}}
    >>> first_ended(b'{"plan": "f3a1", "timings": {"ended": "2026-11-20"}}', manifest), first_ended(None, manifest)
    ('2026-11-20', '2026-11-27')
    """
    ended = str(manifest[TIMINGS]["ended"])
    try:
        content = json.loads(previous or b"{}")
        same = all(content.get(name) == manifest.get(name) for name in ("plan", "predictions_digest"))
        return str(content[TIMINGS].get("first_ended") or content[TIMINGS]["ended"]) if same else ended
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ended


def provenance_of(plan: Plan, model: str) -> dict[str, Any]:
    """Returns what manifest and report say of a run's origin; `model` is the directory as the user named it."""
    return {
        "bulklabel": version("bulklabel"),
        "plan": plan.digest,
        "model": escape_surrogates(model),
        "model_digest": plan.recipe.model_digest,
        "input": common_folder([file.path for file in plan.inputs]),
        "input_files": len(plan.inputs),
        "input_bytes": sum(max(file.size, 0) for file in plan.inputs),
        "shards": len(plan.shards),
        "layout": plan.recipe.layout,
        "versions": dict(plan.recipe.versions),
    }


def common_folder(paths: Sequence[str]) -> str:
    """Returns the only path, or the deepest folder that all of them are below; empty if there is none.

    >>> common_folder(["s3://photos/a/1.png", "s3://photos/b/2.png"]), common_folder(["a.parquet"])
    ('s3://photos', 'a.parquet')
    """
    if len(paths) < 2:
        return escape_surrogates(paths[0]) if paths else ""
    ends = zip(min(paths).split("/"), max(paths).split("/"), strict=False)
    common = itertools.takewhile(lambda parts: parts[0] == parts[1], ends)
    return escape_surrogates("/".join(part for part, _ in common))


def entry_of(name: str, content: bytes) -> Entry:
    """Returns the entry of a file that is no part: its name below the output, bytes and SHA-256."""
    return {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def build_manifest(
    about: Mapping[str, Any],
    stamp: PartStamp,
    launch: Launch,
    verdict: Mapping[str, Any],
    parts: Sequence[Written],
    places: int,
    published: Iterable[Entry],
) -> dict[str, Any]:
    """Returns the content of `manifest.json`.

    Args:
        about: the run's provenance and what its metrics were asked to tell, `versions` among it.
        stamp: of the plan's parts.
        launch: of the command that publishes; after an interruption that is the last one.
        verdict: `counts`, and whether the run is accepted and why.
        parts: all parts of both kinds, in any order.
        places: the digest of the records that were counted.
        published: the entries of all other files but `manifest.json` and `_SUCCESS`.

    Raises:
        UnreconciledError: if the parts are not one of each kind a shard, or their rows are not what was counted.
    """
    entries = sorted((written.entry for written in parts), key=lambda entry: entry["name"])
    of_kind = {kind: [entry for entry in entries if str(entry["name"]).startswith(f"{kind}/")] for kind in PART_KINDS}
    _reconcile(of_kind, verdict["counts"], stamp)
    if sum(part.places for part in parts) % 2**64 != places:
        raise UnreconciledError("the parts have other records than those that were counted")
    return {
        **about,
        "versions": {**about["versions"], **_other_versions()},
        "platform": _platform(),
        "options": launch.options,
        "model_directory": launch.model_directory,
        **({} if launch.parity is None else {"parity": launch.parity}),
        TIMINGS: _timings(launch.started, parts),
        **verdict,
        "places": f"{places:016x}",
        "published": sorted(published, key=lambda entry: entry["name"]),
        **of_kind,
    }


def _reconcile(of_kind: Mapping[str, Sequence[Entry]], counts: Mapping[str, int], stamp: PartStamp) -> None:
    for kind, count in ((PREDICTIONS, counts["scored"]), (REJECTED, counts["rejected"])):
        names = [entry["name"] for entry in of_kind[kind]]
        if names != [stamp.name_of(kind, index) for index in range(stamp.shards)]:
            raise UnreconciledError(f"{len(names):,} parts of {kind} for {stamp.shards:,} shards: {names[:3]}, …")
        rows = sum(int(entry["rows"]) for entry in of_kind[kind])
        if rows != count:
            raise UnreconciledError(f"the parts of {kind} have {rows:,} rows, and {count:,} records were counted")
    if counts["records"] != counts["scored"] + counts["rejected"]:
        raise UnreconciledError(f"of {counts['records']:,} records some are neither scored nor rejected: {counts}")


def _timings(started: datetime, parts: Sequence[Written]) -> dict[str, Any]:
    """Returns times and seconds by stage; shards that were finished before this run took no seconds of it.

    The seconds to the first batch and from the last one are None where the network was not asked. They compare this
    machine's clock with the workers'.
    """
    seconds = {stage: round(sum(part.seconds.get(stage, 0) for part in parts), 3) for stage in STAGES}
    ended, answered = now(), [time for part in parts for time in part.answered]
    return {"started": time_words(started), "ended": time_words(ended)} | {
        "seconds_to_first_batch": round(min(answered) - started.timestamp(), 3) if answered else None,
        "seconds_from_last_batch": round(ended.timestamp() - max(answered), 3) if answered else None,
        "seconds": seconds,
    }


def _other_versions() -> dict[str, str]:
    """Returns versions that do not decide the answers, but whether a run comes to its end."""
    installed = {name: version(name) for name in ("apache-beam", "pyarrow")}
    return installed | {"python": platform.python_version()}


def _platform() -> dict[str, Any]:
    """Describes the machine that publishes; the workers of a remote runner are mostly of one kind."""
    return {
        "system": platform.platform(),
        "processor": processor(),
        "processor_flags": processor_flags(),
        "cores": os.cpu_count(),
    }


def file_fault(name: str, content: bytes | None, entry: Entry | None) -> str | None:
    """Returns why a file is not the one that the manifest's entry describes; None if it is.

    >>> file_fault("metrics.json", b"{}", {"bytes": 3, "sha256": ""})
    'metrics.json has 2 bytes, and manifest.json says 3'
    """
    if content is None:
        return f"{name} is missing"
    if entry is None:
        return f"{name} is not listed in {MANIFEST_FILE}"
    if len(content) != entry["bytes"]:
        return f"{name} has {len(content):,} bytes, and {MANIFEST_FILE} says {entry['bytes']:,}"
    digest, expected = hashlib.sha256(content).hexdigest(), str(entry["sha256"])
    if digest != expected:
        return f"{name} was changed: its SHA-256 is {digest[:12]}…, and {MANIFEST_FILE} says {expected[:12]}…"
    return None


@dataclass(frozen=True)
class Manifest:
    """Holds a `manifest.json` as far as `verify` needs it; `parts` and `published` are entries by name."""

    plan: str
    model_digest: str
    model_directory: str
    counts: Mapping[str, int]
    places: str
    accepted: bool
    parts: Mapping[str, Entry]
    published: Mapping[str, Entry]


def read_manifest(content: bytes) -> Manifest:
    """Parses a `manifest.json`, which may be damaged in any way.

    Raises:
        ValueError: if it cannot be read as a manifest.
    """
    try:
        saved = json.loads(content)
        return Manifest(
            plan=str(saved["plan"]),
            model_digest=str(saved["model_digest"]),
            model_directory=str(saved["model_directory"]),
            counts={name: int(saved["counts"][name]) for name in ("records", "scored", "rejected")},
            places=str(saved["places"]),
            accepted=bool(saved["accepted"]),
            parts={
                name: entry for kind in PART_KINDS for name, entry in _entries(saved[kind], ("bytes", "rows")).items()
            },
            published=_entries(saved["published"], ("bytes",)),
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _entries(rows: Iterable[Mapping[str, Any]], numbers: Sequence[str]) -> dict[str, Entry]:
    return {
        str(row["name"]): {"sha256": str(row["sha256"]), **{number: int(row[number]) for number in numbers}}
        for row in rows
    }
