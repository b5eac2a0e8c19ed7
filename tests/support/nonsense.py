"""Nonsense as somebody outside may send or write it, generated from a seed: commands, requests, files."""

import json

from monitor.config import LabelConfig, example

TEXTS = (
    "", " ", "dog", "cat", "kettle", "a dog barking", "A B", "../../etc/passwd", "\x00", "\x1b[31mred\x1b[0m",
    "line\nbreak", "\r\n\t", "\ud800", "a\udfffb", "\ufffe", "\u202eabc", "\U0001f514" * 40, "x" * 33,
    "x" * 301, "y" * 5000, "null", "NaN", "0.5", "{{ 7 * 7 }}", "'; DROP TABLE events", "%s%n", "true", "id",
    "prompts",
)  # fmt: skip
NUMBERS = (
    "0", "1", "-1", "0.5", "0.25", "1.0000001", "1e308", "1e309", "-1e999", "NaN", "Infinity", "-Infinity",
    "-0", "1e-400", "9" * 19, "9" * 20, "9" * 400, "9" * 5000, "9223372036854775808", "-9223372036854775809",
    "0x10", "01", "1_000", ".5", "5.", "1e", "\u0661", " 0.5 ", "0,5",
)  # fmt: skip
KEYS = (*LabelConfig.model_fields, "remove", "treshold", "", "\ud800", "\x00", "a.b", "__class__", "x" * 300)
LABELS = (
    "dog",
    "cat",
    "kettle",
    "bird",
    "a" * 32,
    "a" * 33,
    "A B",
    "",
    "\u00e9",
    "+",
    "#",
    "x" * 5000,
    "\x00",
)
SOURCES = ("porch", "hall", "attic", "", "..", "x" * 300)

GOOD = (
    '{"id": "kettle", "prompts": ["a kettle whistling"]}',
    '{"id": "dog", "threshold": 0.4, "name": "Rex", "against": ["a cat meowing"]}',
    '{"id": "kettle", "remove": true}',
    '{"id": "cat", "enabled": false}',
    '{"id": "cat", "enabled": true, "threshold": null}',
)


def value(chance, depth=0):
    """Return the JSON of any value, also of such as JSON does not have."""
    kind = chance.randrange(8 if depth < 4 else 5)
    if kind == 0:
        return chance.choice(("null", "true", "false"))
    if kind in {1, 2}:
        return chance.choice(NUMBERS)
    if kind in {3, 4}:
        return json.dumps(chance.choice(TEXTS))
    if kind == 5:
        return f"[{','.join(value(chance, depth + 1) for _ in range(chance.randrange(4)))}]"
    return mapping(chance, depth + 1)


def mapping(chance, depth=0):
    """Return the JSON of a mapping, in which a key may be given twice."""
    pairs = [f"{json.dumps(chance.choice(KEYS))}:{value(chance, depth)}" for _ in range(chance.randrange(6))]
    return f"{{{','.join(pairs)}}}"


def label(chance):
    """Return the JSON of a label with something wrong in it, or nothing."""
    keys = dict(json.loads(chance.choice(GOOD)))
    parts = [f"{json.dumps(key)}:{json.dumps(each)}" for key, each in keys.items()]
    parts += [f"{json.dumps(chance.choice(KEYS))}:{value(chance)}" for _ in range(chance.randrange(3))]
    chance.shuffle(parts)
    return f"{{{','.join(parts)}}}"


def deep(chance):
    """Return what is nested deeply, closed or not."""
    open_, close = chance.choice((("[", "]"), ('{"a":', "}"), ('[{"id":', "}]")))
    levels = chance.choice((10, 63, 64, 65, 500, 3000))
    return open_ * levels + "1" + close * (levels if chance.random() < 0.7 else 0)


def spoilt(chance, content):
    """Cut, repeat and change bytes anywhere."""
    content = bytearray(content)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(content) + 1)
        match chance.randrange(4):
            case 0:
                content[at : at + chance.randrange(20)] = b""
            case 1:
                content[at:at] = chance.randbytes(chance.randrange(6))
            case 2:
                content[at:at] = content[at : at + 40]
            case _:
                content[at:at] = chance.choice(TEXTS).encode("utf-8", "surrogatepass")
    return bytes(content)


def payload(chance):
    """Return the bytes of a message to a topic for commands."""
    text = chance.choice(
        (value, mapping, label, label, label, deep, lambda each: each.choice(("ON", "OFF", *NUMBERS, *TEXTS)))
    )(chance)
    content = text.encode("utf-8", "surrogatepass")
    match chance.randrange(10):
        case 0:
            return chance.randbytes(chance.randrange(200))
        case 1:
            return spoilt(chance, content)
        case 2:
            return content + b" " * chance.choice((0, 40_000, 70_000))
    return content


def message(chance, node):
    """Return topic and payload of a message to a topic for commands; one of four is good in itself."""
    good = chance.randrange(4) == 0
    match chance.randrange(10):
        case 0 | 1:
            return f"{node}/armed/set", chance.choice((b"ON", b"OFF")) if good else payload(chance)
        case 2 | 3 | 4 | 5 | 6:
            return f"{node}/labels/set", chance.choice(GOOD).encode() if good else payload(chance)
    source, id_ = _often_good(chance, SOURCES, 2), _often_good(chance, LABELS, 4)
    number = f"{chance.random():.3f}".encode() if good else payload(chance)
    return f"{node}/{source}/threshold/{id_}/set", number


def _often_good(chance, names, good):
    return chance.choice(names[:good] if chance.random() < 0.8 else names)


def request(chance):
    """Return the bytes of a request to the control socket."""
    command = chance.choice(('"status"', '"reload"', '"watch"', value(chance)))
    text = chance.choice(
        (
            f'{{"command":{command}}}',
            f'{{"command":{command},"x":{value(chance)}}}',
            mapping(chance),
            deep(chance),
        )
    )
    content = text.encode("utf-8", "surrogatepass")
    if chance.random() < 0.3:
        content = spoilt(chance, content)
    return content.replace(b"\n", b"") + b"\n" * chance.randrange(2)


def overrides(chance):
    """Return the content of a file of changes made at run time."""
    labels = ",".join(
        f"{json.dumps(_often_good(chance, LABELS, 4))}:{chance.choice((value, label, label))(chance)}"
        for _ in range(chance.randrange(4))
    )
    thresholds = ",".join(
        '"porch":{"dog":0.5}'
        if chance.random() < 0.5
        else f"{json.dumps(chance.choice(SOURCES))}:{{{json.dumps(chance.choice(LABELS))}:{value(chance)}}}"
        for _ in range(chance.randrange(3))
    )
    armed = chance.choice(("true", "false", "true", "false", value(chance)))
    text = f'{{"armed":{armed},"labels":{{{labels}}},"thresholds":{{{thresholds}}}}}'
    text = chance.choice((text, text, text, value(chance), deep(chance)))
    content = text.encode("utf-8", "surrogatepass")
    return spoilt(chance, content) if chance.random() < 0.3 else content


_SECTIONS = (
    "node",
    "labels",
    "sources",
    "mqtt",
    "web",
    "clips",
    "window",
    "hooks",
    "notify",
    "state",
    "background",
)


def configuration(chance):
    """Return the content of a configuration: the example with a fault, or sections of nonsense."""
    if chance.random() < 0.5:
        return spoilt(chance, example().encode())
    lines = [f"{chance.choice(_SECTIONS)}: {value(chance)}" for _ in range(chance.randrange(1, 4))]
    if chance.random() < 0.3:
        lines.append(f"labels: [{label(chance)}]")
    content = "\n".join(lines).encode("utf-8", "surrogatepass")
    return spoilt(chance, content) if chance.random() < 0.3 else content
