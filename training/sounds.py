"""Words for sounds: labels, AudioSet classes, and the sentences made of them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from training.yamnet import class_names

TABLE = Path(__file__).with_name("sounds.toml")
EVERYDAY = Path(__file__).with_name("everyday.toml")

TEMPLATES = (
    "{}",
    "the sound of {}",
    "sound of {}",
    "a recording of {}",
    "{} can be heard",
    "this is {}",
    "{} in the background",
    "i hear {}",
    "{} sound",
    "{} nearby",
    "{} outside",
    "loud {}",
    "{} in the distance",
    "faint {}",
)


@dataclass(frozen=True)
class Sound:
    """Something that can be heard and asked for.

    ``classes`` are rows of the teacher's scores whose presence speaks for the sound.
    """

    name: str
    phrases: tuple[str, ...]
    classes: tuple[int, ...]


def find_sounds(class_map: Path) -> tuple[list[Sound], list[Sound]]:
    """The 521 classes of the audio teacher, in its order, and our labels."""
    names = class_names(class_map)
    classes = [Sound(name, class_phrases(name), (i,)) for i, name in enumerate(names)]
    index = {name: i for i, name in enumerate(names)}
    table = tomllib.loads(TABLE.read_text())
    labels = [
        Sound(
            name,
            tuple(entry["phrases"]),
            tuple(index[c] for c in entry["classes"] if c in index),
        )
        for name, entry in table.items()
    ]
    return classes, labels


def find_everyday(class_map: Path) -> list[Sound]:
    """What people ask for at home, in their own words; ``classes`` are those that decide."""
    index = {name: i for i, name in enumerate(class_names(class_map))}
    return [
        Sound(name, tuple(entry["sentences"]), tuple(index[c] for c in entry["classes"]))
        for name, entry in tomllib.loads(EVERYDAY.read_text()).items()
    ]


def class_phrases(name: str) -> tuple[str, ...]:
    """Plain phrases from an AudioSet display name.

    >>> class_phrases("Crowing, cock-a-doodle-doo")
    ('crowing, cock-a-doodle-doo', 'crowing', 'cock-a-doodle-doo')
    """
    whole = re.sub(r"\s*\(.*?\)", "", name).lower()
    parts = [part.strip() for part in whole.split(",")]
    parts = [part for part in parts if part not in ("", "etc.")]
    return (whole, *parts) if len(parts) > 1 else (whole,)


def sentences(phrase: str) -> list[str]:
    """The phrase in every template, lower case."""
    return [template.format(phrase).lower() for template in TEMPLATES]
