"""Whose an output is: the plan's that is written there, whatever other runs do at the same time."""

import contextlib
import hashlib
from collections.abc import Iterable, Mapping

from bulklabel.model.errors import StoreError
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, PLAN_FILE, PUBLISHED, SUCCESS_FILE
from bulklabel.transforms.run_directory.parts import KINDS, PART_NAME, PartStamp
from bulklabel.transforms.run_directory.plan import DIGEST_BYTES, Plan, digest_in
from bulklabel.transforms.run_directory.state import State, settle


def start(plan: Plan, output: str, overwrite: bool) -> None:
    """Make the output this plan's, and clear what dead runs and other plans left there.

    It is settled once more: other runs may have come since. Another plan's `_SUCCESS` goes first, and again when this
    plan is written down, after which the other one's runs write no more. A run that starts in an empty place, or that
    continues, deletes nothing that another one of its plan has made; a temporary file its writer makes again.

    Raises:
        UserError: if the output cannot be written, or is another plan's and `overwrite` is not set.
    """
    state = settle(plan, output, overwrite)
    if state is State.FINISHED:
        return
    if state is not State.CONTINUES:
        files.check_writable(output)
        replaced = [files.join(output, SUCCESS_FILE)] if state is State.REPLACES else []
        files.delete(replaced)
        if replaced:
            files.delete([files.join(output, name) for name in PUBLISHED])
            files.delete([file.path for folder in _folders(output)[1:] for file in files.list_folder(folder)])
        files.write(files.join(output, PLAN_FILE), plan.to_json())
        files.delete(replaced)
    _clear(output, plan.stamp)


def reopen(output: str) -> None:
    """Take back the `_SUCCESS` of a finished run, before it is published again as something else was asked for.

    Raises:
        UserError: if the output cannot be written.
    """
    files.check_writable(output)
    files.delete([files.join(output, SUCCESS_FILE)])


def check_claim(output: str, digest: str) -> None:
    """Ask, before more is written there, whether the output still is the plan's of this digest.

    Raises:
        StoreError: if another plan has replaced it, or it is gone.
    """
    try:
        found = digest_in(files.read_start(files.join(output, PLAN_FILE), DIGEST_BYTES))
    except FileNotFoundError:
        found = ""
    if found != digest:
        what = "another run replaced this one's plan" if found else f"somebody deleted {PLAN_FILE}"
        raise StoreError(f"{output}: {what} while it went on, so it has stopped; give each plan its own --output.")


def check_parts(output: str, entries: Iterable[Mapping[str, str | int]]) -> None:
    """Ask whether the parts at the output are the very ones that this run wrote or found, by name and size.

    Raises:
        StoreError: if one is missing, is another one, or belongs to no shard.
    """
    expected = {files.join(output, str(entry["name"])): entry["bytes"] for entry in entries}
    found = {file.path: file.size for file in _parts(output)}
    for path in sorted(expected.keys() | found.keys()):
        if expected.get(path) != found.get(path):
            raise StoreError(f"{path} was written or deleted by another run; run the same command again.")


def read_claimed(output: str, digest: str, name: str) -> bytes:
    """The bytes of a file below the output of the plan of this digest.

    Raises:
        StoreError: if the output is another plan's, or the file is gone.
    """
    check_claim(output, digest)
    try:
        return files.read(files.join(output, name))
    except FileNotFoundError as error:
        check_claim(output, digest)
        raise StoreError(f"{output}: {name} vanished while the run went on; run the same command again.") from error


def succeed(output: str, digest: str) -> None:
    """Write `_SUCCESS`, the SHA-256 of `manifest.json`, as `write_claimed` does.

    Two runs of one plan may end at once, and their manifests differ in their times: whoever comes last must name the
    one that is there, so it is looked at again after each write.

    Raises:
        StoreError: if the output is another plan's, or gone.
    """
    named = None
    while (found := hashlib.sha256(read_claimed(output, digest, MANIFEST_FILE)).hexdigest()) != named:
        write_claimed(output, digest, SUCCESS_FILE, f"{found}\n".encode())
        named = found


def write_claimed(output: str, digest: str, name: str, content: bytes) -> None:
    """Write a file below the output of the plan of this digest, and take it back if that has become another plan's.

    A run may be stopped for any time between asking and writing; then the other plan's run is finished no more.

    Raises:
        StoreError: if the output is another plan's.
    """
    path = files.join(output, name)
    check_claim(output, digest)
    files.write(path, content)
    try:
        check_claim(output, digest)
    except StoreError:
        with contextlib.suppress(FileNotFoundError):
            if files.read(path) == content:
                files.delete([files.join(output, SUCCESS_FILE)])
                files.delete([path])
        raise


def _clear(output: str, stamp: PartStamp) -> None:
    """Delete what no shard of the plan is going to replace: temporary files of dead runs, and other plans' parts."""
    stale = [file.path for folder in _folders(output) for file in files.list_temporary(folder)]
    foreign = [file.path for file in _parts(output) if stamp.is_foreign(file.path)]
    files.delete([*stale, *foreign])


def _folders(output: str) -> list[str]:
    return [output, *(files.join(output, kind) for kind in KINDS)]


def _parts(output: str) -> list[File]:
    found = [file for folder in _folders(output)[1:] for file in files.list_folder(folder)]
    return [file for file in found if PART_NAME.search(file.path)]
