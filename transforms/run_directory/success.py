"""`_SUCCESS`: the statement that a manifest was accepted, and what was asked of the run."""

import hashlib
import json
from typing import Any

from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, SUCCESS_FILE

REQUESTED = (
    "slice_by",
    "group_by",
    "goal",
    "target",
    "max_rejected_fraction",
    "require",
    "baseline",
    "baseline_digest",
)
"""What the metrics of a run are to show and to fulfil, as its manifest has it: no part of the plan."""


def success_of(manifest: bytes) -> bytes:
    r"""Returns the content of `_SUCCESS` for a manifest: its SHA-256, its plan, and what it was accepted under.

    Raises:
        ValueError: if the manifest cannot be read, or was not accepted.

    >>> success_of(b'{"accepted": true, "require": ["f1_micro>=0.9"]}')
    b'{"manifest": "8e917504622f162db6d74ecac68bd117c582acdb35ae087a15a82b29df0d2079", "require": ["f1_micro>=0.9"]}\n'
    """
    try:
        content = json.loads(manifest)
    except RecursionError as error:
        raise ValueError(str(error)) from error
    if not isinstance(content, dict) or content.get("accepted") is not True:
        raise ValueError(f"{MANIFEST_FILE} is of a run that was not accepted")
    stated = {name: content[name] for name in ("plan", *REQUESTED) if name in content}
    return json.dumps({"manifest": hashlib.sha256(manifest).hexdigest()} | stated, ensure_ascii=False).encode() + b"\n"


def success_fault(success: bytes | None, manifest: bytes | None) -> str | None:
    """Returns why `_SUCCESS` is no statement about a manifest, None if it is one; a missing file is None.

    >>> success_fault(None, b"{}")
    '_SUCCESS is missing'
    """
    if success is None:
        return f"{SUCCESS_FILE} is missing"
    if manifest is None:
        return f"{MANIFEST_FILE} is missing"
    try:
        stated = success_of(manifest)
    except ValueError:
        return f"{SUCCESS_FILE} stands beside a {MANIFEST_FILE} that is damaged, or of a run that was not accepted"
    if success != stated:
        return f"{MANIFEST_FILE} is not the one whose SHA-256 {SUCCESS_FILE} holds: one of them was changed"
    return None


def requests_same(manifest: bytes, other: bytes) -> bool:
    """Tells whether two manifests are of one plan, were asked for the same, and were accepted."""
    try:
        first, second = (_without_digest(success_of(content)) for content in (manifest, other))
    except ValueError:
        return False
    return first == second


def _without_digest(success: bytes) -> dict[str, Any]:
    return {name: value for name, value in json.loads(success).items() if name != "manifest"}
