"""Preflight check: finds what is missing before the model is loaded, in a second instead of ten."""

from __future__ import annotations

import contextlib
import threading
from importlib.util import find_spec

from monitor.audio.source_status import SourceStatus
from monitor.audio.sources import SourceContext, open_source
from monitor.audio.sources.devices import Device, choose
from monitor.config import Config, SourceConfig, read_address, read_listen_token, read_password, read_token
from monitor.fleet.signature import read_verifier
from monitor.outputs.clips import MODES
from monitor.outputs.hooks import find_program
from monitor.outputs.mqtt.tls import broker_address, tls_context
from monitor.outputs.notify.targets import check_targets
from monitor.system.directories import make_writable
from monitor.system.state_version import prepare_state
from monitor.types import ConfigError, SourceError

_ANY_RATE = 48_000


def check(config: Config, *, required: bool = False) -> None:
    """Check everything that a run needs, except the model and the broker.

    If ``required``, a missing microphone or stream is an error.

    Raises
    ------
    ConfigError
        No label or no source is enabled, a secret is missing, a hook or a notification target cannot be
        used, or the page cannot be served.
    OutputError
        A directory cannot be written, or a newer version wrote the state directory.
    SourceError, NotAudioError
        A sound file, or a required microphone or stream, cannot be used.
    """
    _refuse_no_label(config)
    check_named(config)
    if not config.enabled_sources:
        raise ConfigError("sources: none is enabled: enable at least one")
    check_served(config)
    make_writable(config.state, "state")
    prepare_state(config.state)
    _make_recordings(config)
    for source in config.enabled_sources:
        if source.kind == "file" or (source.kind == "stream" and required):
            check_media(source)
        elif source.kind == "microphone" and required:
            find_microphone(source)


def check_named(config: Config) -> None:
    """Check what the configuration names: the secrets of broker and streams, hooks and notification targets.

    Raises
    ------
    ConfigError
        One of them is missing or cannot be used.
    """
    read_password(config.mqtt)
    if config.fleet.public_key_file is not None:
        read_verifier(config.fleet.public_key_file)
    check_alerts(config)
    for source in config.enabled_sources:
        if source.kind == "stream":
            read_address(source)


def check_alerts(config: Config) -> None:
    """Check that every hook can be run and every target be notified; runs and sends nothing.

    Raises
    ------
    ConfigError
        A program is missing, or a target cannot be used.
    """
    for hook in config.hooks:
        find_program(hook)
    check_targets(config)


def check_reload(config: Config) -> None:
    """Check what a reload may change: the broker's password and certificates, the directory of clips.

    Raises
    ------
    ConfigError
        No label is enabled, or the password or a certificate is missing.
    OutputError
        The directory cannot be written.
    """
    _refuse_no_label(config)
    read_password(config.mqtt)
    if config.mqtt.host is not None:
        broker_address(config.mqtt)
        tls_context(config.mqtt)
    _make_recordings(config)


def _refuse_no_label(config: Config) -> None:
    if not any(label.enabled for label in config.labels):
        raise ConfigError("labels: none is enabled: enable at least one")


def _make_recordings(config: Config) -> None:
    if config.clips.enabled:
        make_writable(config.recordings, "recordings", mode=MODES[config.clips.readable_by][1])


def check_served(config: Config) -> None:
    """Check that the packages for the page and the metrics are installed, without importing them.

    Raises
    ------
    ConfigError
        A package of the extras `web` or `metrics` is missing, or a token is.
    """
    if config.metrics.enabled and find_spec("prometheus_client") is None:
        raise ConfigError(
            "metrics.enabled: prometheus_client is not installed here: pip install 'clap-monitor[metrics]'"
        )
    if not config.web.enabled:
        return
    read_token(config.web)
    read_listen_token(config.web)
    needed = ("fastapi", "uvicorn", "websockets", "prometheus_client")
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"web.enabled: the page needs {', '.join(missing)}, not installed here: "
            "pip install 'clap-monitor[web]'"
        )


def check_media(source: SourceConfig) -> None:
    """Read the first block of a sound file or a stream, and forget it.

    Raises
    ------
    SourceError, NotAudioError
        There is none.
    """
    blocks = open_source(
        source.model_copy(update={"pace": "fast"}),
        SourceContext(_ANY_RATE, SourceStatus(source.name), threading.Event(), required=True),
    )
    with contextlib.closing(blocks):  # type: ignore[type-var]  # a generator, called an iterator
        next(blocks, None)


def find_microphone(source: SourceConfig) -> Device:
    """Return the microphone of a source.

    Raises
    ------
    SourceError
        It is not connected, or its name matches several.
    """
    from monitor.audio.sources.portaudio import library  # noqa: PLC0415 - files need no PortAudio

    try:
        return choose(library.devices(), source.device)
    except SourceError as error:
        raise SourceError(f"source {source.name}: {error}") from error
