"""Whether the sources are there, and whether a live one hears."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import numpy as np

from monitor.audio.level import gate, loudest_dbfs, rms_dbfs
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources import SourceContext, open_source
from monitor.cli.doctor.finding import Code, Finding, failure, good, warning
from monitor.config import SourceConfig, read_address
from monitor.daemon.preflight import check_media, find_microphone
from monitor.types import GateReason, Samples, SourceError

RATE = 48_000
"""Hz, of what is listened to if the source does not say."""

_PATIENCE_SECONDS = 60.0
"""A driver that takes longer than the listening and this much more has stopped delivering.  A camera is given
the time that `run` gives it: to be asked for sound alone, and then for all that it has."""

_FIXES = {
    "microphone": "`clap-monitor devices` lists what there is; a clap-monitor that runs may hold it",
    "stream": "try its address in a player such as VLC or ffplay",
}

_FULL_SCALE = 0.999
_CLIPPED = 1e-3
"""Share of samples at full scale from which a recording counts as clipped."""


def source(config: SourceConfig, *, seconds: float, silence_dbfs: float) -> Iterator[Finding]:
    """Look for a source, and listen to it if it is live.

    Parameters
    ----------
    config : SourceConfig
    seconds : float
        How long to listen.
    silence_dbfs : float
        What is quieter will not be scored.
    """
    if config.kind == "pcm":
        yield good("source", f"{config.name}: raw samples on standard input, which doctor leaves alone")
    elif config.kind == "file":
        try:
            check_media(config)
            yield good("source", f"{config.name}: {config.path} holds audio")
        except SourceError as error:
            yield failure("source", str(error), Code.SOURCE)
    else:
        yield from _live(config, seconds, silence_dbfs)


def level(name: str, samples: Samples, rate: int, silence_dbfs: float) -> Finding:
    """Judge what a live source delivered.

    Parameters
    ----------
    name : str
        Of the source.
    samples : Samples
        Shape (n,).
    rate : int
        Hz.
    silence_dbfs : float
    """
    match gate(samples, rate, silence_dbfs):
        case GateReason.DIGITAL_SILENCE:
            return failure(
                "level",
                f"{name}: nothing but exact zeros: it is muted or dead",
                Code.DEAD,
                "look for a mute switch, at `alsamixer` (F4) or `pactl list sources`, at the plug",
            )
        case GateReason.NON_FINITE:
            return failure(
                "level",
                f"{name}: delivers what are no numbers, or far beyond full scale",
                Code.DEAD,
                "try another rate, format or device",
            )
        case reason:
            quiet = reason is not None
    says = f"{name}: {rms_dbfs(samples):.0f} dBFS, {loudest_dbfs(samples, rate):.0f} at the loudest"
    if quiet:
        fix = "raise its gain, lower silence_dbfs, or make a sound while doctor listens"
        return warning("level", f"{says}: quieter than silence_dbfs, so nothing would be scored", fix)
    if np.mean(np.abs(samples) >= _FULL_SCALE) >= _CLIPPED:
        return warning("level", f"{says}: it is overdriven", "lower its gain")
    return good("level", says)


def _live(config: SourceConfig, seconds: float, silence_dbfs: float) -> Iterator[Finding]:
    rate = config.rate or RATE
    status = SourceStatus(config.name)
    try:
        if config.kind == "stream":
            where = read_address(config).shown
        else:
            device = find_microphone(config)
            where = f"{device.name!r} ({device.host_api})"
        samples = _listen(config, rate, seconds, status)
    except SourceError as error:
        yield failure("source", str(error), Code.SOURCE, _FIXES[config.kind])
        return
    yield good("source", f"{config.name}: {where} delivers")
    yield level(config.name, samples, rate, silence_dbfs)
    if status.lost or status.overflows:
        yield warning(
            "level",
            f"{config.name}: {status.lost / rate:.2f} s of audio were lost while listening",
            "see what else keeps the processor or the USB bus busy",
        )


def _listen(config: SourceConfig, rate: int, seconds: float, status: SourceStatus) -> Samples:
    """Samples of so many seconds; `SourceError` if they do not come."""
    stop = threading.Event()
    timer = threading.Timer(seconds + _PATIENCE_SECONDS, stop.set)
    timer.start()
    parts: list[Samples] = []
    blocks = open_source(config, SourceContext(rate, status, stop, required=True))
    try:
        with contextlib.closing(blocks):  # type: ignore[type-var]  # a generator, called an iterator
            for block in blocks:
                parts.append(block.samples)
                if block.stop >= seconds * rate:
                    return np.concatenate(parts)
    finally:
        timer.cancel()
    raise SourceError(f"source {config.name}: {status.offline_text or 'stopped delivering'}")
