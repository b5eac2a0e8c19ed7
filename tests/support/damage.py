"""Damage: what happens to the files of a checkpoint and of the state directory, made from a seed."""

import copy
import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 7, 2**31, 2**32, 2**63, 10**9, 10**40, 0.5, -0.5, 1e300, 1e-300,
    float("nan"), float("inf"), "", "x", "4", "gelu", "\ud800", "\0", "../../x", "x" * 10_000, [], {}, [[]],
    [None], [-1], {"": ""}, [1e9, "x"],
]  # fmt: skip


def document(content: Any, chance: random.Random) -> Any:
    """Return a copy of a JSON document in which a few values, keys or lengths are others."""
    content = json.loads(json.dumps(content))
    for _ in range(chance.randrange(1, 4)):
        places = list(_places(content))
        if not places:
            return _value(chance)
        holder, key = chance.choice(places)
        match chance.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder[key], list):
                holder[key] *= chance.choice([0, 2, 50])
            case 2 if isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
                holder[key] *= chance.choice([-1, 0, 2, 1000, 10**9, 0.5])
            case 3:
                nested: Any = holder[key]
                for _ in range(chance.choice([5, 100, 5_000])):
                    nested = [nested]
                holder[key] = nested
                return content
            case _:
                holder[key] = _value(chance)
    return content


def _value(chance: random.Random) -> Any:
    """Return a copy of an odd value: the next change may be made inside it."""
    return copy.deepcopy(chance.choice(VALUES))


def _places(content: Any) -> list[tuple[Any, Any]]:
    """Return every list and mapping with each of its keys; of a long list only some."""
    found, open_ = [], [content]
    while open_:
        holder = open_.pop()
        keys = list(holder) if isinstance(holder, dict) else list(range(min(len(holder), 20)))
        if len(keys) > 200:
            keys = keys[:200]
        found += [(holder, key) for key in keys]
        open_ += [holder[key] for key in keys if isinstance(holder[key], (dict, list))]
    return found


def text(content: Any) -> str:
    """Return JSON of a document however deep it is nested."""
    depth, innermost = 0, content
    while isinstance(innermost, list) and len(innermost) == 1:
        depth, innermost = depth + 1, innermost[0]
    if depth > 500:
        return "[" * depth + json.dumps(innermost) + "]" * depth
    try:
        return json.dumps(content)
    except RecursionError:
        return '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"


def bytes_(content: bytes, chance: random.Random) -> bytes:
    """Return bytes of which some are lost, changed, doubled or added."""
    damaged = bytearray(content)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(damaged) + 1)
        size = chance.choice([1, 1, 2, 8, 100, 5_000])
        match chance.randrange(5):
            case 0:
                del damaged[at:]
            case 1:
                del damaged[at : at + size]
            case 2:
                damaged[at:at] = damaged[at : at + size]
            case 3:
                damaged[at : at + size] = chance.randbytes(size)
            case _:
                damaged[at : at + 1] = chance.choice(
                    [b"\0", b"\xff", b"[", b"{", b'"', b"9" * 30, b"NaN", b"-"]
                )
    return bytes(damaged)


def json_file(path: Path, chance: random.Random) -> None:
    """Damage a JSON file, its values or its bytes."""
    content = path.read_bytes()
    if chance.random() < 0.25:
        path.write_bytes(bytes_(content, chance))
    else:
        path.write_text(text(document(json.loads(content), chance)), errors="surrogatepass")


def safetensors_header(path: Path, chance: random.Random) -> None:
    """Damage what comes before the numbers: its length, names, types, shapes and places."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, numbers = json.loads(content[8 : 8 + length]), content[8 + length :]
    name = chance.choice(sorted(set(header) - {"__metadata__"}))
    match chance.randrange(8):
        case 0:
            path.write_bytes(
                struct.pack("<Q", chance.choice([0, 1, 2**31, 2**63, 2**64 - 1, length + 8])) + content[8:]
            )
            return
        case 1:
            header[name]["shape"] = chance.choice(
                [[], [-1], [2**40, 2**40], [0], [1], [1.5], None, header[name]["shape"] * 2]
            )
        case 2:
            other = chance.choice(sorted(set(header) - {"__metadata__"}))
            header[name]["data_offsets"] = header[other]["data_offsets"]
        case 3:
            header[name]["data_offsets"] = chance.choice(
                [[0, 2**63], [-4, 4], [8, 0], [], None, [0, len(numbers) + 4]]
            )
        case 4:
            header[name]["dtype"] = chance.choice(["F64", "I64", "BOOL", "BF16", "F16", "U8", "X", None, 7])
        case 5:
            del header[name]
        case 6:
            numbers = bytes_(numbers[:1000], chance) + numbers[1000:]
        case _:
            header = document(header, chance)
    new = text(header).encode(errors="surrogatepass")
    path.write_bytes(struct.pack("<Q", len(new)) + new + numbers)


def weights(path: Path, chance: random.Random) -> None:
    """Put numbers that are none, or far too large, in the place of good ones."""
    content = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    size = chance.choice([4, 4_000, 400_000])
    at = 8 + length + 4 * chance.randrange((len(content) - length - 8 - size) // 4)
    number = chance.choice([float("nan"), float("inf"), 3e38, 0.0, -1e30])
    content[at : at + size] = struct.pack("<f", number) * (size // 4)
    path.write_bytes(content)


FILES: dict[str, Callable[[Path, random.Random], None]] = {
    "config.json": json_file,
    "processor_config.json": json_file,
    "tokenizer_config.json": json_file,
    "tokenizer.json": json_file,
    "detection.json": json_file,
    "repertoire.json": json_file,
}
"""Small files of a checkpoint, and how they are damaged."""
