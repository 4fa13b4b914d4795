"""What a picture's file may hold, and everything it may not."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from tabgrid_models import png
from tabgrid_models.png import BadPng, decode, encode

WIDTH, HEIGHT = 5, 3
RGBA = bytes(range(4 * WIDTH * HEIGHT))
RGB = bytes(value for at, value in enumerate(RGBA) if at % 4 != 3)
TEXT = {"prompt": "ein Würfel 🎲 שלום", "seed": "7"}
GOOD = encode(WIDTH, HEIGHT, RGBA, TEXT)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int = WIDTH, height: int = HEIGHT, form: bytes = png.FORMAT) -> bytes:
    return chunk(b"IHDR", struct.pack(">II", width, height) + form)


def pixels(rows: bytes) -> bytes:
    return chunk(b"IDAT", zlib.compress(rows))


ROWS = (b"\2" + bytes(3 * WIDTH)) * HEIGHT
END = chunk(b"IEND", b"")


def built(*chunks: bytes) -> bytes:
    return png.SIGNATURE + b"".join(chunks)


def test_what_is_written_is_read() -> None:
    picture = decode(GOOD, WIDTH * HEIGHT)
    assert picture == (WIDTH, HEIGHT, RGB, TEXT)


def test_other_programs_read_it_too() -> None:
    image = Image.open(io.BytesIO(GOOD))
    image.load()
    assert (image.size, image.mode, image.info) == ((WIDTH, HEIGHT), "RGB", TEXT)
    assert image.tobytes() == RGB


def test_the_same_picture_is_the_same_bytes() -> None:
    assert encode(WIDTH, HEIGHT, RGBA, TEXT) == GOOD
    opaque = bytes(255 if at % 4 == 3 else value for at, value in enumerate(RGBA))
    assert encode(WIDTH, HEIGHT, opaque, TEXT) == GOOD, "alpha is left out"


@pytest.mark.parametrize(
    ("width", "height", "rgba", "text"),
    [
        (0, 3, b"", {}),
        (5, 3, RGBA[:-1], {}),
        (3, 3, RGBA, {}),
        (5, 3, RGBA, {"": "x"}),
        (5, 3, RGBA, {"prömpt": "x"}),
        (5, 3, RGBA, {"x" * 80: "x"}),
        (5, 3, RGBA, {"prompt": "a\0b"}),
        (5, 3, RGBA, {"prompt": "\ud83d"}),
        (5, 3, RGBA, {"prompt": "x" * (png.MAX_TEXT_BYTES + 1)}),
        (5, 3, RGBA, {f"k{number}": "" for number in range(png.MAX_TEXTS + 1)}),
    ],
)
def test_nothing_unreadable_is_written(
    width: int, height: int, rgba: bytes, text: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=r"pixels|text|utf-8"):
        encode(width, height, rgba, text)


HOSTILE = {
    "empty": b"",
    "a JPEG": b"\xff\xd8\xff\xe0" + GOOD[4:],
    "signature alone": png.SIGNATURE,
    "no pixels": built(header(), END),
    "end alone": built(END),
    "pixels before the header": built(pixels(ROWS), header(), END),
    "a header twice": built(header(), header(), pixels(ROWS), END),
    "pixels in two parts": built(header(), pixels(ROWS), pixels(ROWS), END),
    "a palette": built(header(), chunk(b"PLTE", bytes(3)), pixels(ROWS), END),
    "a colour profile": built(header(), chunk(b"iCCP", b"x\0\0"), pixels(ROWS), END),
    "a text after the pixels": built(
        header(), pixels(ROWS), chunk(b"iTXt", b"a\0\0\0\0\0b"), END
    ),
    "a Latin-1 text": built(header(), chunk(b"tEXt", b"a\0b"), pixels(ROWS), END),
    "bytes after the end": GOOD + b"<script>",
    "another picture after the end": GOOD + GOOD,
    "an end with content": built(header(), pixels(ROWS), chunk(b"IEND", b"x")),
    "a chunk longer than the file": built(header(), struct.pack(">I", 2**31) + b"IDAT"),
    "palette colours": built(header(form=bytes([8, 3, 0, 0, 0])), pixels(ROWS), END),
    "16 bits": built(header(form=bytes([16, 2, 0, 0, 0])), pixels(ROWS * 2), END),
    "interlaced": built(header(form=bytes([8, 2, 0, 0, 1])), pixels(ROWS), END),
    "a short header": built(chunk(b"IHDR", bytes(12)), pixels(ROWS), END),
    "a long header": built(chunk(b"IHDR", bytes(14)), pixels(ROWS), END),
    "no width": built(header(width=0), pixels(b"\2" * HEIGHT), END),
    "no height": built(header(height=0), pixels(b""), END),
    "too many pixels": built(header(width=6), pixels((b"\2" + bytes(18)) * 3), END),
    "2^64 pixels": built(header(2**32 - 1, 2**32 - 1), pixels(ROWS), END),
    "a bomb": built(header(), pixels(bytes(100_000_000)), END),
    "a pixel too few": built(header(), pixels(ROWS[:-1]), END),
    "a pixel too many": built(header(), pixels(ROWS + b"\0"), END),
    "pixels that are no stream": built(header(), chunk(b"IDAT", b"not zlib"), END),
    "a stream that breaks off": built(
        header(), chunk(b"IDAT", zlib.compress(ROWS)[:-2]), END
    ),
    "a stream with something behind it": built(
        header(), chunk(b"IDAT", zlib.compress(ROWS) + b"x"), END
    ),
    "a stream with a wrong sum": built(
        header(), chunk(b"IDAT", zlib.compress(ROWS)[:-1] + b"\xff"), END
    ),
    "another filter": built(header(), pixels((b"\0" + bytes(3 * WIDTH)) * HEIGHT), END),
    "a compressed text": built(
        header(), chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(b"b")), pixels(ROWS), END
    ),
    "a translated text": built(header(), chunk(b"iTXt", b"a\0\0\0de\0\0b"), pixels(ROWS), END),
    "a text without a name": built(header(), chunk(b"iTXt", b"\0\0\0\0\0b"), pixels(ROWS), END),
    "a text without an end": built(header(), chunk(b"iTXt", b"abc"), pixels(ROWS), END),
    "a text with a zero": built(
        header(), chunk(b"iTXt", b"a\0\0\0\0\0b\0c"), pixels(ROWS), END
    ),
    "a text that is not UTF-8": built(
        header(), chunk(b"iTXt", b"a\0\0\0\0\0\xff"), pixels(ROWS), END
    ),
    "a text twice": built(
        header(), chunk(b"iTXt", b"a\0\0\0\0\0b") * 2, pixels(ROWS), END
    ),
    "a very long text": built(
        header(), chunk(b"iTXt", b"a\0\0\0\0\0" + b"b" * 20_000), pixels(ROWS), END
    ),
    "many texts": built(
        header(),
        *(chunk(b"iTXt", b"k%d\0\0\0\0\0b" % at) for at in range(33)),
        pixels(ROWS),
        END,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_else_is_read(name: str) -> None:
    with pytest.raises(BadPng):
        decode(HOSTILE[name], WIDTH * HEIGHT)


def test_the_pieces_of_the_hostile_files_are_sound() -> None:
    """Else they might be refused for another reason than the one they are named after."""
    text = chunk(b"iTXt", b"a\0\0\0\0\0b")
    picture = decode(built(header(), text, pixels(ROWS), END), WIDTH * HEIGHT)
    assert (picture.rgb, picture.text) == (bytes(3 * WIDTH * HEIGHT), {"a": "b"})


def test_a_checksum_anywhere_is_checked() -> None:
    at = len(png.SIGNATURE)
    while at < len(GOOD):
        end = at + 12 + int.from_bytes(GOOD[at : at + 4], "big")
        damaged = bytearray(GOOD)
        damaged[end - 1] ^= 1
        with pytest.raises(BadPng, match="checksum"):
            decode(bytes(damaged), WIDTH * HEIGHT)
        at = end
