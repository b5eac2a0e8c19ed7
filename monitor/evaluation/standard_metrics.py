"""Standard metrics from their reference libraries: event-based F1 (sed_eval), PSDS (sed_scores_eval)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from monitor.evaluation.annotations import Occurrence, Recording
from monitor.evaluation.replay import Replay
from monitor.types import Scores


@dataclass(frozen=True, slots=True)
class PsdsScenario:
    """Parameters of the polyphonic sound detection score (Bilen et al., 2020)."""

    dtc: float
    gtc: float
    cttc: float | None
    alpha_ct: float
    alpha_st: float


SCENARIOS = {
    "psds1": PsdsScenario(dtc=0.7, gtc=0.7, cttc=None, alpha_ct=0.0, alpha_st=1.0),
    "psds2": PsdsScenario(dtc=0.1, gtc=0.1, cttc=0.3, alpha_ct=0.5, alpha_st=1.0),
}
"""Those of DCASE task 4: the first asks for exact times, which windows cannot give, the second for labels."""

MOST_FALSE_PER_HOUR = 100.0


def event_f1(
    recordings: Sequence[Recording], replays: Sequence[Replay], labels: Sequence[str], collar: float
) -> dict[str, float | None]:
    """Event-based F1 with this onset collar in seconds, offsets free; by label, and ``all`` (micro)."""
    with _quiet_libraries():
        import dcase_util
        import sed_eval

        metrics = sed_eval.sound_event.EventBasedMetrics(
            event_label_list=list(labels), t_collar=collar, evaluate_onset=True, evaluate_offset=False
        )
        for recording, replayed in zip(recordings, replays, strict=True):
            truth = [(o.label, o.onset, o.offset) for o in recording.occurrences if o.label in labels]
            found = [(e.label, e.start, e.stop) for e in replayed.events if e.label in labels]
            metrics.evaluate(
                reference_event_list=_event_list(dcase_util, recording, truth),
                estimated_event_list=_event_list(dcase_util, recording, found),
            )
        figures = {label: float(metrics.class_wise_f_measure(label)["f_measure"]) for label in labels}
        figures["all"] = float(metrics.overall_f_measure()["f_measure"])
    present = {occurrence.label for recording in recordings for occurrence in recording.occurrences} & set(
        labels
    )
    # Without a report sed_eval has no precision, hence no figure; with an occurrence that is an F1 of 0.
    return {
        label: f1 if np.isfinite(f1) else 0.0 if label in present or (label == "all" and present) else None
        for label, f1 in figures.items()
    }


def psds(
    recordings: Sequence[Recording], replays: Sequence[Replay], labels: Sequence[str], rate: int
) -> dict[str, float | None]:
    """Polyphonic sound detection score of each scenario, in [0, 1]; None where a label has no occurrence.

    A window's score stands for one hop in its middle.
    """
    usable = [pair for pair in zip(recordings, replays, strict=True) if pair[1].scores]
    present = {occurrence.label for recording, _ in usable for occurrence in recording.occurrences}
    if not set(labels) <= present:
        return dict.fromkeys(SCENARIOS)
    # sed_scores_eval fails with a single label: there is none to confuse it with.  With a copy of it the
    # figure is the same: the mean of both, and neither is confused with the other where both are.
    copies = 2 if len(labels) == 1 else 1
    named = [f"{label}{' ' * copy}" for copy in range(copies) for label in labels]
    names = [str(recording.path) for recording, _ in usable]
    with _quiet_libraries():
        from sed_scores_eval import intersection_based
        from sed_scores_eval.base_modules.scores import create_score_dataframe

        scores = {
            name: create_score_dataframe(*_steps(replayed.scores, replayed.seconds, rate, copies), named)
            for name, (_, replayed) in zip(names, usable, strict=True)
        }
        truth = {
            name: [
                (o.onset, o.offset, f"{o.label}{' ' * copy}")
                for copy in range(copies)
                for o in _merged(recording.occurrences, labels)
            ]
            for name, (recording, _) in zip(names, usable, strict=True)
        }
        seconds = {name: replayed.seconds for name, (_, replayed) in zip(names, usable, strict=True)}
        found = {
            key: float(
                intersection_based.psds(
                    scores=scores,
                    ground_truth=truth,
                    audio_durations=seconds,
                    dtc_threshold=scenario.dtc,
                    gtc_threshold=scenario.gtc,
                    cttc_threshold=scenario.cttc,
                    alpha_ct=scenario.alpha_ct,
                    alpha_st=scenario.alpha_st,
                    unit_of_time="hour",
                    max_efpr=MOST_FALSE_PER_HOUR,
                )[0]
            )
            for key, scenario in SCENARIOS.items()
        }
    return {key: value if np.isfinite(value) else None for key, value in found.items()}


def _steps(scores: Sequence[Scores], seconds: float, rate: int, copies: int) -> tuple[np.ndarray, np.ndarray]:
    """Values, shape (windows, labels * copies), and the times between which each holds, (windows + 1,)."""
    middles = np.array([(window.start + window.stop) / 2 / rate for window in scores])
    edges = np.concatenate([[0.0], (middles[1:] + middles[:-1]) / 2, [seconds]])
    return np.stack([np.tile(window.values, copies) for window in scores]), np.round(edges, 6)


def _merged(occurrences: Sequence[Occurrence], labels: Sequence[str]) -> Iterator[Occurrence]:
    """Occurrences of the evaluated labels; those of one label that overlap are merged."""
    for label in labels:
        last = None
        for occurrence in sorted((o for o in occurrences if o.label == label), key=lambda o: o.onset):
            if last is not None and occurrence.onset <= last.offset:
                last = Occurrence(label, last.onset, max(last.offset, occurrence.offset))
                continue
            if last is not None:
                yield last
            last = occurrence
        if last is not None:
            yield last


def _event_list(
    dcase_util: object, recording: Recording, sounds: Sequence[tuple[str, float, float]]
) -> object:
    name = str(recording.path)
    rows = [
        {"filename": name, "onset": onset, "offset": offset, "event_label": label}
        for label, onset, offset in sounds
    ]
    return dcase_util.containers.MetaDataContainer(rows)  # type: ignore[attr-defined]


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Silence warnings of these libraries about themselves (pkg_resources, division by zero)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
