"""Source checks: whether each source delivers audio, and at what level."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from monitor.audio.level import gate, loudest_dbfs, rms_dbfs
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.recording import record_seconds
from monitor.config import SourceConfig, read_address
from monitor.daemon.checks.finding import Finding, failure, good, warning
from monitor.daemon.preflight import check_media, find_microphone
from monitor.types import ExitCode, GateReason, Samples, SourceError

RATE = 48_000
"""Sample rate in Hz, if the source sets none."""

_FIXES = {
    "microphone": "`clap-monitor devices` lists all microphones; a running clap-monitor may hold this one",
    "stream": "try the URL in a player such as VLC or ffplay",
}

_FULL_SCALE = 0.999
_CLIPPED = 1e-3
"""Share of samples at full scale from which a recording counts as clipped."""


def source(config: SourceConfig, *, seconds: float, silence_dbfs: float) -> Iterator[Finding]:
    """Find a source, and record ``seconds`` from it if it is live."""
    if config.kind == "pcm":
        yield good("source", f"{config.name}: raw samples on standard input, not checked")
    elif config.kind == "file":
        try:
            check_media(config)
            yield good("source", f"{config.name}: {config.path} contains audio")
        except SourceError as error:
            yield failure("source", str(error), ExitCode.SOURCE)
    else:
        yield from _live(config, seconds, silence_dbfs)


def level(name: str, samples: Samples, rate: int, silence_dbfs: float) -> Finding:
    """Check the level of what a live source delivered, shape (n,)."""
    match gate(samples, rate, silence_dbfs):
        case GateReason.DIGITAL_SILENCE:
            return failure(
                "level",
                f"{name}: only exact zeros: it is muted or broken",
                ExitCode.DEAD,
                "check the mute switch, `alsamixer` (F4) or `pactl list sources`, and the plug",
            )
        case GateReason.NON_FINITE:
            return failure(
                "level",
                f"{name}: samples are not finite, or far above full scale",
                ExitCode.DEAD,
                "try another rate, format or device",
            )
        case reason:
            quiet = reason is not None
    text = f"{name}: {rms_dbfs(samples):.0f} dBFS, loudest 0.1 s {loudest_dbfs(samples, rate):.0f} dBFS"
    if quiet:
        fix = "raise the gain, lower silence_dbfs, or make a sound during the check"
        return warning("level", f"{text}: below silence_dbfs, so nothing would be scored", fix)
    if np.mean(np.abs(samples) >= _FULL_SCALE) >= _CLIPPED:
        return warning("level", f"{text}: clipped", "lower the gain")
    return good("level", text)


def _live(config: SourceConfig, seconds: float, silence_dbfs: float) -> Iterator[Finding]:
    rate = config.rate or RATE
    status = SourceStatus(config.name)
    try:
        if config.kind == "stream":
            where = read_address(config).shown
        else:
            device = find_microphone(config)
            where = f"{device.name!r} ({device.host_api})"
        samples = record_seconds(config, rate, seconds, status)
    except SourceError as error:
        yield failure("source", str(error), ExitCode.SOURCE, _FIXES[config.kind])
        return
    yield good("source", f"{config.name}: {where} delivers audio")
    yield level(config.name, samples, rate, silence_dbfs)
    if status.lost or status.overflows:
        yield warning(
            "level",
            f"{config.name}: {status.lost / rate:.2f} s of audio were lost",
            "check what else loads the CPU or the USB bus",
        )
