"""YAML reader: plain data, with the line of every key and value.

The tree is built from the parser's events, not with ``yaml.compose``.  That raises `RecursionError` on deep
nesting, accepts an alias within its own anchor, gives an alias the line of its anchor, and does not show
whether a tag was written; here depth and size are bounded before anything is built.  Scalars mean what they
look like: YAML 1.1 reads ``12:30`` and ``010`` as numbers, and ``1e-3`` as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

MAX_BYTES = 256 * 1024
_MAX_DEPTH = 20
_MAX_DIGITS = 18  # of a whole number; with more, it is text
_TOO_DEEP = f"nested more than {_MAX_DEPTH} levels deep"
_MAX_NODES = 50_000  # with aliases expanded: a few lines of aliases can mean billions of values

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_SPECIAL: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null"), None),
    **dict.fromkeys(("true", "yes", "on"), True),
    **dict.fromkeys(("false", "no", "off"), False),
    **dict.fromkeys((".inf", "+.inf"), float("inf")),
    "-.inf": float("-inf"),
    ".nan": float("nan"),
}
_TAG = "a tag (!) is not allowed here; put text that starts with ! in quotes"
_PROBLEMS = {
    "cannot start any token": "a character that is not allowed here (a tab, @, ` or %): indent with spaces, "
    "and put text in quotes",
    "mapping values are not allowed": "a colon that is not allowed here: indent like the lines above, "
    "and put text that contains a colon in quotes",
    "could not find expected ':'": "a key without a colon and a space after it",
    "expected <block end>": "this line is not indented like the lines it belongs to",
    "expected ',' or": "a list or mapping in brackets is not closed, or a comma is missing",
    "unexpected end of stream": "a quote is opened and never closed",
    "unknown escape character": "in \"double quotes\" write a backslash twice; or use 'single quotes'",
    "expected the node content": "a value is missing",
    "expected '<document start>'": "text that does not belong to anything above it",
    "alphabetic or numeric character": "a & or * without a name; put text that starts with & or * in quotes",
    "undefined tag handle": _TAG,
}
_BEGINS_EARLIER = ("could not find expected ':'", "expected ',' or", "unexpected end of stream")
"""Problems that the parser finds long after the line where they begin."""

Value = None | bool | int | float | str
Data = Value | list["Data"] | dict[str, "Data"]


@dataclass(slots=True)
class Node:
    """A value of the document, with its line."""

    line: int
    """Line on which the value starts, counted from 1."""
    value: Value = None
    text: str | None = None
    """Text of a scalar, without quotes; None for a list or a mapping."""
    quoted: bool = False
    items: list[Node] | None = None
    keys: dict[str, tuple[int, Node]] | None = None
    """Line of each key, and the value."""

    def plain(self, depth: int = 0) -> Data:
        """Nested lists and dictionaries; raises YamlError if aliases nest too deeply."""
        if depth > _MAX_DEPTH:
            raise YamlError(self.line, _TOO_DEEP)
        if self.items is not None:
            return [item.plain(depth + 1) for item in self.items]
        if self.keys is not None:
            return {key: node.plain(depth + 1) for key, (_, node) in self.keys.items()}
        return self.value

    def find(self, place: tuple[str | int, ...]) -> tuple[int, Node | None]:
        """Line of the value at ``place``, and the value; for a missing value its parent's line and None."""
        node, line = self, self.line
        for step in place:
            if node.keys is not None and step in node.keys:
                line, node = node.keys[str(step)]
            elif node.items is not None and isinstance(step, int) and step < len(node.items):
                node = node.items[step]
                line = node.line
            else:
                return line, None
        return line, node


class YamlError(ValueError):
    """The text is not usable YAML."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(slots=True)
class Document:
    """A YAML document."""

    root: Node
    data: Data = None
    """Nested lists and dictionaries; an empty dictionary for an empty document."""
    duplicates: list[tuple[int, tuple[str | int, ...], str]] = field(default_factory=list)
    """Line, location and message of every duplicate key."""
    cut: list[tuple[int, tuple[str | int, ...], str]] = field(default_factory=list)
    """Line, location and message of every value in braces that its own comma splits."""


def parse(text: str) -> Document:
    """Read one YAML document; an empty document is an empty mapping.

    Raises
    ------
    YamlError
        At the first error after which the rest cannot be parsed.
    """
    try:
        document = _Reader(yaml.parse(text, Loader=yaml.SafeLoader)).document()
        document.data = document.root.plain()
    except yaml.MarkedYAMLError as error:
        problem = error.problem or ""
        earlier = any(part in problem for part in _BEGINS_EARLIER)
        mark = (earlier and error.context_mark) or error.problem_mark
        raise YamlError(mark.line + 1 if mark else 1, _in_words(problem)) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(line, "a character that YAML does not allow; retype the line") from error
    return document


def _in_words(problem: str) -> str:
    for part, words in _PROBLEMS.items():
        if part in problem:
            return words
    return problem or "the text ends too early"


class _Reader:
    """Builds the tree from the events of the parser."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._nodes = 0
        self._document = Document(Node(1, keys={}))

    def document(self) -> Document:
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.DocumentStartEvent):
            root = self._node(next(self._events), ())
            if root.text is None or root.value is not None:
                self._document.root = root
            next(self._events)  # the end of the document
            another = next(self._events)
            if isinstance(another, yaml.DocumentStartEvent):
                raise YamlError(_line(another), "a second document begins (---); keep one")
        return self._document

    def _node(self, event: yaml.Event, place: tuple[str | int, ...]) -> Node:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            raise YamlError(line, _PROBLEMS["expected the node content"])
        before = self._nodes
        self._count(1, line)
        if event.tag is not None:
            raise YamlError(line, _TAG)
        if len(place) > _MAX_DEPTH:
            raise YamlError(line, _TOO_DEEP)
        if isinstance(event, yaml.ScalarEvent):
            _refuse_surrogates(event.value, line)
            quoted = not event.implicit[0]
            node = Node(line, event.value if quoted else scalar(event.value), event.value, quoted)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(line, items=list(self._items(place)))
        else:
            node = Node(line, keys=self._keys(place, in_braces=bool(event.flow_style)))
        if event.anchor is not None:
            self._anchors[event.anchor] = node, self._nodes - before
        return node

    def _items(self, place: tuple[str | int, ...]) -> Iterator[Node]:
        index = 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, (*place, index))
            index += 1

    def _keys(self, place: tuple[str | int, ...], *, in_braces: bool) -> dict[str, tuple[int, Node]]:
        keys: dict[str, tuple[int, Node]] = {}
        cut: str | None = None
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise YamlError(
                    line, "a key must be a word; put text that starts with {, [, * or ? in quotes"
                )
            _refuse_surrogates(event.value, line)
            if event.value == "<<" and event.implicit[0]:
                raise YamlError(line, "merge keys (<<) are not supported; write the keys out")
            value = next(self._events)
            node = self._node(value, (*place, event.value))
            before = next(reversed(keys), None) if in_braces and _is_nothing(value) else None
            if before is not None and keys[before][1].text and not keys[before][1].quoted:
                if cut != before:  # one message is enough for several commas in a value
                    cut = before
                    words = _cut_by_comma(keys[before][1].text or "", event.value)
                    self._document.cut.append((line, (*place, before), words))
            elif event.value in keys:
                first = keys[event.value][0]
                self._document.duplicates.append(
                    (line, (*place, event.value), f"is a duplicate of line {first}; keep one")
                )
            else:
                keys[event.value] = line, node
        return keys

    def _alias(self, event: yaml.AliasEvent) -> Node:
        line = _line(event)
        if event.anchor not in self._anchors:
            raise YamlError(
                line, "the alias (*) has no anchor (&) above it; put text that starts with * in quotes"
            )
        node, size = self._anchors[event.anchor]
        self._count(size, line)
        return node

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > _MAX_NODES:
            raise YamlError(line, f"more than {_MAX_NODES} values, with aliases expanded")


def scalar(text: str) -> Value:
    """Value of an unquoted scalar: null, a boolean, a number, or else text."""
    special = text.lower()
    if special in _SPECIAL:
        return _SPECIAL[special]
    if _INTEGER.fullmatch(text) and len(text) <= _MAX_DIGITS:
        return int(text)
    if _NUMBER.fullmatch(text) and not re.match(r"[-+]?0[0-9]", text):
        return float(text)
    return text


def _is_nothing(event: yaml.Event) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.implicit[0] and not event.value


def _cut_by_comma(value: str, rest: str) -> str:
    """Message for a value in braces that its own comma splits; it does not repeat what may be a secret."""
    if re.fullmatch(r"[-+]?[0-9]+", value) and rest.isdecimal():
        return f"is split by a comma; write {value}.{rest}"
    return "is split by its comma; put the whole text in quotes"


def _refuse_surrogates(text: str, line: int) -> None:
    r"""Refuse lone surrogates, from an escape such as ``"\ud83d"``: they cannot be printed or sent."""
    if not text.isascii() and re.search("[\ud800-\udfff]", text):
        raise YamlError(line, "an escape (\\u) that is not a character; write the character itself")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1
