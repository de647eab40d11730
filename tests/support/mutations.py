"""A seeded mutator: files as they come from broken disks, half copies and other people's scripts."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def truncated(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content) + 1)]


def flipped(content: bytes, dice: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 3, 20))):
        if changed:
            changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def overwritten(content: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(content) + 1)
    length = dice.choice((1, 8, 512, 4096))
    filler = dice.choice((bytes(length), b"\xff" * length, dice.randbytes(length)))
    return content[:start] + filler[: len(content) - start] + content[start + length :]


def spliced(content: bytes, dice: random.Random) -> bytes:
    """Some bytes twice, or left out, so that everything after them has moved."""
    first, last = sorted(dice.randrange(len(content) + 1) for _ in range(2))
    return content[:last] + content[first:] if dice.random() < 0.5 else content[:first] + content[last:]


def emptied(content: bytes, dice: random.Random) -> bytes:
    return content[:0] if dice.random() < 0.5 else bytes(len(content))


def replaced(content: bytes, dice: random.Random) -> bytes:
    others = (b"<html>404</html>", b"\x80\x04pickle", b"PAR1", b"\x1f\x8b\x08\0", dice.randbytes(600))
    return dice.choice([other for other in others if other != content])


ANY: Sequence[Callable[[bytes, random.Random], bytes]] = (truncated, flipped, overwritten, spliced, emptied, replaced)


def mutated(content: bytes, dice: random.Random) -> bytes:
    """Broken in one way or in two."""
    for _ in range(dice.choice((1, 1, 2))):
        content = dice.choice(ANY)(content, dice)
    return content


def huge_png(dice: random.Random) -> bytes:
    """A PNG whose header is whole and claims more pixels than anybody's memory holds."""
    side = dice.choice((20_000, 2**20, 2**31 - 1))
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b""))
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        content += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return content


def mutated_image(image: bytes, dice: random.Random) -> bytes | None:
    """What somebody may have for an image."""
    choice = dice.random()
    if choice < 0.05:
        return None
    return huge_png(dice) if choice < 0.15 else mutated(image, dice)


def strange_parquet(images: Sequence[bytes], dice: random.Random) -> bytes:
    """A whole Parquet file whose columns are not what they should be."""
    count = len(images)
    columns: dict[str, Any] = {
        "id": pa.array([f"strange-{dice.random()}" for _ in images]),
        "image": pa.array(list(images), pa.binary()),
        "labels": pa.array([["1"]] * count),
    }
    wrong = dice.choice(
        (pa.array(range(count)), pa.array(["text"] * count), pa.array([[1.5]] * count), pa.nulls(count))
    )
    columns[dice.choice(list(columns))] = wrong
    if dice.random() < 0.2:
        del columns[dice.choice(list(columns))]
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression=dice.choice(("none", "snappy", "zstd")))
    return buffer.getvalue()
