"""Model check: whether the checkpoint works, and is fast enough."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Iterator

from monitor.cli.console.status_view import calibration_line, model_line
from monitor.config import Config
from monitor.daemon.checks.finding import Finding, failure, good, warning
from monitor.detection.calibration import read_calibration
from monitor.detection.engine import hops_by_source, window_samples
from monitor.detection.qualification import calibration_status
from monitor.evaluation.calibration_kit import read_kit
from monitor.evaluation.qualified_engine import known_qualification, refuse_guessing, setup_of
from monitor.model.clap import Clap
from monitor.model.self_test import sounds
from monitor.types import ConfigError, ExitCode, ModelError, SourceError

_ROUNDS = 5
_NEARLY_TOO_SLOW = 0.8
"""Real-time factor from which the machine has no time for other work."""


def model(config: Config) -> Iterator[Finding]:
    """Load the checkpoint, test both encoders, and time a window."""
    try:
        clap = Clap.configured(config.model)
        length, hop = window_samples(config, clap)
        active = config.model_copy(update={"sources": config.enabled_sources})
        hops = hops_by_source(active, length=length, hop=hop, rate=clap.mel_config.rate)
        clap.warm_up(length)
        clap.self_test()
        try:
            clap.embed_text([prompt for label in config.labels if label.enabled for prompt in label.prompts])
        finally:
            clap.forget_text()  # ends its process
    except (ModelError, ConfigError) as error:
        yield failure("model", str(error), ExitCode.DATA)
        return
    loaded = {key: getattr(clap, key) for key in ("name", "engine", "device", "dtype")}
    yield good("model", f"{model_line(loaded)}: distinguishes tone, noise and clicks")
    yield calibration(config, clap, length, hop)
    rate = clap.mel_config.rate
    window = sounds(length, rate)[1:2]
    seconds = _time_of(lambda: clap.embed_audio(window))
    yield speed(seconds, hop_seconds=_mean_hop(hops.values()) / rate, sources=len(hops))


def calibration(config: Config, clap: Clap, length: int, hop: int) -> Finding:
    """Check which calibration holds for these windows, and what the checkpoint is worth; measures nothing."""
    try:
        setup = setup_of(clap, length, hop, read_kit())
        found = known_qualification(config.state, setup, clap)
        if found is None and read_calibration(clap.path) is None:
            fix = f"clap-monitor qualify {clap.name}; otherwise the first run does so"
            return warning("calibration", "not qualified for these windows yet", fix)
        if found is not None and not config.model.allow_unqualified:
            refuse_guessing(found, clap.name)
    except (ModelError, SourceError) as error:
        return failure("calibration", str(error), ExitCode.DATA)
    return good("calibration", calibration_line(calibration_status(found, clap.identity)))


def speed(window_seconds: float, *, hop_seconds: float, sources: int) -> Finding:
    """Check the time to score one window against the time from one to the next, and the number of sources."""
    factor = window_seconds * sources / hop_seconds
    text = (
        f"real-time factor {factor:.2f}: {1000 * window_seconds:.0f} ms per window, "
        f"one every {hop_seconds:g} s from each of {sources} sources"
    )
    fix = "use a longer window.hop_seconds, fewer sources, or a smaller checkpoint"
    if factor >= 1:
        return warning("speed", f"{text}: windows will be late", fix)
    if factor >= _NEARLY_TOO_SLOW:
        return warning("speed", f"{text}: no CPU time is left for other work", fix)
    return good("speed", text)


def _time_of(run: Callable[[], object]) -> float:
    times = []
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def _mean_hop(hops: Collection[int]) -> float:
    """Return the common hop that would give the same number of windows."""
    return len(hops) / sum(1 / hop for hop in hops)
