"""Usual sounds of a source at this time of day, from the memory, and the distance from which one is unusual.

The daemon runs this module as a process of low priority, `main`, so that neither the gigabytes of vectors
that it passes over nor its load reach the analysis.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from monitor.config.alarm_target import parse_target
from monitor.detection.alarm_rate import NoThreshold
from monitor.detection.alarm_words import basis, refusal
from monitor.detection.cohort_norm import CohortNorm
from monitor.detection.nearest_neighbours import Whiten, coreset, whitening
from monitor.detection.quantised import quantised
from monitor.memory.memory_reader import MemoryReader
from monitor.memory.unusual_reference import (
    Basis,
    Reference,
    ReferenceFileError,
    read_reference,
    reference_path,
    write_reference,
)
from monitor.memory.unusual_windows import (
    DAY_SECONDS,
    DAYS,
    LEAST_SECONDS,
    neighbours_in,
    spans_before,
    unusual_distances,
)
from monitor.system.boundary import explain
from monitor.system.cpu import give_way
from monitor.types import ExitCode, MonitorError

_EXPECTED = 4.0
"""Unusual sounds to be expected in what is looked at for a threshold, if a week is enough: its rate is then
about within a factor of 2."""


class NotYetError(MonitorError):
    """It cannot be known yet what is usual; the text says why."""

    exit_code = ExitCode.TEMPORARY


@dataclass(frozen=True, slots=True)
class Request:
    """What a process is asked for."""

    state: str
    """The state directory."""
    identity: str
    """Of the checkpoint."""
    source: str
    target: str
    """Desired rate, such as ``1/day``."""
    mean: Sequence[float] | None
    """Of the cohort norm, shape (d,); None without one."""
    directions: Sequence[Sequence[float]] | None
    """Of the cohort norm, shape (k, d)."""

    @property
    def whiten(self) -> Whiten:
        """How embeddings are compared."""
        if self.mean is None or self.directions is None:
            return whitening(None)
        return whitening(CohortNorm(*(np.array(each, np.float32) for each in (self.mean, self.directions))))


def update_reference(request: Request, now: float) -> Reference:
    """Write the usual sounds of a source for the next hour; set the threshold again if it is a day old.

    Parameters
    ----------
    request : Request
    now : float
        Unix seconds.

    Raises
    ------
    NotYetError
        Too little is remembered.
    MonitorError
        A segment cannot be read.
    OSError
        The file cannot be written.
    """
    state = Path(request.state)
    reader, whiten = MemoryReader(state, request.identity), request.whiten
    _check_span(reader, request.source, now)
    neighbours = neighbours_in(reader, request.source, spans_before(now))
    if not len(neighbours):
        raise NotYetError("nothing is remembered of this time of day")
    path = reference_path(state, request.source)
    rows = quantised(coreset(whiten(neighbours)))
    reference = Reference(_basis(request, reader, path, now, rows.shape[1]), rows)
    write_reference(path, reference)
    return reference


def _check_span(reader: MemoryReader, source: str, now: float) -> None:
    span = reader.span(source)
    remembered = 0.0 if span is None else now - max(span.since, now - DAYS * DAY_SECONDS)
    if remembered < LEAST_SECONDS:
        raise NotYetError(f"learning, {max(0.0, remembered) / 3600:.0f} h of {LEAST_SECONDS / 3600:.0f}")


def _basis(request: Request, reader: MemoryReader, path: Path, now: float, dimension: int) -> Basis:
    try:
        before = read_reference(path, request.identity, dimension)
    except ReferenceFileError:
        before = None
    known = before.basis if before is not None and before.basis.target == request.target else None
    if known is not None and 0 <= now - known.threshold_at < DAY_SECONDS:
        return replace(known, written_at=now)
    per_hour = parse_target(request.target)
    days = min(DAYS, max(LEAST_SECONDS / DAY_SECONDS, math.ceil(_EXPECTED / per_hour / 24)))
    since = now - days * DAY_SECONDS
    heard = unusual_distances(reader, request.source, since, now, request.whiten, later_days=True)
    found = NoThreshold("nothing was heard", 0.0) if heard is None else heard.threshold(per_hour)
    if not isinstance(found, NoThreshold):
        return Basis(request.identity, now, request.target, found.threshold, now, basis(found))
    if known is None:
        raise NotYetError(refusal(found))
    return replace(known, written_at=now, words=f"{refusal(found)}; the last threshold holds")


def main() -> None:
    """Answer the request on standard input: write the reference, or print why not."""
    give_way()
    request = Request(**json.load(sys.stdin))
    try:
        update_reference(request, time.time())
    except NotYetError as error:
        sys.stdout.write(str(error))
        sys.exit(NotYetError.exit_code)
    except (MonitorError, OSError) as error:
        sys.exit(explain(error))


if __name__ == "__main__":
    main()
