"""Defines what a store can do, and makes one for each scheme; retries are `RetryPolicy`'s."""

from functools import lru_cache
from typing import Protocol

from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.errors import UserError
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.stores.beam import BeamStore
from bulklabel.transforms.files.stores.local import LocalStore
from bulklabel.transforms.files.stores.path_names import is_remote
from bulklabel.transforms.files.stores.retry import RetryPolicy, StoreOptions, store_error, store_options

PIECE_BYTES = 8 * 2**20
"""The time limit of an attempt is for so many bytes: one that moves twice as many has twice the time."""

CONNECTIONS = 64
"""Connections that a process keeps open to a store: a few more than it has threads that read."""

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection, where the time limit of an attempt is longer."""


class Store(Protocol):
    """Defines the operations of a store, on full paths such as `s3://bucket/key`, or local ones; each is one attempt.

    They raise `FileNotFoundError` for a file that does not exist, `ConnectionError` or `TimeoutError` for what another
    attempt may mend (`ConnectionRefusedError` where no connection was made), and another `OSError` for all else.
    """

    def page(self, pattern: str, token: str) -> tuple[list[File], str | None]:
        """Lists a page of the files that a glob matches; there may be others among them.

        Returns:
            the files, and the token of the next page, None after the last; the first page's token is empty.
        """

    def folders(self, folder: str, token: str) -> tuple[list[str], str | None]:
        """Lists a page of the folders directly in a folder, by their paths; returns the next token, as `page` does."""

    def describe(self, path: str) -> File:
        """Returns a file as a listing has it."""

    def get(self, path: str, start: int, stop: int, version: str = "") -> bytes:
        """Returns a file's bytes from `start` to before `stop`, as far as there are any.

        Raises:
            SourceChangedError: if a version is given, and the file has another one.
        """

    def put(self, path: str, content: bytes) -> None:
        """Writes a file whole or not at all, replacing an earlier one."""

    def delete(self, path: str) -> None:
        """Deletes a file, which must exist."""


def store_of(path: str) -> tuple[Store, RetryPolicy]:
    """Returns the store of a path, made once a process, and the retries that the command's flags ask for.

    An attempt on a local folder has no time limit: each would cost a thread, which a hanging mount would keep anyway.

    Raises:
        UserError: if there is no such scheme, or the packages for it are not installed.
        StoreError: if there are no credentials, for example; `UserError` within `fail_fast`.
    """
    try:
        return _store(path.partition("://")[0] if is_remote(path) else "", store_options())
    except OSError as error:
        raise store_error(path, "reached", error) from error


@lru_cache(maxsize=8)
def _store(scheme: str, options: PipelineOptions) -> tuple[Store, RetryPolicy]:
    flags = options.view_as(StoreOptions)
    if not scheme:
        return LocalStore(), RetryPolicy(None, flags.store_retries)
    policy = RetryPolicy(flags.store_timeout, flags.store_retries)
    return _make(scheme, options, flags.store_timeout), policy


def _make(scheme: str, options: PipelineOptions, timeout: float) -> Store:
    connect_timeout = min(timeout, CONNECT_TIMEOUT)
    read_timeout = 2 * timeout  # ends abandoned threads at last; the time limit itself is `RetryPolicy`'s
    try:
        if scheme == "s3":
            from bulklabel.transforms.files.stores.s3 import S3

            return S3(options, connect_timeout, read_timeout, CONNECTIONS)
        if scheme == "gs":
            from bulklabel.transforms.files.stores.gcs import Gcs

            return Gcs(options, connect_timeout, read_timeout, CONNECTIONS)
    except ModuleNotFoundError as error:
        extra = {"s3": "aws", "gs": "gcp"}[scheme]
        raise UserError(f"{scheme}:// needs the package {error.name}; pip install 'bulklabel[{extra}]'.") from error
    return BeamStore(scheme)
