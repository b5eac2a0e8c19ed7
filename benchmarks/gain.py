"""Gain of a microphone, and whether it matters: the same scenes at -20, 0 and +10 dB.

    python -m benchmarks.gain CHECKPOINT --scenes DIR/test

Everything is written anew as 16-bit samples at each gain, clipped where it is too loud, as a sound card
would, and replayed.  Prints recall and false alarms at the default thresholds.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.trial import recordings_in, rules_of, set_up, swept
from monitor.evaluation.annotations import Recording
from monitor.evaluation.detection_metrics import together

GAINS_DB = (-20.0, 0.0, 10.0)


def main() -> None:
    """Replay at every gain and print a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint")
    parser.add_argument("--scenes", type=Path, required=True)
    arguments = parser.parse_args()
    bench = set_up(arguments.checkpoint, arguments.scenes)
    recordings = [recording for recording in recordings_in(arguments.scenes) if recording.occurrences]
    rules = rules_of(bench)
    for gain_db in GAINS_DB:
        with tempfile.TemporaryDirectory() as folder:
            louder = tuple(amplified(recording, gain_db, Path(folder)) for recording in recordings)
            tried = replace(bench, recordings=louder)
            found = together(swept(tried, rules, np.zeros(1)), list(range(len(rules))), rules[0], None, None)
        print(
            f"{gain_db:+.0f} dB: recall {found.recall}, false alarms/h/label {found.false_per_hour}",
            flush=True,
        )


def amplified(recording: Recording, gain_db: float, folder: Path) -> Recording:
    """The same recording at another gain, in ``folder``."""
    samples, rate = soundfile.read(recording.path, dtype="float32")
    louder = np.clip(samples * 10 ** (gain_db / 20), -1, 1)
    path = folder / f"{recording.path.stem}.flac"
    soundfile.write(path, louder, rate, subtype="PCM_16")
    return replace(recording, path=path)


if __name__ == "__main__":
    main()
