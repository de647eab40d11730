"""Real servers of the stores' protocols on loopback, built by Go, and a proxy that is as bad as networks can be."""

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.conftest import ROOT, missing
from tests.support.once import locked

(BEAM,) = re.findall(r"^apache-beam==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
PACKAGES = {
    "s3": "github.com/versity/versitygw/cmd/versitygw@v1.8.0",
    "gs": "github.com/fsouza/fake-gcs-server@v1.56.1",
    "prism": f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{BEAM}",
    "boot": f"github.com/apache/beam/sdks/v2/python/container@v{BEAM}",
}
"""The last is what starts a worker in Beam's own images."""

QUICKLY = "-gcflags=all=-N -l"
"""Leaves optimising out, a third of the time that Go takes to build them: most of what they do is to wait."""

ACCESS_KEY, SECRET_KEY = "loopback", "loopback-secret"
BUCKET = "images"

T = TypeVar("T")
PATIENCE = 300.0

Fault = Callable[[str], str | None]
"""From a request line to what shall go wrong: `unavailable`, `forbidden`, `stall`, `drop`, `trickle`, `hold`."""


def installed(what: str) -> Path:
    """The program of a store's server, or of Beam, built by Go if need be: a minute or two, once for a checkout."""
    package = PACKAGES[what]
    name = package.rsplit("/", 1)[-1]
    program = ROOT / ".tools" / name / name.split("@")[0]
    with locked(program.parent):
        if not program.exists():
            go = shutil.which("go") or missing(f"no Go on the PATH, which builds {name}")
            environment = os.environ | {"GOBIN": str(program.parent), "CGO_ENABLED": "0"}
            subprocess.run([go, "install", QUICKLY, package], env=environment, check=True)
    return program


def free_port() -> int:
    """A port of loopback on which nothing listens, below those that the system gives to whoever names none.

    One of those might be given to somebody else before the server that it is meant for has started.
    """
    while True:
        port = secrets.choice(range(10_000, 32_000))
        with socket.socket() as server, contextlib.suppress(OSError):
            server.bind(("127.0.0.1", port))
            return port


def wait_until(happened: Callable[[], T], what: str) -> T:
    """What `happened` returns, once that is true."""
    until = time.monotonic() + PATIENCE
    while not (found := happened()):
        assert time.monotonic() < until, f"waited in vain: {what}"
        time.sleep(0.02)
    return found


@contextlib.contextmanager
def serving(scheme: str, folder: Path, objects: dict[str, bytes]) -> Iterator[int]:
    """A store with one bucket of some objects; its port."""
    port = free_port()
    program = str(installed(scheme))
    for name, content in objects.items():
        path = folder / "objects" / BUCKET / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if scheme == "s3":
        (folder / "sidecar").mkdir()
        keys = ["--access", ACCESS_KEY, "--secret", SECRET_KEY]
        posix = ["posix", "--sidecar", str(folder / "sidecar"), str(folder / "objects")]
        line = [program, "--port", f"127.0.0.1:{port}", "--keep-alive", "--quiet", *keys, *posix]
    else:
        place = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
        line = [program, *place, "-data", str(folder / "objects"), "-log-level", "error"]
    with (folder / "log").open("wb") as log, subprocess.Popen(line, stdout=log, stderr=log) as server:
        try:
            until = time.monotonic() + 20
            while not listens(port):
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until, "the server does not listen"
                time.sleep(0.02)
            yield port
        finally:
            server.kill()


def listens(port: int) -> bool:
    """Whether somebody listens on a port of loopback, other than the socket that asks: it may be given the port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0 and client.getsockname()[1] != port


@dataclass
class Proxy:
    """Passes requests on to a server, one a connection, and does to them what `fault` says; keeps their first lines."""

    upstream: int
    fault: Fault = field(default=lambda _: None)
    port: int = 0
    requests: list[str] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.writers.append(writer)
        fault = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.read(2**16) if b"uploadType=multipart" in head else b""
            name = re.search(rb'"name": "([^"]*)"', body)  # Google's uploads have it in the body alone
            request = (head.split(b"\r\n")[0] + b" " + (name.group(1) if name else b"")).decode()
            self.requests.append(request)
            fault = self.fault(request)
            if fault == "stall":
                await reader.read()  # until the client gives up
            elif fault in ("unavailable", "forbidden"):
                status = b"503 Slow Down" if fault == "unavailable" else b"403 Forbidden"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
            else:
                await self._pass_on(head, body, reader, writer, fault)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            fault = "drop"
        finally:
            writer.transport.abort() if fault == "drop" else writer.close()

    async def _pass_on(
        self, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: str | None
    ) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        self.writers.append(server_writer)
        server_writer.write(re.sub(rb"\r\nConnection: [^\r]*", b"", head)[:-2] + b"Connection: close\r\n\r\n")
        upload = asyncio.create_task(self._upload(body, reader, server_writer, fault))
        try:
            answer = b""
            while piece := await server_reader.read(2**16):
                if fault not in ("drop", "trickle"):
                    writer.write(piece)
                    await writer.drain()
                answer += piece
            if fault == "drop":
                writer.write(answer[: len(answer) - 1 - len(answer) // 10])
                await writer.drain()
            elif fault == "trickle":
                for byte in answer:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.3)
        finally:
            upload.cancel()
            server_writer.transport.abort()

    async def _upload(
        self, piece: bytes, reader: asyncio.StreamReader, server_writer: asyncio.StreamWriter, fault: str | None
    ) -> None:
        while piece := piece or await reader.read(2**16):
            if fault == "hold":
                server_writer.write(piece[: len(piece) // 2])
                await server_writer.drain()
                self.held.set()
                await reader.read()  # until the client is dead
                server_writer.transport.abort()
                return
            server_writer.write(piece)
            await server_writer.drain()
            piece = b""


@contextlib.contextmanager
def proxied(upstream: int, fault: Fault) -> Iterator[Proxy]:
    """A proxy before the server on a port, in a thread of its own."""
    proxy = Proxy(upstream, fault)
    loop = asyncio.new_event_loop()

    async def start() -> asyncio.Server:
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        return server

    async def stop() -> None:
        server.close()
        await asyncio.sleep(0)  # a connection whose task is cancelled before it has begun would never be closed
        while serving := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
        for writer in proxy.writers:
            with contextlib.suppress(
                AttributeError
            ):  # one that closed itself after its last bytes has no loop any more
                writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
