"""Validators of single values, beyond type and range, and of lists with unique items."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from monitor.config.alarm_target import target_text
from monitor.config.authority import Authority
from monitor.config.hours import parse_hours

ID = r"^[a-z0-9][a-z0-9_-]{0,31}$"
DEVICE = r"^(auto|cpu|cuda|cuda:[0-9]{1,2}|mps)$"
ENVIRONMENT = r"^[A-Za-z_][A-Za-z0-9_]*$"
ICON = r"^mdi:[a-z0-9-]{1,60}$"
USER = r"^[^:]*$"
URL = r"^https?://[^\s/]+(/\S*)?$"

PATTERNS: dict[str, str] = {
    ID: "an identifier of 1 to 32 letters a-z, digits, _ and -, the first a letter or a digit",
    DEVICE: "one of auto, cpu, cuda, cuda:0, mps",
    ENVIRONMENT: "the name of an environment variable",
    ICON: "an icon of Material Design such as mdi:kettle",
    USER: "a user without a colon; a password is named by password_file",
    URL: "a URL that begins with http:// or https://",
}
"""Description of each pattern, for error messages."""

Place = tuple[str | int, ...]
"""Location of a value: keys and list indices from the root."""


def fault(text: str) -> PydanticCustomError:
    """Validation error whose text is shown to the user as it is."""
    return PydanticCustomError("plain", "{text}", {"text": text})


def one_line(text: str) -> str:
    """Text with each run of white space replaced by one space."""
    return " ".join(text.split())


def check_words(text: str) -> str:
    """Put a text on one line; refuse control characters, which may control a terminal."""
    line = one_line(text)
    if _has_control_characters(line):
        raise fault("contains a control character; write words")
    return line


def slug(text: str) -> str:
    """Identifier of at most 32 characters derived from a text; empty if no character is suitable."""
    plain = unicodedata.normalize("NFKD", text.lower())
    letters = "".join(character for character in plain if not unicodedata.combining(character))
    return re.sub(r"[^a-z0-9]+", "_", letters).strip("_")[:32].strip("_")


def check_whole(value: object) -> object:
    """Refuse values that Python considers equal to a whole number: ``true`` equals 1."""
    if value is not None and type(value) is not int:
        raise PydanticCustomError("literal_error", "not a whole number")
    return value


def check_version(value: object) -> object:
    """Convert a version that YAML reads as a number, 5 or 5.0, to text."""
    return f"{value:g}" if type(value) in {int, float} else value


def check_host(host: str) -> str:
    """Refuse URLs, ports and secrets in the host name of the broker."""
    if "@" in host:
        raise fault(  # the value is not repeated: it may hold a password
            "contains more than the broker's name; write the user as username, "
            "and the password in the file named by password_file"
        )
    if "://" in host or "/" in host:
        raise fault(f'"{host}" is a URL; write only the host name here, and use the keys tls and port')
    if ":" in host and not Authority(host).is_address:
        raise fault(f'"{host}" contains a colon; use the key port for the port')
    if not host or any(character.isspace() or not character.isprintable() for character in host):
        raise fault(f'"{host}" is not the name or the IP address of a broker')
    return host


def check_base_topic(topic: str) -> str:
    """Refuse topics that MQTT does not allow, and characters that are not visible."""
    if not topic:
        raise fault('is empty; the default is "clap-monitor"')
    if any(character in topic for character in "+#"):
        raise fault(f'"{topic}" contains a wildcard; a topic to publish to has no + and no #')
    if _has_control_characters(topic):
        raise fault("contains a control character; use letters, digits, / and -")
    if not topic.isprintable():
        unseen = next(character for character in topic if not character.isprintable())
        raise fault(f"contains an invisible character (U+{ord(unseen):04X}); use letters, digits, / and -")
    if topic.startswith("/") or topic.endswith("/") or "//" in topic:
        raise fault(f'"{topic}" has an empty level; it must not start or end with /, or contain //')
    if topic.startswith("$"):
        raise fault(f'"{topic}" starts with $, which is reserved for the broker')
    return topic


def _has_control_characters(text: str) -> bool:
    return any(unicodedata.category(character) == "Cc" for character in text)


def check_path(path: Path) -> Path:
    """Path with ``~`` expanded to the home directory."""
    text = str(path)
    # Any other character is allowed in a path: a no-break space, bytes that are not UTF-8.
    if _has_control_characters(text):
        raise fault("contains a control character; write the path of a file or a directory")
    if re.match(r"[a-z]+:/", text):
        raise fault(f'"{text}" is a URL; write the path of a file')
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise fault(
            f'"{text}" starts with ~, but the home directory is unknown; write the full path'
        ) from error


def check_present(path: object) -> object:
    """Refuse an empty path, which would silently mean the working directory."""
    if path == "":
        raise fault('is empty; write a path, or "." for the working directory')
    return path


def check_hours(text: str) -> str:
    """Times of day in their normal form, as `parse_hours` reads them."""
    try:
        return str(parse_hours(text))
    except ValueError as error:
        raise fault(f'"{text[:30]}" {error}') from error


def check_target(text: str) -> str:
    """Return a rate of false alarms in its normal form, as `parse_target` reads it."""
    try:
        return target_text(text)
    except ValueError as error:
        raise fault(f'"{text[:30]}" {error}') from error


def check_sound_card(device: object) -> object:
    """Refuse anything but the name or the index of a sound card, with one error instead of one per type."""
    if isinstance(device, bool) or not isinstance(device, str | int | None):
        raise fault("is neither part of a device name nor an index; see `clap-monitor devices`")
    if isinstance(device, int) and device < 0:
        raise fault(f"{device} is not the index of a device; see `clap-monitor devices`")
    if isinstance(device, str) and not device.strip():
        raise fault("is empty; remove the key to use the system's default device")
    return device


def check_secret(value: Any, others: ValidationInfo) -> Any:
    """Refuse the variable of a secret, such as ``token_env``, beside its file, ``token_file``."""
    file = f"{others.field_name}".replace("_env", "_file")
    if value is not None and others.data.get(file) is not None:
        raise fault(f"cannot be combined with {file}; keep one of the two")
    return value


def check_password(value: Any, others: ValidationInfo) -> Any:
    """Refuse a password without a user name, and a second password."""
    if value is not None and others.data.get("username", "") is None:
        raise fault("needs username")
    return check_secret(value, others)


def repeated(items: object, key: str, what: str) -> Iterable[tuple[Place, str]]:
    """Errors of items whose ``key`` an earlier item has, also among invalid items."""
    first: dict[str, int] = {}
    for index, item in enumerate(_items(items)):
        value = _part(item, key)
        if isinstance(value, str) and first.setdefault(value, index) != index:
            yield (
                (index, key),
                f'"{value[:60]}" is already the {key} of {what}[{first[value]}]; choose another',
            )


def readers_of_standard_input(sources: object) -> Iterable[tuple[Place, str]]:
    """Errors of all pcm sources but the first: there is one standard input."""
    first: int | None = None
    for index, source in enumerate(_items(sources)):
        kind = _part(source, "kind")
        if kind == "pcm" and first is None:
            first = index
        elif kind == "pcm":
            yield (index, "kind"), f"sources[{first}] already reads standard input; only one source can"


def check_discovery(value: object) -> object:
    """Refuse what is neither on, off nor a summary, in one error instead of one for each."""
    if not isinstance(value, bool) and value != "summary":
        raise fault("must be true, false or summary")
    return value


def check_node(name: str) -> str:
    """Refuse the name of a node that is a topic of all nodes."""
    if name == "fleet":
        raise fault("is the topic of what all monitors have in common; use another name")
    return name


def unknown_labels_of_sources(config: object, usual: Iterable[str]) -> Iterable[tuple[Place, str]]:
    """Errors of sources that name labels that do not exist; ``usual`` are the ids of the default labels."""
    keys = config if isinstance(config, dict) else {}
    labels = keys.get("labels")
    ids = usual if labels is None else (_part(label, "id") for label in _items(labels))
    for place, text in unknown_labels(keys.get("sources"), [each for each in ids if isinstance(each, str)]):
        yield ("sources", *place), text


def unknown_labels(items: object, known: Sequence[str]) -> Iterable[tuple[Place, str]]:
    """Errors of items whose ``labels`` contain an id that is not known."""
    for index, item in enumerate(_items(items)):
        for place, label in enumerate(_items(_part(item, "labels"))):
            if isinstance(label, str) and label not in known:
                close = difflib.get_close_matches(label, known, 1)
                hint = f"; did you mean {close[0]}?" if close else ""
                yield (index, "labels", place), f'"{label[:60]}" is not the id of a label{hint}'


def _items(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else ()


def _part(item: object, key: str) -> object:
    return item.get(key) if isinstance(item, dict) else getattr(item, key, None)


def with_faults(value: object, validate: Callable[[Any], Any], found: Iterable[tuple[Place, str]]) -> Any:
    """Validate ``value``; report the errors inside items together with those found between items."""
    faults = [InitErrorDetails(type=fault(text), loc=place, input=None) for place, text in found]
    try:
        validated = validate(value)
    except ValidationError as error:
        faults.extend(
            InitErrorDetails(
                type=PydanticCustomError(
                    each["type"], "{message}", {"message": each["msg"], **each.get("ctx", {})}
                ),
                loc=each["loc"],
                input=each["input"],
            )
            for each in error.errors()
        )
    if faults:
        raise ValidationError.from_exception_data("configuration", faults, hide_input=True)
    return validated
