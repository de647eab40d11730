"""Prints what tables of paths cost: to plan them, and to fetch their images from a store.

    python benchmarks/tables.py plan [ROWS]
    python benchmarks/tables.py fetch [OBJECTS [MILLISECONDS]]

`plan` writes CSV, JSON lines and Parquet of ten million rows, and plans each in a process of its own: seconds, and the
peak memory beyond that of the imports. `fetch` reads 2,000 small objects of a local S3 server (it needs Go, as the
tests of stores do), one after another and many at once, behind a proxy that answers each request after 40 milliseconds:
the server is too near otherwise. What follows from the numbers is in `docs/scale.md` and `docs/stores.md`.
"""

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.pipelines.flags.score import parser
from bulklabel.pipelines.runners.beam_options import beam_options
from bulklabel.transforms.files.read_many import read_many
from bulklabel.transforms.reading.find_shards import find_shards
from bulklabel.transforms.reading.records import Columns
from tests.support import servers

BLOCK_ROWS = 100_000
LABELS = ("cat", "dog", "a|b", "")


def main(arguments: list[str]) -> None:
    what, *numbers = arguments
    if what == "plan":
        measure_plans(int(numbers[0]) if numbers else 10_000_000)
    elif what == "one":
        plan_one(numbers[0])
    elif what == "proxy":
        run_proxy(int(numbers[0]), int(numbers[1]), float(numbers[2]))
    else:
        measure_fetches(int(numbers[0]) if numbers else 2000, float(numbers[1]) if len(numbers) > 1 else 40.0)


def measure_plans(rows: int) -> None:
    print(f"{rows:,} rows{'':<14}{'MB':>8}{'shards':>10}{'wall s':>9}{'processor s':>13}{'MB more':>9}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("plain.csv", write_csv), ("rows.jsonl", write_json), ("rows.parquet", write_parquet)):
            path = Path(folder, name)
            write(path, rows)
            subprocess.run([sys.executable, __file__, "one", str(path)], check=True)
            path.unlink()


def plan_one(path: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, processor = time.perf_counter(), time.process_time()
    _, inputs = find_shards([path], "auto", Columns())
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    size = os.path.getsize(path) / 1e6
    print(f"  {Path(path).name:<24}{size:>8,.0f}{len(inputs.shards):>10,}{wall:>9.1f}{processor:>13.1f}{more:>9,.0f}")


def path_of(number: int) -> str:
    return f"s3://photos-of-the-north/2026/{number // 1000:06d}/image-{number:09d}.jpg"


def write_csv(path: Path, rows: int) -> None:
    """Every hundredth row has a quoted cell with a line end in it."""
    with path.open("w") as file:
        file.write("path,labels,caption\n")
        for first in range(0, rows, BLOCK_ROWS):
            numbers = range(first, min(rows, first + BLOCK_ROWS))
            file.writelines(
                f'{path_of(n)},{LABELS[n % 4]},"two\nlines"\n'
                if n % 100 == 0
                else f"{path_of(n)},{LABELS[n % 4]},one\n"
                for n in numbers
            )


def write_json(path: Path, rows: int) -> None:
    with path.open("w") as file:
        for first in range(0, rows, BLOCK_ROWS):
            numbers = range(first, min(rows, first + BLOCK_ROWS))
            file.writelines(f'{{"path": "{path_of(n)}", "labels": ["cat"]}}\n' for n in numbers)


def write_parquet(path: Path, rows: int) -> None:
    schema = pa.schema({"path": pa.string()})
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, BLOCK_ROWS):
            numbers = range(first, min(rows, first + BLOCK_ROWS))
            writer.write_table(pa.table({"path": [path_of(n) for n in numbers]}, schema))


def measure_fetches(count: int, milliseconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        contents = {f"objects/{number}.jpg": bytes([number % 256]) * 4000 for number in range(count)}
        with servers.serving("s3", Path(folder), contents) as port, slowed(port, milliseconds / 1000) as slow_port:
            keys = f"--s3_access_key_id={servers.ACCESS_KEY}", f"--s3_secret_access_key={servers.SECRET_KEY}"
            endpoint = f"--s3_endpoint_url=http://127.0.0.1:{slow_port}", "--s3_region_name=us-east-1"
            beam_options([*endpoint, *keys], Namespace(), parser())
            paths = [[f"s3://{servers.BUCKET}/{name}"] for name in contents]
            list(read_many(paths[:1]))  # the client is made
            started = time.perf_counter()
            one_by_one = [content for path in paths for content in read_many([path])]
            apart = time.perf_counter() - started
            together = list(read_many(paths))
            at_once = time.perf_counter() - started - apart
            assert one_by_one == together == [*contents.values()]
    print(f"{count:,} objects of 4 kB, {milliseconds:g} ms a request: one after another {apart:.1f} s, ", end="")
    print(f"many at once {at_once:.1f} s: {apart / at_once:.1f} times as fast")


@contextmanager
def slowed(port: int, seconds: float) -> Iterator[int]:
    """Runs a proxy in a process of its own, so that it takes no time from the threads that fetch."""
    front = servers.free_port()
    with subprocess.Popen([sys.executable, __file__, "proxy", str(front), str(port), str(seconds)]) as proxy:
        servers.wait_until(lambda: servers.listens(front), "the proxy listens")
        try:
            yield front
        finally:
            proxy.kill()


def run_proxy(front: int, port: int, seconds: float) -> None:
    """Passes connections on to a server, with a pause before each piece that a client sends: a round trip's time."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(server_reader, writer, 0), copy(reader, server_writer, seconds))

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float) -> None:
        while piece := await reader.read(2**16):
            await asyncio.sleep(pause)
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", front)
        await server.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    main(sys.argv[1:])
