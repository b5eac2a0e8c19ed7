"""Variants of scoring and decisions, tried on the tuning half of the scenes.

    python -m benchmarks.decisions CHECKPOINT --scenes DIR/tuning --cache FILE.npz [--only NAME]...

Prints recall at 1 false alarm an hour and label at 20, 10, 5 and 0 dB for each variant: with one
threshold for all labels, and with the best for each.  Only what stands in the table of variants is
changed, everything else is the monitor; a variant is of the form that its constants allow.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from benchmarks import response
from benchmarks.trial import Bench, replays_of, rules_of, set_up, swept
from benchmarks.yamnet import line
from monitor.detection import baseline, scorer, scoring
from monitor.detection.prototypes import build_prototypes
from monitor.evaluation.detection_metrics import average_of, together

VARIANTS: Mapping[str, Mapping[str, float]] = {
    "as it is": {},
    "without background prompts": {"background": 0},
    "no background, no baseline": {"background": 0, "SHARE": 0.0},
    "no background, baseline 0.75": {"background": 0, "SHARE": 0.75},
    "no background, median": {"background": 0, "QUANTILE": 0.5},
    "no background, 2 minutes": {"background": 0, "BASELINE_SECONDS": 120.0},
    "no background, first window": {"background": 0, "confirm_seconds": 0.0},
    "no background, 3 of 4": {"background": 0, "confirm_seconds": 3.0},
}

USERS: Mapping[str, tuple[ModuleType, ...]] = {
    "SHARE": (scoring, response),
    "QUANTILE": (baseline, response),
    "BASELINE_SECONDS": (scorer,),
}
"""Modules that use a constant."""


def main() -> None:
    """Try each and print a line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint")
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="file that keeps the embeddings")
    parser.add_argument("--hop", type=float)
    parser.add_argument("--only", action="append", choices=list(VARIANTS))
    arguments = parser.parse_args()
    bench = set_up(arguments.checkpoint, arguments.scenes, hop_seconds=arguments.hop, cache=arguments.cache)
    replays_of(bench, rules_of(bench))  # so that every window is known
    for name in arguments.only or VARIANTS:
        report(name, bench, VARIANTS[name])


def report(name: str, bench: Bench, variant: Mapping[str, float]) -> None:
    """Print the figures of one variant."""
    constants = {key: value for key, value in variant.items() if key.isupper()}
    changes = {key: value for key, value in variant.items() if key == "confirm_seconds"}
    with replaced_constants(constants):
        tried = without_background(bench) if variant.get("background") == 0 else bench
        tried = replace(tried, engine=replace(tried.engine, calibration=response.first_guess(tried)))
        rules = rules_of(tried, **changes)
        found = swept(tried, rules)
    each = [together(found, [column], rule, None, None) for column, rule in enumerate(rules)]
    one = together(found, list(range(len(rules))), rules[0], None, None)
    print(f"{name}, one threshold: {line(one)}")
    print(f"{name}, each its own:  {line(average_of(found, each))}", flush=True)


def without_background(bench: Bench) -> Bench:
    """The same without prompts against every label."""
    engine = bench.engine
    prototypes = build_prototypes(bench.config.labels, (), bench.model.embed_text, engine.cohort_norm)
    return replace(bench, engine=replace(engine, prototypes=prototypes))


@contextmanager
def replaced_constants(values: Mapping[str, float]) -> Iterator[None]:
    """Replace constants for a while, in every module that uses them: they are what is being chosen here."""
    before = [(module, name, getattr(module, name)) for name in values for module in USERS[name]]
    for module, name, _ in before:
        setattr(module, name, values[name])
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


if __name__ == "__main__":
    main()
