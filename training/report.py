"""Step `report`: the figures, on data that neither training nor tuning has seen."""

from __future__ import annotations

import csv
import json
import logging
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from training import geometry as g
from training import runlog
from training.export import finished, newest
from training.listen import Checkpoint, Listener, TeacherClap
from training.metrics import auroc, average_precision, bootstrap, wilson
from training.phrases import QUESTIONS
from training.places import Places
from training.recordings import ESC10_LABELS
from training.sound import Samples, level, read_sound, resample
from training.yamnet import Yamnet, class_names

LOG = logging.getLogger(__name__)
BAR_FOLD = 4
CARD = Path(__file__).with_name("card.md")
"""The model card, but for the figures."""

Table = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clips:
    """Clips of a set, at 48 kHz, with their labels."""

    sounds: list[Samples]
    labels: list[str]


@dataclass(frozen=True)
class Figures:
    """One listener on both sets; intervals are of 95 %."""

    plain: float
    plain_interval: tuple[float, float]
    paraphrases: list[float]
    right: dict[str, int]
    """Clips of each class that the plain sentences found."""
    auroc: float
    auroc_interval: tuple[float, float]
    precision: float
    precision_interval: tuple[float, float]
    unseen: float | None
    """Mean AUROC of the sentences of unseen words, where a listener can be asked one."""
    by_label: dict[str, tuple[float, float]]
    """AUROC and average precision of each label of eval-dev."""


def report(places: Places) -> None:
    """Measure the export, its teacher and YAMNet; write JSON, Markdown and curves."""
    questions = tomllib.loads(QUESTIONS.read_text())
    esc, dev, prompts = _esc10(places), *_eval_dev(places)
    checkpoint = Checkpoint(places.export)
    teacher = TeacherClap(places.yamnet, places.runs / "teacher.pt")
    yamnet = Yamnet(places.yamnet)
    names = class_names(places.class_map)
    figures = {
        "checkpoint": _ask(checkpoint, esc, dev, prompts, questions),
        "teacher": _ask(teacher, esc, dev, prompts, questions),
    }
    for how in (np.max, np.mean):
        figures[f"yamnet {how.__name__}"] = _yamnet(yamnet, names, how, esc, dev, questions)
    result = {name: asdict(value) for name, value in figures.items()}
    result["milliseconds"] = checkpoint.milliseconds()
    result["size"] = {f.name: f.stat().st_size for f in sorted(places.export.iterdir())}
    parts = [part for part in ("audio", "text") if finished(places.runs, part)]
    result["state"] = {part: newest(places.runs, part).name for part in parts}
    folder = places.work / "report"
    folder.mkdir(exist_ok=True)
    (folder / "figures.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "figures.md").write_text(as_markdown(figures))
    card = CARD.read_text().replace("FIGURES", as_markdown(figures).strip())
    (places.export / "README.md").write_text(card)
    _curves(places)
    LOG.info("\n%s", as_markdown(figures))


def as_markdown(figures: dict[str, Figures]) -> str:
    """The figures as a table, one column a listener."""
    rows: list[tuple[str, Callable[[Figures], str]]] = [
        ("ESC-10 fold 4, plain", lambda f: _share(f.plain, f.plain_interval)),
        ("each of three paraphrases", lambda f: " / ".join(f"{100 * p:.1f}" for p in f.paraphrases)),
        ("paraphrases, mean", lambda f: f"{100 * sum(f.paraphrases) / 3:.1f} %" if f.paraphrases else ""),
        ("eval-dev AUROC", lambda f: _number(f.auroc, f.auroc_interval)),
        ("eval-dev mAP", lambda f: _number(f.precision, f.precision_interval)),
        ("unseen words, AUROC", lambda f: "" if f.unseen is None else f"{f.unseen:.3f}"),
    ]
    lines = ["| | " + " | ".join(figures) + " |", "|---" * (len(figures) + 1) + "|"]
    for title, shown in rows:
        lines.append(f"| {title} | " + " | ".join(shown(f) for f in figures.values()) + " |")
    return "\n".join(lines) + "\n"


def _ask(
    listener: Listener, esc: Clips, dev: Clips, prompts: dict[str, str], questions: dict[str, Any]
) -> Figures:
    heard = {
        id(clips): np.stack([listener.hear(sound) for sound in tqdm(clips.sounds)]) for clips in (esc, dev)
    }
    ten = list(questions["plain"])
    plain = heard[id(esc)] @ listener.read([questions["plain"][label] for label in ten]).T
    others = [
        heard[id(esc)] @ listener.read([questions["paraphrases"][label][i] for label in ten]).T
        for i in range(3)
    ]
    table = heard[id(dev)] @ listener.read(list(prompts.values())).T
    unseen = heard[id(dev)] @ listener.read(list(questions["unseen"])).T
    ranked = [
        auroc(unseen[:, i], np.array(dev.labels) == label)
        for i, label in enumerate(questions["unseen"].values())
    ]
    return _figures(ten, esc, plain, others, dev, list(prompts), table, float(np.mean(ranked)))


def _yamnet(
    yamnet: Yamnet,
    names: list[str],
    how: Callable[..., Table],
    esc: Clips,
    dev: Clips,
    questions: dict[str, Any],
) -> Figures:
    ten, labels = list(questions["plain"]), sorted(set(dev.labels))
    rows = {label: [names.index(n) for n in own] for label, own in questions["yamnet"].items()}

    def table(clips: Clips, asked: Sequence[str]) -> Table:
        heard = []
        for sound in tqdm(clips.sounds):
            scores = yamnet(resample(level(sound, g.RATE), g.RATE, g.TEACHER_RATE)).scores
            heard.append(how(scores.astype(np.float32), axis=0))
        return np.array([[one[rows[label]].max() for label in asked] for one in heard])

    return _figures(ten, esc, table(esc, ten), [], dev, labels, table(dev, labels), None)


def _figures(
    ten: list[str],
    esc: Clips,
    plain: Table,
    paraphrases: list[Table],
    dev: Clips,
    labels: list[str],
    scores: Table,
    unseen: float | None,
) -> Figures:
    truth = np.array([ten.index(label) for label in esc.labels])
    right = plain.argmax(axis=1) == truth
    flags = [np.array(dev.labels) == label for label in labels]
    ranking = np.array([auroc(scores[:, i], flag) for i, flag in enumerate(flags)])
    precision = np.array([average_precision(scores[:, i], flag) for i, flag in enumerate(flags)])
    return Figures(
        plain=float(right.mean()),
        plain_interval=wilson(int(right.sum()), len(right)),
        paraphrases=[float((t.argmax(axis=1) == truth).mean()) for t in paraphrases],
        right={label: int(right[truth == i].sum()) for i, label in enumerate(ten)},
        auroc=float(ranking.mean()),
        auroc_interval=bootstrap(ranking),
        precision=float(precision.mean()),
        precision_interval=bootstrap(precision),
        unseen=unseen,
        by_label={
            label: (round(float(r), 3), round(float(p), 3))
            for label, r, p in zip(labels, ranking, precision, strict=True)
        },
    )


def _esc10(places: Places) -> Clips:
    paths = sorted((places.data / "esc10").glob(f"*/{BAR_FOLD}-*.ogg"))
    sounds = [resample(*read_sound(path), g.RATE) for path in paths]
    return Clips(sounds, [ESC10_LABELS.get(p.parent.name, p.parent.name) for p in paths])


def _eval_dev(places: Places) -> tuple[Clips, dict[str, str]]:
    folder = places.data / "eval-dev"
    with (folder / "clips.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "clips"]
    sounds = [resample(*read_sound(folder / row["file"]), g.RATE) for row in rows]
    labels = [row["label"] for row in rows]
    return Clips(sounds, labels), {row["label"]: row["prompt"] for row in sorted(rows, key=str)}


def _curves(places: Places) -> None:
    folder = places.work / "report"
    audio: dict[str, tuple[str, ...]] = {
        "losses": ("presence", "naming"),
        "one minus the cosine to the teacher": ("likeness", "unheard"),
        "divergence of the order": ("order",),
        "the same in mixtures kept back": ("unheard_order",),
        "held-back clips": ("plain", "paraphrased", "ranking", "precision"),
    }
    words: dict[str, tuple[str, ...]] = {
        "cosine to the teacher": ("trained", "new", "questions"),
        "confusion of sounds": ("confusion new", "confusion questions"),
    }
    for name, x, curves in (("audio", "passes", audio), ("text", "step", words)):
        if (places.runs / f"{name}.jsonl").exists():
            runlog.plot(places.runs / f"{name}.jsonl", folder / f"{name}.png", x, curves)


def _share(value: float, interval: tuple[float, float]) -> str:
    return f"{100 * value:.1f} % ({100 * interval[0]:.0f} to {100 * interval[1]:.0f})"


def _number(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"
