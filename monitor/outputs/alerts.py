"""Everyone beside the broker who is told of events: people, and commands."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from monitor.config import Config, LabelConfig, NotifyConfig, read_secret
from monitor.outputs.clips import SUFFIXES, clip_path
from monitor.outputs.hooks import Hook, find_program
from monitor.outputs.notify.notifier import LIMIT_SECONDS, Notifier
from monitor.outputs.notify.send import NOT_UNDERSTOOD, post
from monitor.outputs.payload import event_message
from monitor.types import ConfigError, Event

_NO_NEWS = ("notify", "hook", "reload")
"""Troubles of which it would not help to be told this way, or that somebody sees who made them."""


class Alerts:
    """Hand every event to all of them; each has threads of its own.

    Parameters
    ----------
    config : Config
    model : str
        Name of the checkpoint.

    Raises
    ------
    ConfigError
        If one of them cannot do its work.
    """

    def __init__(self, config: Config, model: str) -> None:
        self.hooks = [Hook(hook) for hook in config.hooks]
        self.notifiers = [
            Notifier(
                target,
                read_url(target),
                find_clip=self._find_clip,
                clip_seconds=config.clips.max_seconds if config.clips.enabled else 0.0,
            )
            for target in config.notify
        ]
        self._config = config
        self._model = model

    def put(self, event: Event, label: LabelConfig) -> None:
        """Tell everybody of the start or the end of an event; waits for nobody."""
        for notifier in self.notifiers:
            notifier.put(event, label.title, clip=label.clips)
        if self.hooks:
            payload = event_message(
                event, node=self._config.node, label=label, model=self._model, published_at=time.time()
            )
            for hook in self.hooks:
                hook.put(payload)

    def problems(self, problems: Sequence[Mapping[str, str]]) -> None:
        """Tell whoever wants to know everything that is wrong now.

        Parameters
        ----------
        problems : sequence of mapping
            ``what`` and ``why``; who is told and what is run has no part in it.
        """
        wrong = {each["what"]: each["why"] for each in problems if each["what"].split()[0] not in _NO_NEWS}
        for notifier in self.notifiers:
            notifier.problems(wrong)

    def threads(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Return names and bodies of the threads that do the work; `close` ends them."""
        for notifier in self.notifiers:
            yield f"notify {notifier.name}", notifier.run
        for hook in self.hooks:
            for number in range(hook.threads):
                yield f"hook {hook.name}" + (f" {number + 1}" if number else ""), hook.run

    def close(self) -> None:
        """No more events will come."""
        for notifier in self.notifiers:
            notifier.close()
        for hook in self.hooks:
            hook.close()

    def _find_clip(self, event: Event) -> Path | None:
        path = self._config.recordings / clip_path(event, SUFFIXES[self._config.clips.format])
        return path if path.exists() else None


def read_url(target: NotifyConfig, environment: Mapping[str, str] = os.environ) -> str:
    """Address of a target, which is a secret.

    Raises
    ------
    ConfigError
        If it is not where it should be.
    """
    where = f"notify: {target.name}: "
    url = read_secret(where, "url", file=target.url_file, variable=target.url_env, environment=environment)
    assert url is not None  # noqa: S101 - the configuration has seen to it that one of the two is named
    return url.strip()


def check_alerts(config: Config) -> None:
    """See that everything is there that hooks and notifications need; tells nobody anything.

    Raises
    ------
    ConfigError
        If it is not.
    """
    for hook in config.hooks:
        find_program(hook)
    for target in config.notify:
        url = read_url(target)
        if find_spec("apprise") is None:
            raise ConfigError("notify needs more packages: pip install 'clap-monitor[notify]'")
        if not is_understood(url):
            key = "url_env" if target.url_file is None else "url_file"
            raise ConfigError(
                f"notify: {target.name}: {key}: {NOT_UNDERSTOOD}; see https://github.com/caronc/apprise/wiki"
            )


def is_understood(url: str) -> bool:
    """Tell whether Apprise can make something of an address; tells nobody anything."""
    give_up_at = time.monotonic() + LIMIT_SECONDS
    return post({"url": url}, lambda: give_up_at) != NOT_UNDERSTOOD


def try_targets(config: Config) -> Iterator[tuple[str, str | None]]:
    """Send a message to every target, whatever the hour; yield its name, and why that failed.

    Raises
    ------
    ConfigError
        As `check_alerts`.
    """
    for target in config.notify:
        letter = {
            "url": read_url(target),
            "title": f"clap-monitor as {config.node}",
            "body": "This is a test: what is heard will be told here.",
            "kind": "info",
            "clip": None,
        }
        give_up_at = time.monotonic() + LIMIT_SECONDS
        yield target.name, post(letter, partial(float, give_up_at))
