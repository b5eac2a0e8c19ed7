"""Step `kit`: make the calibration kit of the package, `monitor/kit`.

`kit.toml` says which recordings are events and beds; the cohort is chosen by `kit_choose`.  The same packages
and libraries give the same files.
"""

from __future__ import annotations

import logging
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training import geometry as g
from training.kit_check import fidelity
from training.kit_choose import candidates, choose, name_of
from training.kit_licences import Terms
from training.kit_listen import Heard, listen, refuse_evaluated
from training.kit_sounds import BEDS, EVENTS, normalised
from training.kit_sources import Source, find_sources
from training.kit_write import PAUSE, Clip, Manifest, write_bed, write_clips, write_manifest
from training.places import Places
from training.sound import Samples, read_sound, resample
from training.synth import synthesise
from training.yamnet import class_names

LOG = logging.getLogger(__name__)
TABLE = Path(__file__).with_name("kit.toml")
OUT = Path(__file__).parents[1] / "monitor" / "kit"

VERSION = 1
"""Of the content; increases with every change of it."""

SEED = 1
COHORT = 1_150
SYNTHESISED = 150
"""Sounds of the cohort, and how many of them are made and not recorded."""

EVENT_S = 3.5
BED_S = 20.0
"""Most seconds of an event and of a bed."""

FADE = g.RATE // 2
"""Samples over which the end of a bed becomes its beginning."""

QUIET = 0.02
"""Of the peak: what is softer before and after an event is not the event."""

OURS = Terms("Apache-2.0", "The clap-monitor developers")


@dataclass(frozen=True)
class Label:
    """A label of `kit.toml`."""

    name: str
    sentence: str
    series: bool = False
    synthesised: int = 0
    """How many are made by `kit_sounds`."""
    recordings: tuple[str, ...] = ()
    """``PACKAGE: END OF THE PATH [@ START+SECONDS]``."""


def kit(places: Places) -> None:
    """Write the kit; what lies in its folder is replaced, but for the README."""
    table = tomllib.loads(TABLE.read_text())
    labels = [Label(**entry) for entry in table["label"]]
    sources = list(find_sources(places, table["packages"]))
    events = [clip for label in labels for clip in _events(label, sources)]
    beds = [_bed(entry, sources) for entry in table["bed"]]
    recorded = {f"{clip.package}: {clip.path}": clip.wave for clip in (*events, *beds)}
    refuse_evaluated(recorded, places)
    free = [source for source in sources if f"{source.package}: {source.path}" not in recorded]
    heard = list(listen(candidates(free), places))
    cohort = _cohort(choose(heard, COHORT - SYNTHESISED), class_names(places.class_map))
    cohort += [_made(number) for number in range(SYNTHESISED)]
    write(OUT, labels, cohort, beds, events)
    cosines = np.quantile(fidelity(OUT, cohort), (0.01, 0.05, 0.5))
    LOG.info("cosines of coded and uncoded sounds, quantiles .01, .05, .5: %s", cosines.round(4))


def write(
    folder: Path,
    labels: Sequence[Label],
    cohort: Sequence[Clip],
    beds: Sequence[Clip],
    events: Sequence[Clip],
) -> None:
    """Write all files of a kit."""
    folder.mkdir(exist_ok=True)
    for old in (*folder.glob("*.opus"), *folder.glob("manifest.json")):
        old.unlink()
    kept = ("name", "sentence", "series")
    manifest = Manifest(VERSION, [{key: asdict(label)[key] for key in kept} for label in labels])
    sections = {
        "cohort": write_clips(folder, "cohort", cohort, manifest),
        "beds": [write_bed(folder, bed, manifest) for bed in beds],
        "events": [
            entry
            for label in labels
            for entry in write_clips(
                folder, f"event-{label.name}", [clip for clip in events if clip.name == label.name], manifest
            )
        ],
    }
    write_manifest(folder, manifest, sections)
    size = sum(file.stat().st_size for file in folder.iterdir())
    licences = Counter(clip.terms.licence for clip in (*cohort, *beds, *events))
    LOG.info("%d bytes; %d, %d, %d clips; %s", size, len(cohort), len(beds), len(events), licences)


def find(text: str, sources: Sequence[Source]) -> Source:
    """Return the one source that ``PACKAGE: END OF THE PATH`` means."""
    package, _, tail = text.partition(": ")
    found = [s for s in sources if s.package == package and s.path.endswith(tail)]
    if len(found) != 1:
        raise ValueError(f"{text}: {len(found)} recordings have this name")
    return found[0]


def _events(label: Label, sources: Sequence[Source]) -> list[Clip]:
    clips = [_recorded(label.name, text, sources, EVENT_S) for text in label.recordings]
    for number in range(label.synthesised):
        wave = EVENTS[label.name](np.random.default_rng([SEED, number, *label.name.encode()]))
        path = f"training.kit_sounds.{label.name}, {number}"
        clips.append(Clip(label.name, normalised(wave), "synthesised", str(VERSION), path, OURS))
    return [_annotated(clip) for clip in clips]


def _bed(entry: dict[str, Any], sources: Sequence[Source]) -> Clip:
    name = entry["name"]
    if "recording" in entry:
        clip = _recorded(name, entry["recording"], sources, entry.get("seconds", BED_S))
    else:
        wave = BEDS[name](np.random.default_rng([SEED, *name.encode()]), BED_S)
        clip = Clip(name, normalised(wave), "synthesised", str(VERSION), f"training.kit_sounds, {name}", OURS)
    bed = lengthened(clip.wave, np.random.default_rng([SEED, *name.encode()]))
    return Clip(name, looped(bed), clip.package, clip.version, clip.path, clip.terms)


def _recorded(name: str, text: str, sources: Sequence[Source], most: float) -> Clip:
    text, _, cut = text.partition(" @ ")
    source = find(text, sources)
    start, seconds = (float(number) for number in cut.split("+")) if cut else (0.0, most)
    sound, rate = read_sound(source.file)
    sound = sound[int(start * rate) : int((start + seconds) * rate)]
    wave = normalised(resample(sound, rate, g.RATE))
    return Clip(name, wave, source.package, source.version, source.path, source.terms)


def _annotated(clip: Clip) -> Clip:
    """The clip without what is quiet before and after the event, and when this is."""
    loud = np.flatnonzero(np.abs(clip.wave) > QUIET * np.abs(clip.wave).max())
    first, last = max(0, int(loud[0]) - PAUSE // 4), min(len(clip.wave), int(loud[-1]) + 1)
    wave = clip.wave[first : min(last, first + int(EVENT_S * g.RATE))]
    onset, offset = (int(loud[0]) - first) / g.RATE, len(wave) / g.RATE
    return Clip(clip.name, wave, clip.package, clip.version, clip.path, clip.terms, onset, offset)


def looped(wave: Samples, fade: int = FADE) -> Samples:
    """A sound whose end goes over into its beginning, at constant power; shorter by ``fade`` samples."""
    fade = min(fade, len(wave) // 4)
    ramp = np.sin(np.linspace(0, np.pi / 2, fade, dtype=np.float32))
    body = wave[:-fade].copy()
    body[:fade] = body[:fade] * ramp + wave[-fade:] * ramp[::-1]
    return body


def lengthened(wave: Samples, random: np.random.Generator, seconds: float = BED_S) -> Samples:
    """A texture of at least so many seconds: parts of a shorter one that go over into each other."""
    length = round(seconds * g.RATE) + FADE
    if len(wave) >= length - FADE:
        return wave
    fade = min(FADE, len(wave) // 4)
    ramp = np.sin(np.linspace(0, np.pi / 2, fade, dtype=np.float32))
    out = wave.copy()
    while len(out) < length:
        size = int(random.uniform(0.6, 1.0) * len(wave))
        start = int(random.integers(len(wave) - size + 1))
        part = wave[start : start + size].copy()
        part[:fade] *= ramp
        part[:fade] += out[-fade:] * ramp[::-1]
        out = np.concatenate([out[:-fade], part])
    return out[:length]


def _cohort(chosen: Sequence[Heard], classes: Sequence[str]) -> list[Clip]:
    clips = []
    for heard in chosen:
        source = heard.source
        name, wave = name_of(heard, classes), normalised(heard.wave)
        clips.append(Clip(name, wave, source.package, source.version, source.path, source.terms))
    return clips


def _made(number: int) -> Clip:
    """A sound of the cohort that nobody recorded: of the training's generator, which names no kind."""
    wave = synthesise(np.random.default_rng([SEED, number]), 1.0)[: g.RATE]
    path = f"training.synth, {number}"
    return Clip("", normalised(wave), "synthesised", str(VERSION), path, OURS)
