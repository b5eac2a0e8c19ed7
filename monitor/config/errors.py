"""Configuration errors: the findings of pydantic in plain words.

Values of keys that may hold a secret are never repeated, nor is text in place of a section.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from monitor.config.validators import ID, PATTERNS, Place, slug
from monitor.config.yaml_reader import Node, scalar
from monitor.system.boundary import printable

_WIDTH = 60
_NOT_REPEATED = ("password_file", "password_env", "url_file", "url_env", "notify", "url", "username")
_KINDS = {
    "string_type": "text",
    "path_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "a mapping",
}

_WORDS = {
    # pydantic gives no exact location for a key: it may be at the root, or one level deeper.
    "string_unicode": "contains text, or a key, that is not valid Unicode; write the characters themselves",
    "invalid_key": "is a key that is not text; put it in quotes",
}


_RENAMED = {
    "speech_guard": "speech_filter",
    "keep_misses_days": "keep_near_misses_days",
    "pictures": "video",
    "limit_seconds": "timeout_seconds",
    "at_once": "max_parallel",
}
"""Keys from before 0.1.0."""


def explain(error: ValidationError, model: type[BaseModel], root: Node) -> Iterator[tuple[int, Place, str]]:
    """Line, location and message of every error in a document, by the findings of its model."""
    found = error.errors()
    for each in found:
        place = each["loc"]
        if each["type"] == "too_short" and any(_is_inside(other["loc"], place) for other in found):
            continue  # pydantic counts the valid entries only
        line, node = root.find(place)
        yield line, place, _message(each, model, node)


def key_path(place: Place) -> str:
    """Location in the usual notation: ``labels[2].threshold``."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{_shortened(step)}" for step in place)
    return path.removeprefix(".")


def _message(each: ErrorDetails, model: type[BaseModel], node: Node | None) -> str:
    kind, place = each["type"], each["loc"]
    if kind == "plain":
        return printable(each["msg"])
    if kind == "missing":
        return f"is missing: {_description(model, place)}"
    if kind == "extra_forbidden":
        return _unknown(model, place)
    if kind in _WORDS or each["input"] is None:
        return _WORDS.get(kind, "has no value; write one, or remove the key")
    shown = _shown(node, each["input"], place)
    if kind in _KINDS:
        return _wrong_kind(each, shown, model, node)
    return _wrong_value(each, shown, _field(model, place))


def _wrong_value(each: ErrorDetails, shown: str, field: FieldInfo | None) -> str:
    limits, value = each.get("ctx", {}), each["input"]
    match each["type"]:
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal" if field is not None:
            return f"{shown} is not in {_range(field)}"
        case "literal_error" if field is not None:
            return _not_a_choice(value, shown, field)
        case "string_pattern_mismatch":
            return f"{shown} is not {PATTERNS[limits['pattern']]}{_suggested_id(each)}"
        case "too_short":
            words = "is empty; give at least one"
        case "string_too_short":
            words = "is empty; write something, or remove the key"
        case "too_long":
            words = f"has {limits['actual_length']} entries; the maximum is {limits['max_length']}"
        case "string_too_long":
            words = f"is {len(value)} characters long; the maximum is {limits['max_length']}"
        case "finite_number":
            words = f"{shown} is not a finite number"
        case _:
            words = f"{shown} cannot be used: {each['msg']}"
    return words


def _wrong_kind(each: ErrorDetails, shown: str, model: type[BaseModel], node: Node | None) -> str:
    wished, value = _KINDS[each["type"]], each["input"]
    if wished == "a mapping":
        keys = ", ".join(_fields(model, each["loc"]))
        return f"is {_kind_of(value)}, not a mapping with the keys {keys}"
    if wished == "text" and isinstance(value, dict):
        return "is a mapping, not text; put text that contains a colon in quotes"
    if wished == "text" and not isinstance(value, list) and node is not None:
        written = "" if _is_secret(each["loc"]) else f': "{_shortened(node.text or "")}"'
        return f"{shown} is {_kind_of(value)}, not text; put it in quotes{written}"
    if wished == "a list" and isinstance(value, str):
        again = "" if _is_secret(each["loc"]) else f"[{shown}], or "
        return f"{shown} is text, not a list; write {again}one per line after a dash (-)"
    if node is not None and node.quoted and not isinstance(scalar(node.text or ""), str):
        return f"{shown} is text, not {wished}; remove the quotes"
    return f"{shown} is not {wished}{_with_a_point(value) if wished == 'a number' else ''}"


def _with_a_point(value: object) -> str:
    """Hint for a number that is written with a decimal comma."""
    decimal = re.fullmatch(r"\s*([-+]?[0-9]+),([0-9]+)\s*", value) if isinstance(value, str) else None
    return f"; write {decimal[1]}.{decimal[2]}" if decimal else ""


def _shown(node: Node | None, value: object, place: Place) -> str:
    if _is_secret(place):
        return "the value"
    if isinstance(value, str):
        return f'"{_shortened(value)}"'
    if isinstance(value, list | tuple | dict):
        return _kind_of(value)
    return _shortened(str(value) if node is None or node.text is None else node.text)


def _is_secret(place: Place) -> bool:
    return bool(place) and place[-1] in _NOT_REPEATED


def _shortened(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= _WIDTH else f"{shown[: _WIDTH - 3]}..."


def _kind_of(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "text" if isinstance(value, str) else "a list" if isinstance(value, list | tuple) else "a mapping"


def _range(field: FieldInfo) -> str:
    limits = {
        name: getattr(each, name)
        for each in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if hasattr(each, name)
    }
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    return f"{'[' if 'ge' in limits else '('}{low}, {high}{']' if 'le' in limits else ')'}"


def _not_a_choice(value: object, shown: str, field: FieldInfo) -> str:
    choices = list(_choices(field.annotation))
    close = difflib.get_close_matches(str(value).lower(), choices, 1)
    return f"{shown} is not one of {', '.join(choices)}" + (f"; did you mean {close[0]}?" if close else "")


def _choices(annotation: Any) -> Iterator[str]:
    for each in get_args(annotation):
        yield from [str(each)] if isinstance(each, str | int) else _choices(each)


def _suggested_id(each: ErrorDetails) -> str:
    wished = slug(each["input"]) if each["ctx"]["pattern"] == ID else ""
    return f"; write {wished}" if wished else ""


def _unknown(model: type[BaseModel], place: Place) -> str:
    """Message for an unknown key, with the key that was probably meant."""
    key = str(place[-1]) if place else ""
    siblings = _fields(model, place[:-1])
    if key.lower().startswith("pass") or "password" in key.lower():
        section = key_path(place[:-1]) if "password_file" in siblings else "mqtt"
        return (
            f"a password is never written here; put it in a file and name that as {section}.password_file, "
            f"or in an environment variable and name that as {section}.password_env"
        )
    if key.lower().startswith("url") and "url_file" in siblings:
        return "a URL is never written here; put it in a file and name that as url_file"
    close = [_RENAMED[key]] if key in _RENAMED else difflib.get_close_matches(key.lower(), siblings, 1)
    if close and close[0] in siblings:
        return f"unknown key; did you mean {close[0]}?"
    for section in model.model_fields:
        if key in _fields(model, (section,)) and place != (section, key):
            return f"unknown key; it belongs in {section}"
    return f"unknown key; the keys here are {', '.join(siblings)}"


def _description(model: type[BaseModel], place: Place) -> str:
    field = _field(model, place)
    description = (field.description if field is not None else None) or "it is required"
    return (description[0].lower() + description[1:]).rstrip(".")


def _field(model: type[BaseModel], place: Place) -> FieldInfo | None:
    """Definition of the key at ``place``, or of the list that contains it; None if there is none."""
    names = [step for step in place if isinstance(step, str)]
    if not names:
        return None
    section = _section(model, names[:-1])
    return None if section is None else section.model_fields.get(names[-1])


def _fields(model: type[BaseModel], place: Place) -> list[str]:
    """Keys of the mapping at ``place``; empty if there is no mapping."""
    section = _section(model, [step for step in place if isinstance(step, str)])
    return [] if section is None else list(section.model_fields)


def _section(model: type[BaseModel], names: list[str]) -> type[BaseModel] | None:
    """Model of the mapping below these keys; None if there is none."""
    for name in names:
        inner = _model_in(model.model_fields[name].annotation) if name in model.model_fields else None
        if inner is None:
            return None
        model = inner
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each))), None)


def _is_inside(place: Place, other: Place) -> bool:
    return len(place) > len(other) and place[: len(other)] == other
