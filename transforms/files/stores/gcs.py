"""Adapts Google Cloud Storage, with the flags and credentials that Beam's own file system for it takes."""

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

import google.auth
from apache_beam.io.gcp.gcsio import create_storage_client
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound, RequestRangeNotSatisfiable, Unauthorized
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.storage.exceptions import DataCorruption
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import RequestException
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError

from bulklabel.model.errors import SourceChangedError
from bulklabel.transforms.files.listing import File, changed_words
from bulklabel.transforms.files.stores.globs import prefix_of
from bulklabel.transforms.files.stores.path_names import bucket_and_key

PAGE_FILES = 1000
OVERLOADED = (408, 429)
BROKEN = (RequestException, HTTPError, TransportError, DataCorruption)
"""Errors of the client and the libraries below it for a connection that broke, or for bytes that arrived damaged."""


class Gcs:
    """Adapts Google Cloud Storage, by one client for all threads of a process."""

    def __init__(self, options: PipelineOptions, connect_timeout: float, read_timeout: float, connections: int) -> None:
        anonymous = options.view_as(GoogleCloudOptions).no_auth or "STORAGE_EMULATOR_HOST" in os.environ
        with _as_os_errors():
            if not anonymous:
                google.auth.default()  # raises at once where Beam would try for 20 seconds, and then go on without
            self._client = create_storage_client(options, use_credentials=not anonymous)
        for scheme in ("https://", "http://"):
            self._client._http.mount(scheme, HTTPAdapter(pool_maxsize=connections))
        self._once: dict[str, Any] = {"timeout": (connect_timeout, read_timeout), "retry": None}

    def page(self, pattern: str, token: str) -> tuple[list[File], str | None]:
        """Lists as `Store.page` does."""
        bucket, prefix = bucket_and_key(prefix_of(pattern))
        try:
            with _as_os_errors():
                blobs_of_all_pages = self._client.list_blobs(
                    bucket, prefix=prefix, page_token=token or None, page_size=PAGE_FILES, **self._once
                )
                blobs = list(next(blobs_of_all_pages.pages, ()))
        except FileNotFoundError as error:
            raise OSError(str(error)) from error  # it is the bucket that is not there
        listed = [File(f"gs://{bucket}/{blob.name}", blob.size, str(blob.generation or "")) for blob in blobs]
        return listed, blobs_of_all_pages.next_page_token

    def folders(self, folder: str, token: str) -> tuple[list[str], str | None]:
        """Lists as `Store.folders` does; the store leaves out what is deeper."""
        bucket, prefix = bucket_and_key(f"{folder}/")
        with _as_os_errors():
            pages = self._client.list_blobs(
                bucket, prefix=prefix, delimiter="/", page_token=token or None, page_size=PAGE_FILES, **self._once
            )
            next(pages.pages, None)
        return [f"gs://{bucket}/{name.rstrip('/')}" for name in sorted(pages.prefixes)], pages.next_page_token

    def describe(self, path: str) -> File:
        """Describes a file as `Store.describe` does."""
        blob = self._blob(path)
        with _as_os_errors():
            blob.reload(**self._once)
        return File(path, int(blob.size), str(blob.generation or ""))

    def get(self, path: str, start: int, stop: int, version: str = "") -> bytes:
        """Reads as `Store.get` does: the bytes as they are stored, whatever their `Content-Encoding`.

        A version is a generation of its own, which is gone when another one replaces it, or kept in a bucket with
        versions: then it is what is read.
        """
        try:
            with _as_os_errors():
                content = self._blob(path, int(version) if version else None).download_as_bytes(
                    start=start, end=stop - 1, raw_download=True, checksum=None, **self._once
                )
                return bytes(content)
        except OSError as error:
            if version and isinstance(error, FileNotFoundError):
                raise SourceChangedError(changed_words(path)) from error
            if isinstance(error.__cause__, RequestRangeNotSatisfiable):
                return b""
            raise

    def put(self, path: str, content: bytes) -> None:
        """Writes as `Store.put` does."""
        with _as_os_errors():
            self._blob(path).upload_from_string(content, content_type="application/octet-stream", **self._once)

    def delete(self, path: str) -> None:
        """Deletes as `Store.delete` does."""
        with _as_os_errors():
            self._blob(path).delete(**self._once)

    def _blob(self, path: str, generation: int | None = None) -> Any:
        bucket, key = bucket_and_key(path)
        return self._client.bucket(bucket).blob(key, generation=generation)


@contextlib.contextmanager
def _as_os_errors() -> Iterator[None]:
    try:
        yield
    except (GoogleAPICallError, GoogleAuthError, *BROKEN, ValueError) as error:
        raise _translated(error) from error


def _translated(error: Exception) -> OSError:
    never_connected = _never_connected(error)
    if never_connected:
        return ConnectionRefusedError(never_connected)
    if isinstance(error, BROKEN):
        return ConnectionError(str(error))
    if not isinstance(error, GoogleAPICallError):
        return OSError(str(error))
    if error.code >= 500 or error.code in OVERLOADED:
        return ConnectionError(_message(error))
    if isinstance(error, NotFound):
        return FileNotFoundError(_message(error))
    return PermissionError(_message(error)) if isinstance(error, Forbidden | Unauthorized) else OSError(_message(error))


def _message(error: GoogleAPICallError) -> str:
    """Returns the store's own message out of `GET <url>: <text or JSON>` and further lines."""
    in_json = re.search(r'"message":\s*"([^"]*)"', error.message)
    return in_json.group(1) if in_json else re.sub(r"^[A-Z]+ \S+: ", "", error.message).split("\n")[0]


def _never_connected(error: Exception) -> str:
    """Returns why no connection was made, empty if the error is about something else."""
    cause = error.args[0] if isinstance(error, RequestsConnectionError) and error.args else None
    if isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError | ConnectTimeoutError):
        return str(cause.reason)
    return ""
