"""Step `phrases`: everything the text tower reads, with its sentence embedding.

Two kinds: the names of sounds, which both towers learn, and general English (WordNet's
words in sentences about sounds, its glosses and examples), which teaches the text tower the
words nobody listed.
"""

from __future__ import annotations

import csv
import gzip
import json
import logging
import random
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from training.minilm import embed
from training.places import Places
from training.sounds import Sound, find_sounds, sentences
from training.wordnet import english

LOG = logging.getLogger(__name__)
QUESTIONS = Path(__file__).with_name("questions.toml")
SHORTEST, LONGEST = 3, 90
"""Characters of a phrase."""

PAIRS = ("{} and {}", "{} while {}", "{}, {}", "{} with {} in the background")
SCENES = 60_000
PAIRED = 15_000


def phrases(places: Places) -> None:
    """Collect and embed; what is there already stays."""
    places.phrases.mkdir(parents=True, exist_ok=True)
    target = places.phrases / "embeddings.npy"
    if target.exists():
        return
    classes, labels = find_sounds(places.class_map)
    named = sound_phrases([*classes, *labels], _captions(places))
    general = english(places.wordnet, random.Random(0), SCENES)
    asked = questions()
    everything = clean([*(p for group in named for p in group), *general, *_pairs(labels)])
    kept = sorted(everything - {p for p in asked if p not in plain_questions()} | asked)
    LOG.info("%d phrases", len(kept))
    place = {phrase: i for i, phrase in enumerate(kept)}
    groups = [sorted({place[p] for p in clean(group) if p in place}) for group in named]
    (places.phrases / "phrases.json").write_text(json.dumps(kept))
    (places.phrases / "sounds.json").write_text(json.dumps(groups))
    held_out = sorted(place[p] for p in asked if p not in plain_questions())
    (places.phrases / "held_out.json").write_text(json.dumps(held_out))
    np.save(target, embed(kept))


def questions() -> set[str]:
    """Every sentence the report or the tuning asks."""
    table = tomllib.loads(QUESTIONS.read_text())
    several = [*table["paraphrases"].values(), *table["tuning"].values()]
    return plain_questions() | {p for group in several for p in group} | set(table["unseen"])


def plain_questions() -> set[str]:
    """The ten plain sentences, the only questions that may be trained on."""
    return set(tomllib.loads(QUESTIONS.read_text())["plain"].values())


def sound_phrases(sounds: Iterable[Sound], captions: dict[str, set[str]]) -> list[list[str]]:
    """All sentences for each sound; questions that are held out are not among them."""
    held_out = questions() - plain_questions()
    return [
        [
            sentence
            for phrase in (*sound.phrases, *sorted(captions.get(sound.name, ())))
            for sentence in sentences(phrase)
            if sentence not in held_out
        ]
        for sound in sounds
    ]


def clean(wanted: Iterable[str]) -> set[str]:
    """Lower case, without double spaces; neither letters alone nor novels."""
    tidy = (re.sub(r"\s+", " ", phrase).strip().lower() for phrase in wanted)
    return {phrase for phrase in tidy if SHORTEST <= len(phrase) < LONGEST}


def _captions(places: Places) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    with gzip.open(places.manifest, "rt") as file:
        for row in csv.DictReader(file):
            if row["label"] and row["caption"] and not row["caption"].startswith("("):
                found.setdefault(row["label"], set()).add(row["caption"].lower())
    return found


def _pairs(labels: list[Sound]) -> Iterator[str]:
    draw = random.Random(1)
    for _ in range(PAIRED):
        first, second = draw.sample(labels, 2)
        yield draw.choice(PAIRS).format(draw.choice(first.phrases), draw.choice(second.phrases))
