"""Whether the checkpoint works, and fast enough."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Iterator

from monitor.cli.doctor.finding import Code, Finding, failure, good, warning
from monitor.config import Config
from monitor.detection.engine import hops_by_source, window_samples
from monitor.model.clap import Clap
from monitor.model.self_test import sounds
from monitor.types import ConfigError, ModelError

_ROUNDS = 5
_NEARLY_TOO_SLOW = 0.8
"""Real-time factor from which nothing is left for anything else the machine does."""


def model(config: Config) -> Iterator[Finding]:
    """Load the checkpoint, try both towers, and time a window; nothing is kept.

    Parameters
    ----------
    config : Config
    """
    try:
        clap = Clap.configured(config.model)
        length, hop = window_samples(config, clap)
        listened = config.model_copy(update={"sources": config.enabled_sources})
        hops = hops_by_source(listened, length=length, hop=hop, rate=clap.mel_config.rate)
        clap.warm_up(length)
        clap.self_test()
        try:
            clap.embed_text([prompt for label in config.labels if label.enabled for prompt in label.prompts])
        finally:
            clap.forget_text()  # it is a process, which would be left behind
    except (ModelError, ConfigError) as error:
        yield failure("model", str(error), Code.MODEL)
        return
    yield good("model", f"{clap.name} on {clap.device} in {clap.dtype}: tells tone, noise and clicks apart")
    rate = clap.mel_config.rate
    window = sounds(length, rate)[1:2]
    seconds = _time_of(lambda: clap.embed_audio(window))
    yield speed(seconds, hop_seconds=_mean_hop(hops.values()) / rate, sources=len(hops))


def speed(window_seconds: float, *, hop_seconds: float, sources: int) -> Finding:
    """Judge how long one window takes.

    Parameters
    ----------
    window_seconds : float
        Time that one takes.
    hop_seconds : float
        Time from one to the next.
    sources : int
        How many are listened to.
    """
    factor = window_seconds * sources / hop_seconds
    says = (
        f"real-time factor {factor:.2f}: {1000 * window_seconds:.0f} ms for each window, "
        f"one every {hop_seconds:g} s from each of {sources} sources"
    )
    fix = "a longer window.hop_seconds, fewer sources, or a smaller checkpoint"
    if factor >= 1:
        return warning("speed", f"{says}: windows will be left out", fix)
    if factor >= _NEARLY_TOO_SLOW:
        return warning("speed", f"{says}: nothing is left for anything else", fix)
    return good("speed", says)


def _time_of(run: Callable[[], object]) -> float:
    times = []
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def _mean_hop(hops: Collection[int]) -> float:
    """Return the hop that all sources might have to make the same number of windows."""
    return len(hops) / sum(1 / hop for hop in hops)
