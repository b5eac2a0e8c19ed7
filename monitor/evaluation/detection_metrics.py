"""Detection metrics of one label, of all with one threshold, and of all with a threshold each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.detection.rules import Rule
from monitor.evaluation.confidence import Estimate, estimate, ratio
from monitor.evaluation.report import RATES, Detection, Point
from monitor.evaluation.threshold_sweep import Sweep, best_shift, shifted


def together(
    swept: Sweep, columns: list[int], rule: Rule, strict: float | None, loose: float | None
) -> Detection:
    """Measure these labels together, one shift for all of them."""
    default = int(np.flatnonzero(swept.shifts == 0.0)[0])
    occurrences = swept.occurrences[:, columns].sum(axis=1).astype(float)
    hours = swept.hours * len(columns)
    found, false = swept.found[:, :, columns].sum(axis=2), swept.false_alarms[:, :, columns].sum(axis=2)
    latencies = _latencies(swept, default, columns)
    at = {rate: best_shift(false.sum(axis=1), found.sum(axis=1), float(hours.sum()), rate) for rate in RATES}
    return Detection(
        occurrences=int(occurrences.sum()),
        recall=ratio(found[default], occurrences),
        false_per_hour=ratio(false[default].astype(float), hours),
        latency_p50=float(np.quantile(latencies, 0.5)) if len(latencies) else None,
        latency_p95=float(np.quantile(latencies, 0.95)) if len(latencies) else None,
        recall_at={f"{rate:g}": _at(found, occurrences, shift) for rate, shift in at.items()},
        recall_at_snr=_by_snr(swept, dict.fromkeys(columns, at[1.0])),
        f1_at_1s=strict,
        f1_at_window=loose,
        curve=tuple(
            Point(
                threshold=shifted(rule, float(shift)).threshold,
                false_per_hour=float(false[i].sum() / hours.sum()),
                recall=float(found[i].sum() / max(1.0, occurrences.sum())),
            )
            for i, shift in enumerate(swept.shifts)
        ),
    )


def average_of(swept: Sweep, each: Sequence[Detection]) -> Detection:
    """Average over labels, each with its own threshold where a rate of false alarms is given."""
    used = [one for one in each if one.occurrences]
    columns = [i for i, one in enumerate(each) if one.occurrences]
    shifts = {
        rate: {
            i: best_shift(
                swept.false_alarms[:, :, i].sum(axis=1),
                swept.found[:, :, i].sum(axis=1),
                float(swept.hours.sum()),
                rate,
            )
            for i in columns
        }
        for rate in RATES
    }
    return Detection(
        occurrences=sum(one.occurrences for one in used),
        recall=Estimate(_average([one.recall.value for one in used])),
        false_per_hour=Estimate(_average([one.false_per_hour.value for one in each])),
        latency_p50=_average([one.latency_p50 for one in used]),
        latency_p95=_average([one.latency_p95 for one in used]),
        recall_at={f"{rate:g}": _mean_at(swept, shifts[rate]) for rate in RATES},
        recall_at_snr=_by_snr(swept, shifts[1.0]),
        f1_at_1s=_average([one.f1_at_1s for one in used]),
        f1_at_window=_average([one.f1_at_window for one in used]),
    )


def _at(found: NDArray[np.int64], occurrences: NDArray[np.float64], shift: int | None) -> Estimate:
    hits = np.zeros_like(occurrences) if shift is None else found[shift].astype(float)
    return ratio(hits, occurrences)


def _mean_at(swept: Sweep, shifts: dict[int, int | None]) -> Estimate:
    """Mean over labels of the recall at each one's shift, with the thresholds held in every draw."""

    def figure(rows: NDArray[np.intp]) -> float:
        recalls = []
        for column, shift in shifts.items():
            there = swept.occurrences[rows, column].sum()
            hits = 0 if shift is None else swept.found[shift, rows, column].sum()
            recalls += [hits / there] if there else []
        return float(np.mean(recalls)) if recalls else float("nan")

    return estimate(figure, len(swept.hours))


def _by_snr(swept: Sweep, shifts: dict[int, int | None]) -> dict[str, Estimate]:
    """Recall by SNR, loudest first, each label at its own shift; empty if the annotation gives none."""
    first = swept.matched[0]
    levels = {o.snr_db for row in first for one in row for o in one.occurrences if o.snr_db is not None}
    return {
        f"{snr:g}": ratio(
            np.array(
                [
                    sum(_hits(swept, r, c, shift, snr) for c, shift in shifts.items())
                    for r in range(len(first))
                ],
                float,
            ),
            np.array(
                [sum(o.snr_db == snr for c in shifts for o in row[c].occurrences) for row in first], float
            ),
        )
        for snr in sorted(levels, reverse=True)
    }


def _hits(swept: Sweep, recording: int, column: int, shift: int | None, snr: float) -> int:
    if shift is None:
        return 0
    one = swept.matched[shift][recording][column]
    return sum(
        o.snr_db == snr and at is not None for o, at in zip(one.occurrences, one.latencies, strict=True)
    )


def _latencies(swept: Sweep, shift: int, columns: list[int]) -> list[float]:
    rows = swept.matched[shift]
    return [at for row in rows for column in columns for at in row[column].latencies if at is not None]


def _average(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
