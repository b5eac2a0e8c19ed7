"""Trials of what a person enters in set-up: a camera's address or a broker; and a search for brokers."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from monitor.config import (
    BrokerChoice,
    CameraChoice,
    Draft,
    MqttConfig,
    SourceConfig,
    checked,
    read_address,
)
from monitor.daemon.checks.broker import broker as check_broker
from monitor.daemon.checks.finding import Finding, failure, good
from monitor.daemon.checks.source_checks import source as check_source
from monitor.daemon.first_run.plan import Keep, broker_keys, camera_keys, known_broker
from monitor.types import ConfigError, ExitCode, SourceError

LISTEN_SECONDS = 3.0
"""Recorded from a camera, to show its level."""

_NEARBY = ("localhost", "core-mosquitto", "mosquitto", "homeassistant.local")
"""Names of a broker: on this machine, of Home Assistant's app, of our compose file, in the network (mDNS)."""

_PORT = 1883
_LOOK_SECONDS = 1.0


def try_camera(camera: CameraChoice, *, silence_dbfs: float) -> Iterator[Finding]:
    """Connect to a camera: address and login, codec and rate, then the level of some seconds."""
    from monitor.audio.sources.ffmpeg import probe  # noqa: PLC0415 - microphones need no FFmpeg

    with _secret_files() as keep:
        try:
            source = checked(SourceConfig, camera_keys(camera, keep))
            address = read_address(source)
        except ConfigError as error:
            yield failure("address", str(error), ExitCode.CONFIGURATION)
            return
        try:
            sound = probe(address)
        except SourceError as error:
            fix = "try the address in a player such as VLC; the camera's manual or app shows it"
            yield failure("connection", str(error), ExitCode.SOURCE, fix)
            return
        yield good(
            "connection", f"{address.shown} answers" + (" and accepts the login" if address.login else "")
        )
        rate = f"{sound.rate} Hz" if sound.rate else "rate not known yet"
        yield good("format", f"{sound.codec}, {rate}, {sound.channels} channels")
        yield from check_source(source, seconds=LISTEN_SECONDS, silence_dbfs=silence_dbfs)


def try_broker(broker: BrokerChoice, node: str, draft: Draft) -> Iterator[Finding]:
    """Check each step to a broker, as `doctor` does."""
    with _secret_files() as keep:
        try:
            config = checked(MqttConfig, known_broker(draft, broker) | broker_keys(broker, keep))
        except ConfigError as error:
            yield failure("broker", str(error), ExitCode.CONFIGURATION)
            return
        yield from check_broker(config, node=node)


def brokers_nearby() -> list[str]:
    """Return the usual names of a broker at which something listens on the port of MQTT."""
    with ThreadPoolExecutor(len(_NEARBY)) as pool:
        found = pool.map(_listens, _NEARBY)
        return [name for name, listens in zip(_NEARBY, found, strict=True) if listens]


def _listens(host: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, _PORT), _LOOK_SECONDS):
        return True
    return False


@contextmanager
def _secret_files() -> Iterator[Keep]:
    """Keep secrets in files that only this user can read, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="clap-monitor-") as directory:

        def keep(name: str, secret: str) -> Path:
            path = Path(directory) / name
            path.touch(mode=0o600)
            path.write_text(secret, encoding="utf-8")
            return path

        yield keep
