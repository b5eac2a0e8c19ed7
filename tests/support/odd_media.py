"""Sound files of every common container, and what accidents make of them."""

import functools
import io
import random
import struct
from fractions import Fraction

import av
import numpy as np
import soundfile

from tests.support.rtsp import tone

FORMATS = {
    "wav": ("wav", "pcm_s16le", 16_000),
    "flac": ("flac", "flac", 16_000),
    "ogg": ("ogg", "flac", 16_000),
    "opus": ("ogg", "libopus", 48_000),
    "mp3": ("mp3", "mp3", 44_100),
    "aac": ("adts", "aac", 44_100),
    "mp4": ("mp4", "aac", 44_100),
    "mkv": ("matroska", "pcm_s16le", 16_000),
    "webm": ("webm", "libopus", 48_000),
    "flv": ("flv", "aac", 44_100),
    "ts": ("mpegts", "aac", 48_000),
}
"""Container, codec and Hz."""


def ogg(rate, channels, subtype):
    """Return two seconds of a tone as libsndfile writes them."""
    file = io.BytesIO()
    samples = np.repeat(tone(2, rate)[:, np.newaxis], channels, axis=1)
    soundfile.write(file, samples, rate, format="OGG", subtype=subtype)
    return file.getvalue()


WORDS = [
    *(struct.pack("<I", value) for value in (0, 1, 2, 10, 100, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 65535)),
    *(struct.pack(">I", value) for value in (1, 100, 0x7FFFFFFF, 0xFFFFFF)),
    b"\x00\x00", b"\xff\xff", b"\x01\x00", b"\x00" * 64, b"\xff" * 64,
]  # fmt: skip


@functools.cache
def encoded(name, *, pictures=False, rate=None, layout="stereo", seconds=2.0):
    """Return a tone in a container of this name, with or without pictures beside it."""
    container_name, codec, usual = FORMATS[name]
    rate = rate or usual
    file = io.BytesIO()
    with av.open(file, "w", format=container_name) as container:
        sound = container.add_stream(codec, rate=rate, layout=layout)
        film = container.add_stream("mpeg4" if name != "flv" else "flv", rate=10) if pictures else None
        if film is not None:
            film.width = film.height = 32
            film.pix_fmt = "yuv420p"
        samples = np.repeat((tone(seconds, rate) * 32767).astype(np.int16), sound.codec_context.channels)
        step = 1024 * sound.codec_context.channels
        for number, start in enumerate(range(0, len(samples), step)):
            frame = av.AudioFrame.from_ndarray(
                samples[np.newaxis, start : start + step], format="s16", layout=layout
            )
            frame.sample_rate, frame.pts, frame.time_base = rate, number * 1024, Fraction(1, rate)
            container.mux(sound.encode(frame))
            if film is not None and number % 4 == 0:
                picture = av.VideoFrame(32, 32, "yuv420p")
                picture.pts, picture.time_base = number // 4, Fraction(1, 10)
                container.mux(film.encode(picture))
        container.mux(sound.encode(None))
        if film is not None:
            container.mux(film.encode(None))
    return file.getvalue()


def with_rate(content, rate):
    """Return a file whose header claims another rate, wherever it stands there as a number."""
    for _, _, true in FORMATS.values():
        for kind in ("<I", ">I", ">d"):
            content = content.replace(struct.pack(kind, true), struct.pack(kind, rate), 1)
    return content


def odd(chance, content, others):
    """Return what is left of a file after one to four accidents, most of them in its header."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        near = 600 if chance.random() < 0.7 else len(data)
        at = chance.randrange(max(1, min(near, len(data))))
        match chance.randrange(9):
            case 0 | 1:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 2 | 3:
                word = chance.choice(WORDS)
                data[at : at + len(word)] = word
            case 4:
                del data[at : at + chance.randrange(1, 2000)]
            case 5:
                data[at:at] = data[at : at + chance.randrange(1, 2000)]
            case 6:
                del data[chance.randrange(len(data) + 1) :]
            case 7:
                other = chance.choice(others)
                start = chance.randrange(len(other))
                data[at:at] = other[start : start + chance.randrange(1, 20_000)]
            case 8:
                data = bytearray(with_rate(bytes(data), chance.choice(RATES)))
    return bytes(data)


def cases(seed, count):
    """Yield the number, the name and the content of odd files, always the same for a seed."""
    plain = [encoded(name) for name in FORMATS]
    films = [encoded(name, pictures=True) for name in ("mkv", "flv", "ts", "mp4")]
    names = [*FORMATS, "mkv", "flv", "ts", "mp4"]
    contents = plain + films
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        which = number % len(contents)
        yield number, f"{names[which]}", odd(chance, contents[which], contents)


RATES = (0, 1, 2, 10, 50, 100, 500, 999, 768_001, 10_000_000, 2**31 - 1, 2**32 - 1)
"""Hz that no sound has."""
