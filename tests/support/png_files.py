"""PNG files made chunk by chunk, as the standard has it, to compare what decoders make of them."""

import struct
import zlib


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(header: bytes, *chunks: bytes, data: bytes = b"") -> bytes:
    """A PNG file of a header, other chunks, and data that are packed into one IDAT."""
    body = chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def xmp(orientation: int) -> bytes:
    """What Preview writes of an image that it has turned."""
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description rdf:about="" '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"><tiff:Orientation>%d</tiff:Orientation>'
        b"</rdf:Description></rdf:RDF></x:xmpmeta>" % orientation
    )
