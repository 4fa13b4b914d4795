"""Pictures as PNG (ISO/IEC 15948), in the one form that this grid writes.

    signature, IHDR, iTXt ..., IDAT, IEND

8-bit RGB, not interlaced, every row filtered by "Up", one IDAT. Reading takes exactly
that and nothing else: a file from a stranger's tab has no chunk to hide things in, and
its pixels are inflated no further than its announced size, which is bounded first.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: 8 bits, RGB; the only compression and filter methods there are; not interlaced.
FORMAT = bytes([8, 2, 0, 0, 0])
UP = 2
#: Scenes of few colours are small at any level; photographs gain 2% from more time than this.
LEVEL = 6
#: Parameters of a picture: a dozen, and two prompts of 2,000 characters at 4 bytes.
MAX_TEXTS = 32
MAX_TEXT_BYTES = 16 * 1024
KEYWORD = re.compile(r"[A-Za-z][A-Za-z0-9_ -]{0,78}")
#: Between keyword and text: not compressed, no language, no translated keyword.
PLAIN = b"\0\0\0\0\0"
HEADER = struct.Struct(">II")


class BadPng(ValueError):
    """Not a PNG as this file writes it; the text says what is wrong first."""


class Picture(NamedTuple):
    width: int
    height: int
    #: Three bytes a pixel, rows from the top.
    rgb: bytes
    #: In the order of the file.
    text: dict[str, str]


def encode(width: int, height: int, rgba: bytes, text: Mapping[str, str]) -> bytes:
    """A PNG of ``height`` rows of ``width`` pixels; what alpha says is left out.

    Raises ValueError where sizes do not agree or a text cannot be written.
    """
    if min(width, height) < 1 or len(rgba) != 4 * width * height:
        raise ValueError(f"{len(rgba)} bytes are not {width} x {height} pixels of RGBA.")
    if len(text) > MAX_TEXTS:
        raise ValueError(f"A picture carries at most {MAX_TEXTS} texts.")
    rgb = bytearray(3 * width * height)
    for channel in range(3):
        rgb[channel::3] = rgba[channel::4]
    chunks = [(b"IHDR", HEADER.pack(width, height) + FORMAT)]
    chunks += [(b"iTXt", _text_chunk(*pair)) for pair in text.items()]
    chunks += [(b"IDAT", zlib.compress(_filtered(bytes(rgb), 3 * width), LEVEL)), (b"IEND", b"")]
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def decode(data: bytes, max_pixels: int) -> Picture:
    """Raises BadPng and nothing else, whatever the bytes are."""
    kinds, contents = zip(*_chunks(data), strict=True)
    texts = len(kinds) - 3
    if kinds != (b"IHDR", *[b"iTXt"] * texts, b"IDAT", b"IEND"):
        raise BadPng("It has other chunks than IHDR, iTXt, IDAT and IEND, or in another order.")
    width, height = _size(contents[0], max_pixels)
    if contents[-1]:
        raise BadPng("Its end is not empty.")
    if texts > MAX_TEXTS:
        raise BadPng(f"It carries more than {MAX_TEXTS} texts.")
    pairs = [_text_of(content) for content in contents[1:-2]]
    if len(dict(pairs)) < texts:
        raise BadPng("It says the same thing twice.")
    rows = _inflate(contents[-2], height * (1 + 3 * width))
    return Picture(width, height, _unfiltered(rows, 3 * width), dict(pairs))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _text_chunk(keyword: str, text: str) -> bytes:
    if not KEYWORD.fullmatch(keyword) or "\0" in text:
        raise ValueError(f"A text named {keyword!r} cannot be written.")
    content = text.encode()
    if len(content) > MAX_TEXT_BYTES:
        raise ValueError(f"The text {keyword!r} is longer than {MAX_TEXT_BYTES} bytes.")
    return keyword.encode() + PLAIN + content


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk, the last one being at the very end of ``data``."""
    if not data.startswith(SIGNATURE):
        raise BadPng("It does not begin as a PNG does.")
    at, kind = len(SIGNATURE), b""
    while at < len(data) or kind != b"IEND":
        if kind == b"IEND":
            raise BadPng("Something follows its end.")
        if len(data) < at + 12:
            raise BadPng("It breaks off.")
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if len(data) < at + 12 + size:
            raise BadPng("It breaks off.")
        content = data[at + 8 : at + 8 + size]
        at += 12 + size
        if zlib.crc32(kind + content) != int.from_bytes(data[at - 4 : at], "big"):
            raise BadPng("A checksum is wrong.")
        yield kind, content


def _size(header: bytes, max_pixels: int) -> tuple[int, int]:
    if header[8:] != FORMAT:
        raise BadPng("It is not plain 8-bit RGB.")
    width, height = HEADER.unpack(header[:8])
    if min(width, height) < 1 or width * height > max_pixels:
        raise BadPng(f"It is {width} x {height} pixels; at most {max_pixels} are read.")
    return width, height


def _text_of(content: bytes) -> tuple[str, str]:
    keyword, _, rest = content.partition(b"\0")
    if not rest.startswith(PLAIN[1:]) or len(rest) > MAX_TEXT_BYTES + len(PLAIN) - 1:
        raise BadPng("A text is compressed, translated or too long.")
    try:
        name, text = keyword.decode("ascii"), rest[len(PLAIN) - 1 :].decode()
    except UnicodeDecodeError as error:
        raise BadPng("A text is not UTF-8.") from error
    if not KEYWORD.fullmatch(name) or "\0" in text:
        raise BadPng("A text has no proper name or end.")
    return name, text


def _inflate(data: bytes, size: int) -> bytes:
    """Exactly ``size`` bytes; never more are held, whatever ``data`` would grow to."""
    stream = zlib.decompressobj()
    try:
        rows = stream.decompress(data, size + 1)
    except zlib.error as error:
        raise BadPng(f"Its pixels cannot be inflated: {error}.") from error
    if len(rows) != size or not stream.eof or stream.unused_data:
        raise BadPng("It holds more or fewer pixels than it says.")
    return rows


def _filtered(rgb: bytes, stride: int) -> bytes:
    """Each row as its difference to the one above, behind the filter's number."""
    difference = _bytewise_difference(rgb, bytes(stride) + rgb[:-stride])
    marked = bytearray([UP]) * (len(rgb) // stride * (stride + 1))
    for row in range(len(rgb) // stride):
        at = row * (stride + 1) + 1
        marked[at : at + stride] = difference[row * stride : (row + 1) * stride]
    return bytes(marked)


def _unfiltered(rows: bytes, stride: int) -> bytes:
    above, rgb = bytes(stride), bytearray()
    for at in range(0, len(rows), stride + 1):
        if rows[at] != UP:
            raise BadPng("A row is filtered by something else than Up.")
        above = _bytewise_sum(rows[at + 1 : at + 1 + stride], above)
        rgb += above
    return bytes(rgb)


# A million differences one by one take a tab's Python a second. As whole numbers they are
# four operations: the top bit of each byte is set aside, so that no carry crosses bytes
# (Hacker's Delight, 2-18), and put back by exclusive or.


def _bytewise_difference(one: bytes, other: bytes) -> bytes:
    x, y, top = _numbers(one, other)
    return (((x | top) - (y & ~top)) ^ (x ^ ~y) & top).to_bytes(len(one), "little")


def _bytewise_sum(one: bytes, other: bytes) -> bytes:
    x, y, top = _numbers(one, other)
    return (((x & ~top) + (y & ~top)) ^ (x ^ y) & top).to_bytes(len(one), "little")


def _numbers(one: bytes, other: bytes) -> tuple[int, int, int]:
    top = int.from_bytes(b"\x80" * len(one), "little")
    return int.from_bytes(one, "little"), int.from_bytes(other, "little"), top
