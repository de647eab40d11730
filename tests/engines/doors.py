"""Passes connections on: `python -m tests.engines.doors PORT ADDRESS=TARGET …` listens on one port of each address."""

import asyncio
import contextlib
import sys


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction of a connection."""
    with contextlib.suppress(OSError):
        while piece := await reader.read(2**16):
            writer.write(piece)
            await writer.drain()
    writer.close()


async def open_door(port: int, address: str, target: int) -> None:
    """Listen on one address, for ever."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(serve, address, port)
    await server.serve_forever()


async def main(port: int, *doors: str) -> None:
    """Listen on all."""
    named = [door.split("=") for door in doors]
    await asyncio.gather(*(open_door(port, address, int(target)) for address, target in named))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
