"""Novelty gate: what it leaves out, and whether that costs recall.

    python -m benchmarks.unchanged --scenes DIR/test [--labels FILE] [--reuse 20] [--every 1]
                                   [--cache FILE.npz]

Scenes and negatives of `benchmarks.scenes`, or the days of `benchmarks.home_day`, with the model on every
window and with ``window.reuse_seconds``: the share of windows on which it did not run, recall and false
alarms at the default threshold, and recall at 1 false alarm an hour and label, with one threshold for all
labels and with the best for each.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.trial import COLLAR_SECONDS, LABELS, replays_of, rules_of, set_up
from monitor.detection.rules import Rule
from monitor.evaluation.annotations import Recording
from monitor.evaluation.detection_metrics import average_of, together
from monitor.evaluation.replay import Replay
from monitor.evaluation.report import Detection
from monitor.evaluation.threshold_sweep import sweep
from monitor.types import GateReason

REUSE_SECONDS = 20.0


def main() -> None:
    """Replay twice and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--labels", type=Path, default=LABELS, help="configuration with the labels")
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--every", type=int, default=1, help="take only every so many recordings")
    parser.add_argument("--reuse", type=float, default=REUSE_SECONDS, help="window.reuse_seconds")
    parser.add_argument("--hop", type=float, help="window.hop_seconds")
    parser.add_argument("--cache", type=Path, help="file that keeps the embeddings")
    arguments = parser.parse_args()
    bench = set_up(
        arguments.checkpoint,
        arguments.scenes,
        labels=arguments.labels,
        hop_seconds=arguments.hop,
        cache=arguments.cache,
    )
    bench = replace(bench, recordings=bench.recordings[:: arguments.every])
    for reuse in (0.0, arguments.reuse):
        window = bench.config.window.model_copy(update={"reuse_seconds": reuse})
        one = replace(bench, config=bench.config.model_copy(update={"window": window}))
        rules = rules_of(one)
        report(one.recordings, replays_of(one, rules), rules, f"reuse_seconds {reuse:g}")


def report(
    recordings: Sequence[Recording], replays: Sequence[Replay], rules: Sequence[Rule], title: str
) -> None:
    """Print recall, latency, and the share of windows that were not scored."""
    found = sweep(recordings, replays, rules, collar=COLLAR_SECONDS)
    columns = list(range(len(rules)))
    one = together(found, columns, rules[0], None, None)
    each = average_of(found, [together(found, [column], rules[column], None, None) for column in columns])
    print(f"{title}: {left_out(replays):.1%} of windows unchanged", flush=True)
    at_default = f"recall {one.recall}, {one.false_per_hour} false alarms an hour and label"
    if one.latency_p50 is not None and one.latency_p95 is not None:
        at_default += f", reported after {one.latency_p50:.1f} s, 95 % within {one.latency_p95:.1f} s"
    print(f"  default threshold: {at_default}", flush=True)
    print(f"  one threshold: {line(one)}\n  each its own:  {line(each)}", flush=True)


def left_out(replays: Sequence[Replay]) -> float:
    """Share of windows whose scores are those of an earlier one."""
    windows = [scores for replay in replays for scores in replay.scores]
    return sum(scores.gated == GateReason.UNCHANGED for scores in windows) / len(windows)


def line(found: Detection) -> str:
    """Recall at each SNR and at all."""
    snrs = ", ".join(f"{snr} dB {value}" for snr, value in found.recall_at_snr.items())
    return f"{snrs}; all {found.recall_at['1']}"


if __name__ == "__main__":
    main()
