"""YAMNet on the scenes, run as Frigate runs it: the peer to measure against.

    python -m benchmarks.yamnet --data ../shared/data --scenes DIR/test

Class scores of windows of 0.975 s without overlap, a threshold, and an event that lasts until 3 s after
the last score above it; every threshold is tried, for each label alone and for all together.  A label's
score is that of its best class, of those that mean it.  ``--overlap`` adds windows half way between.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from ai_edge_litert.interpreter import Interpreter

from benchmarks.trial import COLLAR_SECONDS, recordings_in
from monitor.detection.rules import Rule
from monitor.evaluation.annotations import Recording
from monitor.evaluation.detection_metrics import average_of, together
from monitor.evaluation.replay import Replay
from monitor.evaluation.report import Detection
from monitor.evaluation.threshold_sweep import sweep
from monitor.types import Scores

RATE = 16_000
LENGTH = 15_600
HOLD_SECONDS = 3.0
SHIFTS = np.round(np.arange(-9.0, 9.01, 0.25), 2)

CLASSES: Mapping[str, tuple[str, ...]] = {
    "alarm_beep": (
        "Alarm",
        "Alarm clock",
        "Beep, bleep",
        "Buzzer",
        "Smoke detector, smoke alarm",
        "Fire alarm",
    ),
    "car_horn": ("Vehicle horn, car horn, honking", "Toot", "Air horn, truck horn"),
    "cat_meow": ("Cat", "Meow", "Caterwaul"),
    "cough": ("Cough",),
    "dog_bark": ("Dog", "Bark", "Yip", "Bow-wow"),
    "door": ("Door", "Slam", "Sliding door"),
    "doorbell": ("Doorbell", "Ding-dong"),
    "footsteps": ("Walk, footsteps",),
    "glass_break": ("Glass", "Shatter", "Breaking"),
    "gunshot": ("Gunshot, gunfire", "Machine gun", "Fusillade"),
    "helicopter": ("Helicopter",),
    "laughter": ("Laughter", "Giggle", "Belly laugh", "Chuckle, chortle"),
    "rooster": ("Crowing, cock-a-doodle-doo", "Chicken, rooster"),
    "scream": ("Screaming", "Yell"),
    "siren": ("Siren", "Civil defense siren", "Police car (siren)", "Fire engine, fire truck (siren)"),
    "telephone_ring": ("Telephone", "Telephone bell ringing", "Ringtone"),
    "thunder": ("Thunder", "Thunderstorm"),
}
"""Chosen by their names, before any result."""


def main() -> None:
    """Listen to everything and print recall at 1 false alarm an hour and label."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--overlap", action="store_true")
    parser.add_argument("--cache", type=Path, help="folder that keeps the scores of all classes")
    arguments = parser.parse_args()
    recordings = recordings_in(arguments.scenes)
    hop = LENGTH // 2
    heard = [
        class_scores(recording.path, arguments.data / "teacher", hop, arguments.cache)
        for recording in recordings
    ]
    names = class_names(arguments.data / "teacher" / "yamnet_class_map.csv")
    for title, stride in (("no overlap", 2), ("half overlap", 1))[: 1 + arguments.overlap]:
        one, mean = measure(recordings, [scores[::stride] for scores in heard], names, hop * stride)
        print(f"YAMNet, {title}, one threshold: {line(one)}")
        print(f"YAMNet, {title}, each its own:  {line(mean)}")


def measure(
    recordings: Sequence[Recording], heard: Sequence[npt.NDArray[np.float32]], names: Sequence[str], hop: int
) -> tuple[Detection, Detection]:
    """Figures with one threshold for all labels, and with the best for each.

    Parameters
    ----------
    recordings : sequence of Recording
    heard : sequence of array, shape (windows, classes)
        Of each recording.
    names : sequence of str
        Of the classes.
    hop : int
        Samples between windows.
    """
    labels = tuple(CLASSES)
    columns = [[names.index(name) for name in CLASSES[label]] for label in labels]
    rules = [rule(label, hop) for label in labels]
    replays = [replay_of(scores, labels, columns, hop) for scores in heard]
    found = sweep(recordings, replays, rules, collar=COLLAR_SECONDS, shifts=SHIFTS)
    each = [together(found, [column], rules[column], None, None) for column in range(len(labels))]
    return together(found, list(range(len(labels))), rules[0], None, None), average_of(found, each)


def rule(label: str, hop: int) -> Rule:
    """One window is enough; an event lasts until it has not been heard for `HOLD_SECONDS`."""
    return Rule(
        label=label,
        rate=RATE,
        hop=hop,
        threshold=0.5,
        release=0.5,
        hits=1,
        of=1,
        min_duration=0,
        max_duration=10**9,
        merge_gap=round(HOLD_SECONDS * RATE),
        cooldown=0,
    )


def replay_of(
    scores: npt.NDArray[np.float32], labels: tuple[str, ...], columns: Sequence[Sequence[int]], hop: int
) -> Replay:
    """Class scores as scores of labels."""
    values = np.stack([scores[:, indices].max(axis=1) for indices in columns], axis=1)
    windows = tuple(
        Scores("recording", i * hop, i * hop + LENGTH, (i * hop + LENGTH) / RATE, labels, row, -30.0)
        for i, row in enumerate(values)
    )
    return Replay(windows[-1].stop / RATE, windows, ())


def class_scores(path: Path, teacher: Path, hop: int, cache: Path | None) -> npt.NDArray[np.float32]:
    """Scores of all classes in every window, shape (windows, 521)."""
    kept = cache / f"{path.parent.parent.name}-{path.parent.name}-{path.stem}.npy" if cache else None
    if kept is not None and kept.exists():
        stored: npt.NDArray[np.float32] = np.load(kept)
        return stored
    model = Interpreter(str(teacher / "yamnet.tflite"), num_threads=1)
    model.allocate_tensors()
    inlet, outlet = model.get_input_details()[0]["index"], model.get_output_details()[0]["index"]
    samples, rate = soundfile.read(path, dtype="float32")
    samples = soxr.resample(samples, rate, RATE).astype(np.float32)
    rows = []
    for start in range(0, len(samples) - LENGTH + 1, hop):
        model.set_tensor(inlet, samples[start : start + LENGTH])
        model.invoke()
        rows.append(model.get_tensor(outlet)[0].copy())
    scores = np.stack(rows).astype(np.float32)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, scores)
    return scores


def class_names(path: Path) -> list[str]:
    """Names of the classes, in the order of the scores."""
    with path.open(newline="") as file:
        return [row["display_name"] for row in csv.DictReader(file)]


def line(found: Detection) -> str:
    """Recall at 1 false alarm an hour and label, at each SNR and at all."""
    snrs = ", ".join(f"{snr} dB {value}" for snr, value in found.recall_at_snr.items())
    return f"{snrs}; all {found.recall_at['1']}"


if __name__ == "__main__":
    main()
