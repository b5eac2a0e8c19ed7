"""English for the text tower: WordNet's words for things and doings that make sounds.

Format of the data files: wndb(5WN).  Only some of WordNet's lexicographer files are used;
a trial with words of every kind spent the tower's few word pieces on abstractions.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

THINGS = {"05", "06", "11", "17", "19"}
"""Animals, artefacts, events, natural objects, phenomena."""

COMMON_THINGS = {"04", "08", "13", "18", "20", "27"}
"""Acts, body, food, people, plants, substances: only words of the tagged corpus."""

DOINGS = {"29", "30", "32", "33", "34", "35", "36", "38", "39", "43"}
"""Verbs of body, change, communication, competition, consumption, contact, creation,
motion, perception, weather."""

QUALITIES = {"00", "01"}
"""Adjectives: only words of the tagged corpus."""

TOLD = 2
"""Scenes told with -s forms and adjectives for each that has a thing and a doing only."""

NOUN_TEMPLATES = (
    "{}",
    "a {}",
    "the sound of a {}",
    "{} sound",
    "the {} outside",
    "{} noises",
    "a {} in the room",
    "a loud {}",
    "i hear a {}",
    "a {} nearby",
    "a {} makes a noise",
    "an old {}",
    "a small {}",
    "the neighbour's {}",
)
VERB_TEMPLATES = (
    "{}",
    "someone {}",
    "a person {}",
    "a man {}",
    "a woman {}",
    "a child {}",
    "an animal {}",
    "a machine {}",
    "something {}",
    "{} loudly",
    "the sound of {}",
)
SCENE_TEMPLATES = (
    "a {} {}",
    "the {} is {}",
    "a {} {} outside",
    "{} {}",
    "a {} {} loudly",
    "sound of a {} {}",
    "a {} is {} in the house",
)
TOLD_TEMPLATES = (
    "a {noun} {tells}",
    "the {noun} {tells}",
    "{nouns} {verb}",
    "{adjective} {nouns} {verb}",
    "a {adjective} {noun}",
    "a {adjective} {noun} {tells}",
    "the {adjective} {noun} is {verbing}",
    "a {noun} {tells} in the {place}",
    "a {noun} {verbing} on a {place}",
    "the {noun} of a {place}",
    "a {noun} {tells} a {place}",
    "{nouns} {verbing} at the {place}",
    "someone {tells} the {adjective} {noun}",
    "{verbing} a {noun} with a {place}",
    "the {place} and its {adjective} {noun}",
)
"""As people tell what they hear: with gerunds alone, "a newborn yells" stayed strange to the tower."""

LONGEST_GLOSS = 12
"""Words of a definition or an example that are kept."""


@dataclass(frozen=True)
class Synset:
    """A meaning: its words, those of them that are common, and what the dictionary says."""

    words: tuple[str, ...]
    common: tuple[str, ...]
    sayings: tuple[str, ...]


def read_synsets(folder: Path, kind: str, files: set[str]) -> list[Synset]:
    """Meanings of ``kind`` (noun, verb or adj) out of some lexicographer files."""
    common = _common_words(folder / f"index.{kind}")
    synsets = []
    for line in (folder / f"data.{kind}").read_text().splitlines():
        fields = line.split(" ")
        if line.startswith(" ") or fields[1] not in files:
            continue
        count = int(fields[3], 16)
        words = tuple(word.replace("_", " ").lower() for word in fields[4 : 4 + 2 * count : 2])
        words = tuple(word for word in words if re.fullmatch("[a-z ]+", word))
        known = tuple(word for word in words if word in common)
        synsets.append(Synset(words, known, tuple(_sayings(line.partition("|")[2]))))
    return synsets


def english(folder: Path, draw: random.Random, scenes: int) -> Iterator[str]:
    """Words in sentences about sounds, scenes of a thing and a doing, and sayings."""
    things = read_synsets(folder, "noun", THINGS)
    things += [s for s in read_synsets(folder, "noun", COMMON_THINGS) if s.common]
    doings = read_synsets(folder, "verb", DOINGS)
    for synset in things:
        for word in synset.words:
            yield from (t.format(word) for t in draw.sample(NOUN_TEMPLATES, 4 if synset.common else 1))
    for synset in doings:
        for word in synset.words:
            form = gerund(word)
            yield from (t.format(form) for t in draw.sample(VERB_TEMPLATES, 4 if synset.common else 1))
    for synset in (*things, *doings):
        yield from synset.sayings[: 3 if synset.common else 1]
    nouns = [word for synset in things if synset.common for word in synset.words]
    verbs = [word for synset in doings if synset.common for word in synset.words if " " not in word]
    for _ in range(scenes):
        yield draw.choice(SCENE_TEMPLATES).format(draw.choice(nouns), gerund(draw.choice(verbs)))
    qualities = [s for s in read_synsets(folder, "adj", QUALITIES) if s.common]
    for synset in qualities:
        yield from synset.sayings
    nouns, verbs, adjectives = (
        [word for synset in kind for word in synset.common if kind is things or " " not in word]
        for kind in (things, doings, qualities)
    )
    for _ in range(TOLD * scenes):
        yield _told(draw, nouns, verbs, adjectives)


def _told(draw: random.Random, nouns: list[str], verbs: list[str], adjectives: list[str]) -> str:
    noun, place, verb = draw.choice(nouns), draw.choice(nouns), draw.choice(verbs)
    told = draw.choice(TOLD_TEMPLATES).format(
        noun=noun,
        nouns=third(noun),  # plurals go by the same rule
        place=place,
        verb=verb,
        tells=third(verb),
        verbing=gerund(verb),
        adjective=draw.choice(adjectives),
    )
    return re.sub(r"\ba (?=[aeiou])", "an ", told)


def everyday_words(folder: Path) -> set[str]:
    """Single words for things and doings, and the -ing forms of the latter."""
    nouns = read_synsets(folder, "noun", THINGS | COMMON_THINGS)
    verbs = read_synsets(folder, "verb", DOINGS)
    words = {word for synset in (*nouns, *verbs) for word in synset.words}
    forms = {gerund(word) for synset in verbs for word in synset.words}
    return {word for word in words | forms if " " not in word}


def gerund(verb: str) -> str:
    """The -ing form, right for the usual patterns; of several words the first changes.

    >>> [gerund(v) for v in ("bark", "die", "smoke", "run", "blow up")]
    ['barking', 'dying', 'smoking', 'running', 'blowing up']
    """
    verb, space, rest = verb.partition(" ")
    if verb.endswith("ie"):
        form = verb[:-2] + "ying"
    elif verb.endswith("e") and not verb.endswith("ee"):
        form = verb[:-1] + "ing"
    elif re.fullmatch(r"[^aeiou]*[aeiou][bdgkmnprt]", verb):
        form = verb + verb[-1] + "ing"
    else:
        form = verb + "ing"
    return form + space + rest


def third(word: str) -> str:
    """The -s form of a verb or a noun, right for the usual patterns.

    >>> [third(word) for word in ("bark", "pass", "cry", "play", "church bell")]
    ['barks', 'passes', 'cries', 'plays', 'church bells']
    """
    if re.search(r"(s|x|z|ch|sh)$", word):
        return word + "es"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + "s"


def _common_words(path: Path) -> set[str]:
    """Words that WordNet's tagged corpus uses."""
    common = set()
    for line in path.read_text().splitlines():
        if not line.startswith(" "):
            fields = line.split()
            if int(fields[3 + int(fields[3]) + 2]):
                common.add(fields[0].replace("_", " "))
    return common


def _sayings(gloss: str) -> Iterator[str]:
    plain = re.sub(r"\(.*?\)", "", gloss)
    yield " ".join(plain.split(";")[0].split()[:LONGEST_GLOSS])
    for example in re.findall(r'"(.*?)"', plain):
        yield " ".join(example.split()[:LONGEST_GLOSS])
