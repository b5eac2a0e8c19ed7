"""Recording: some seconds of one source, for a check or as an example of a sound."""

from __future__ import annotations

import contextlib
import threading

import numpy as np

from monitor.audio.source_status import SourceStatus
from monitor.audio.sources import SourceContext, open_source
from monitor.config import SourceConfig
from monitor.types import Samples, SourceError

_PATIENCE_SECONDS = 60.0
"""A driver that needs this much longer than the recording has stopped delivering.  A camera gets as much time
as in `run`: first it is asked for audio only, then for all tracks."""


def record_seconds(config: SourceConfig, rate: int, seconds: float, status: SourceStatus) -> Samples:
    """Record from a source.

    Parameters
    ----------
    config : SourceConfig
    rate : int
        Hz, of the samples.
    seconds : float
    status : SourceStatus
        Counts what is lost.

    Returns
    -------
    Samples
        At least so many seconds.

    Raises
    ------
    SourceError
        The source does not deliver them.
    """
    stop = threading.Event()
    timer = threading.Timer(seconds + _PATIENCE_SECONDS, stop.set)
    timer.start()
    parts: list[Samples] = []
    blocks = open_source(config, SourceContext(rate, status, stop, required=True))
    try:
        with contextlib.closing(blocks):  # type: ignore[type-var]  # a generator, annotated as an iterator
            for block in blocks:
                parts.append(block.samples)
                if block.stop >= seconds * rate:
                    return np.concatenate(parts)
    finally:
        timer.cancel()
    raise SourceError(f"source {config.name}: {status.offline_text or 'stopped delivering'}")
