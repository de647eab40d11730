"""The stores: one object a scheme, whose operations are single attempts; patience is the caller's."""

from functools import lru_cache
from typing import Protocol

from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.errors import UserError
from bulklabel.transforms.files.stores.beam import BeamStore
from bulklabel.transforms.files.stores.local import LocalStore
from bulklabel.transforms.files.stores.path_names import ListedFile, is_remote
from bulklabel.transforms.files.stores.retry import RetryPolicy, StoreOptions, store_error, store_options

PIECE_BYTES = 8 * 2**20
"""The time limit of an attempt holds for each so many bytes that it moves."""

CONNECTIONS = 32
"""Connections that a process keeps open to a store: a few more than it has threads that read."""

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection, where the time limit of an attempt is longer."""


class Store(Protocol):
    """What files need of a store, by full paths such as `s3://bucket/key`, or local ones; each call is one attempt.

    All of them raise `FileNotFoundError` for what is not there, `ConnectionError` or `TimeoutError` for what another
    attempt may mend (`ConnectionRefusedError` where no connection was made), and another `OSError` for what none will.
    """

    def page(self, pattern: str, token: str) -> tuple[list[ListedFile], str | None]:
        """Files that a glob may match, all of those that it does among them, a page at a time.

        The first token is empty; with each page comes the next one's, None after the last.
        """

    def size(self, path: str) -> int:
        """A file's bytes."""

    def get(self, path: str, start: int, stop: int) -> bytes:
        """A file's bytes from `start` to before `stop`: fewer where it ends before that, none behind its end."""

    def put(self, path: str, content: bytes) -> None:
        """Make a file whole or not at all, replacing what was there."""

    def delete(self, path: str) -> None:
        """Delete a file."""


def store_of(path: str) -> tuple[Store, RetryPolicy]:
    """The store of a path, made once a process, and the patience that the command asks for.

    An attempt on a local folder has no time limit: it would cost a thread each, and what hangs there cannot be left.

    Raises:
        UserError: if there is no such scheme, or the packages for it are not installed.
        StoreError: if there are no credentials, for example; `UserError` while planning.
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
    patience = RetryPolicy(flags.store_timeout, flags.store_retries)
    return _make(scheme, options, flags.store_timeout), patience


def _make(scheme: str, options: PipelineOptions, timeout: float) -> Store:
    connect_timeout = min(timeout, CONNECT_TIMEOUT)
    read_timeout = 2 * timeout  # ends the threads that were left to themselves: the limit itself is `RetryPolicy`'s
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
