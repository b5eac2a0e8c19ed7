"""Calibration of a checkpoint: measured on recordings, written beside it.

    python -m benchmarks.response CHECKPOINT --scenes DIR/tuning [--out detection.json]

One threshold of 0.5 for every label is then the operating point of 1 false alarm an hour and label on
these recordings, after confirmation; scores of 0.1 and 0.9 are those of ten times as many and, if the
tail goes on like that, of ten times fewer.  Use recordings that the checkpoint was not trained on, and
judge it on others.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from benchmarks.trial import Bench, replays_of, rules_of, set_up, swept
from monitor.detection import scoring
from monitor.detection.calibration import QUANTILE, SHARE, Calibration
from monitor.evaluation.threshold_sweep import Sweep

RATE, TEN_TIMES = 1.0, 10.0
"""False alarms an hour and label that are to score 0.5 and 0.1."""

COARSE = np.arange(-6.0, 9.1, 0.75)
"""Shifts that are tried; what lies between is interpolated."""

ROUNDS = 2
"""The baseline at the beginning of a recording depends on the calibration itself."""


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint")
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="default: detection.json in the checkpoint's directory")
    parser.add_argument("--hop", type=float)
    parser.add_argument("--cache", type=Path, help="file that keeps the embeddings")
    arguments = parser.parse_args()
    bench = set_up(arguments.checkpoint, arguments.scenes, hop_seconds=arguments.hop, cache=arguments.cache)
    path = arguments.out or bench.engine.model.path / "detection.json"
    calibration = fit(bench)
    path.write_text(json.dumps(calibration.as_dict(), indent=1) + "\n")
    print(f"{path}: {calibration}")


def fit(bench: Bench) -> Calibration:
    """Calibration of the checkpoint on these recordings."""
    response = first_guess(bench)
    for _ in range(ROUNDS):
        tried = replace(bench, engine=replace(bench.engine, calibration=response))
        found = swept(tried, rules_of(tried), COARSE)
        response = corrected(response, shift_at(found, RATE), shift_at(found, TEN_TIMES))
        baseline = float(np.median(np.quantile(margins_of(bench), QUANTILE, axis=0)))
        response = replace(response, baseline=response.scale * (baseline - response.centre))
        print(
            f"1 an hour at {shift_at(found, RATE):+.2f}, recall {recall_at(found, RATE):.3f}: {response}",
            flush=True,
        )
    return response


def first_guess(bench: Bench) -> Calibration:
    """A calibration whose logits stay clear of those with a score of exactly 0 or 1 in 32 bits."""
    margins = margins_of(bench)
    spread, usual = float(margins.std()), float(np.quantile(margins, QUANTILE))
    centre = (usual * (1 - SHARE) + 2 * spread) / (1 - SHARE)
    return Calibration(scale=1.0 / spread, centre=centre, baseline=(usual - centre) / spread)


def margins_of(bench: Bench) -> npt.NDArray[np.float32]:
    """Margins of every window of every recording, shape (windows, labels)."""
    if not bench.model.rows().size:
        replays_of(bench, rules_of(bench))
    prototypes = bench.engine.prototypes
    return np.stack([scoring.margins(row, prototypes) for row in bench.model.rows()])


def corrected(response: Calibration, at_rate: float, at_ten_times: float) -> Calibration:
    """Move and stretch the logits so that the one shift becomes 0, and the other the logit of 0.1."""
    stretch = float(logit(0.9)) / max(at_rate - at_ten_times, 0.05)
    # logit = scale * (margin - SHARE * q90 - (1 - SHARE) * centre), so a shift of it is one of the centre.
    centre = response.centre + at_rate / (response.scale * (1 - SHARE))
    return Calibration(scale=response.scale * stretch, centre=centre, baseline=response.baseline)


def shift_at(found: Sweep, rate: float) -> float:
    """The lowest shift from which on there are no more false alarms than this, all labels at one shift."""
    false = found.false_alarms.sum(axis=(1, 2)) / (found.hours.sum() * len(found.labels))
    above = np.flatnonzero(false > rate)
    if not len(above):
        return float(found.shifts[0])
    last = int(above[-1])
    if last + 1 == len(false):
        return float(found.shifts[-1])
    # Between two shifts false alarms fall about exponentially.
    high, low = np.log(false[last]), np.log(max(false[last + 1], 1e-3))
    share = (high - np.log(rate)) / max(high - low, 1e-9)
    return float(found.shifts[last] + share * (found.shifts[last + 1] - found.shifts[last]))


def recall_at(found: Sweep, rate: float) -> float:
    """Share of the occurrences that is found at `shift_at` this rate."""
    nearest = int(np.argmin(np.abs(found.shifts - shift_at(found, rate))))
    return float(found.found[nearest].sum() / found.occurrences.sum())


if __name__ == "__main__":
    main()
