"""Notification targets: their addresses, the check before a run, and test messages."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from monitor.config import Config, NotifyConfig, read_secret
from monitor.outputs.clips import SUFFIXES, clip_path
from monitor.outputs.notify.notifier import ATTEMPT_SECONDS, Notifier
from monitor.outputs.notify.send import UNKNOWN_ADDRESS, send
from monitor.types import ConfigError, Event


def notifiers_of(config: Config) -> tuple[Notifier, ...]:
    """Return a notifier for each target; raises as `read_url`."""

    def find_clip(event: Event) -> Path | None:
        path = config.recordings / clip_path(event, SUFFIXES[config.clips.format])
        return path if path.exists() else None

    clip_seconds = config.clips.max_seconds if config.clips.enabled else 0.0
    return tuple(
        Notifier(target, read_url(target), find_clip=find_clip, clip_seconds=clip_seconds)
        for target in config.notify
    )


def read_url(target: NotifyConfig, environment: Mapping[str, str] = os.environ) -> str:
    """Return the address of a target, which is a secret.

    Raises
    ------
    ConfigError
        It is not where the configuration says.
    """
    where = f"notify: {target.name}: "
    url = read_secret(where, "url", file=target.url_file, variable=target.url_env, environment=environment)
    assert url is not None  # noqa: S101 - the configuration has seen to it that one of the two is named
    return url.strip()


def check_targets(config: Config) -> None:
    """Check that every target can be notified; sends nothing.

    Raises
    ------
    ConfigError
        An address is not where the configuration says, Apprise cannot use it, or is not installed.
    """
    for target in config.notify:
        url = read_url(target)
        if find_spec("apprise") is None:
            raise ConfigError("notify needs more packages: pip install 'clap-monitor[notify]'")
        if _send({"url": url}) == UNKNOWN_ADDRESS:
            key = "url_env" if target.url_file is None else "url_file"
            raise ConfigError(
                f"notify: {target.name}: {key}: {UNKNOWN_ADDRESS}; see https://github.com/caronc/apprise/wiki"
            )


def try_targets(config: Config) -> Iterator[tuple[str, str | None]]:
    """Send a message to every target, whatever the hour; yield its name, and why it failed or None.

    Raises as `read_url`.
    """
    for target in config.notify:
        request = {
            "url": read_url(target),
            "title": f"clap-monitor as {config.node}",
            "body": "This is a test. Events and problems will be sent here.",
            "kind": "info",
            "clip": None,
        }
        yield target.name, _send(request)


def _send(request: Mapping[str, str | None]) -> str | None:
    give_up_at = time.monotonic() + ATTEMPT_SECONDS
    return send(request, lambda: give_up_at)
