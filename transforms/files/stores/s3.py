"""Adapts S3, with the flags and credentials that Beam's own file system for it takes."""

import contextlib
from collections.abc import Iterator
from typing import Any

import boto3
from apache_beam.options.pipeline_options import PipelineOptions, S3Options
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
)

from bulklabel.model.errors import SourceChangedError
from bulklabel.transforms.files.listing import File, changed_words
from bulklabel.transforms.files.stores.globs import prefix_of
from bulklabel.transforms.files.stores.path_names import bucket_and_key

NOT_FOUND, PRECONDITION_FAILED, RANGE_BEHIND_END = 404, 412, 416
FORBIDDEN = (401, 403)
OVERLOADED = (408, 429)


class S3:
    """Adapts S3, by one client for all threads of a process; Beam would make one for each operation."""

    def __init__(self, options: PipelineOptions, connect_timeout: float, read_timeout: float, connections: int) -> None:
        flags = options.view_as(S3Options)
        with _as_os_errors():
            self._client: Any = boto3.session.Session().client(
                "s3",
                region_name=flags.s3_region_name,
                api_version=flags.s3_api_version,
                use_ssl=not flags.s3_disable_ssl,
                verify=flags.s3_verify,
                endpoint_url=flags.s3_endpoint_url,
                aws_access_key_id=flags.s3_access_key_id,
                aws_secret_access_key=flags.s3_secret_access_key,
                aws_session_token=flags.s3_session_token,
                config=Config(
                    connect_timeout=connect_timeout,
                    read_timeout=read_timeout,
                    retries={"total_max_attempts": 1},
                    max_pool_connections=connections,
                ),
            )

    def page(self, pattern: str, token: str) -> tuple[list[File], str | None]:
        """Lists as `Store.page` does; a page has up to 1,000 files."""
        bucket, prefix = bucket_and_key(prefix_of(pattern))
        more = {"ContinuationToken": token} if token else {}
        with _as_os_errors():
            response = self._client.list_objects_v2(Bucket=bucket, Prefix=prefix, **more)
        listed = [
            File(f"s3://{bucket}/{item['Key']}", item["Size"], item.get("ETag", ""))
            for item in response.get("Contents", ())
        ]
        return listed, response.get("NextContinuationToken")

    def folders(self, folder: str, token: str) -> tuple[list[str], str | None]:
        """Lists as `Store.folders` does; the store leaves out what is deeper."""
        bucket, prefix = bucket_and_key(f"{folder}/")
        more = {"ContinuationToken": token} if token else {}
        with _as_os_errors():
            response = self._client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/", **more)
        prefixes = [item["Prefix"].rstrip("/") for item in response.get("CommonPrefixes", ())]
        return [f"s3://{bucket}/{name}" for name in prefixes], response.get("NextContinuationToken")

    def describe(self, path: str) -> File:
        """Describes a file as `Store.describe` does."""
        bucket, key = bucket_and_key(path)
        with _as_os_errors():
            head = self._client.head_object(Bucket=bucket, Key=key)
        return File(path, int(head["ContentLength"]), head.get("ETag", ""))

    def get(self, path: str, start: int, stop: int, version: str = "") -> bytes:
        """Reads as `Store.get` does; the store itself compares the version."""
        bucket, key = bucket_and_key(path)
        condition = {"IfMatch": version} if version else {}
        try:
            with _as_os_errors():
                response = self._client.get_object(
                    Bucket=bucket, Key=key, Range=f"bytes={start}-{stop - 1}", **condition
                )
                return bytes(response["Body"].read())
        except OSError as error:
            if _status(error.__cause__) == PRECONDITION_FAILED:
                raise SourceChangedError(changed_words(path)) from error
            if _status(error.__cause__) == RANGE_BEHIND_END:
                return b""
            raise

    def put(self, path: str, content: bytes) -> None:
        """Writes as `Store.put` does, by one request: Beam's upload in parts cannot make an empty object."""
        bucket, key = bucket_and_key(path)
        with _as_os_errors():
            self._client.put_object(Bucket=bucket, Key=key, Body=content)

    def delete(self, path: str) -> None:
        """Deletes as `Store.delete` does."""
        bucket, key = bucket_and_key(path)
        with _as_os_errors():
            self._client.delete_object(Bucket=bucket, Key=key)


@contextlib.contextmanager
def _as_os_errors() -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError, ValueError) as error:
        raise _translated(error) from error


def _translated(error: Exception) -> OSError:
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return ConnectionRefusedError(str(error))
    if isinstance(error, HTTPClientError):
        return ConnectionError(str(error))
    if not isinstance(error, ClientError):
        return OSError(str(error))
    code, message = error.response["Error"].get("Code"), error.response["Error"].get("Message") or str(error)
    status = _status(error)
    if status >= 500 or status in OVERLOADED or code == "RequestTimeout":
        return ConnectionError(f"{message} ({code})")
    if status == NOT_FOUND and code != "NoSuchBucket":
        return FileNotFoundError(message)
    return PermissionError(message) if status in FORBIDDEN else OSError(message)


def _status(error: BaseException | None) -> int:
    """Returns the HTTP status of an error response; 0 for all other errors."""
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) if isinstance(error, ClientError) else 0
