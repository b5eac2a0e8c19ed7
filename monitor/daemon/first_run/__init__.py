"""First run: the page asks for what the monitor needs, before there is a configuration with a source."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from monitor import __version__
from monitor.config import Config, Draft, read_draft, read_token, serve_at
from monitor.daemon.control_socket import ControlSocket
from monitor.daemon.first_run.plan import TOKEN_FILE
from monitor.daemon.first_run.set_up_service import SetUp
from monitor.daemon.preflight import check_served
from monitor.system import systemd
from monitor.system.atomic_file import write_atomic
from monitor.system.directories import make_writable
from monitor.system.state_version import prepare_state
from monitor.system.threads import ThreadGroup
from monitor.types import ConfigError, OutputError

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_CLOSE_SECONDS = 7.0


def set_up(path: Path, web: str | None) -> None:
    """Serve set-up until the file has a source; nothing is heard until then.

    Raises
    ------
    MonitorError
        The page cannot be served.
    """
    draft = read_draft(path.absolute())
    config = _with_token(draft, web)
    check_served(config)
    make_writable(config.state, "state")
    prepare_state(config.state)
    _serve(draft, config)


def _serve(draft: Draft, config: Config) -> None:
    from monitor.outputs.web.server import Web  # noqa: PLC0415 - the extra `web`
    from monitor.outputs.web.set_up_page import SetUpContext, set_up_application  # noqa: PLC0415

    started_at, done, token = time.time(), threading.Event(), read_token(config.web)
    web = Web(config.web, token, first_run=True)
    status = partial(_status, config, web.url, started_at)
    page = SetUp(draft.path, config.web, on_written=done.set)
    app = set_up_application(SetUpContext(web.access, page, status, web.prefix, web.faults))
    control_socket = ControlSocket(config.state, {"status": lambda _: iter([status()])})
    stop = threading.Event()
    threads = ThreadGroup(stop)
    threads.start("web", partial(web.serve, app))
    if control_socket.open():
        threads.start("answer", control_socket.run)
    log.warning("no source is configured, so no sound is detected: set up the monitor at %s", web.url)
    try:
        _wait(draft.path, done, stop)
    finally:
        control_socket.close()
        page.meters.close()
        web.close()
        threads.join(_CLOSE_SECONDS)


def _wait(path: Path, done: threading.Event, failed: threading.Event) -> None:
    """Wait until set-up, or somebody by hand, has written a source; the service manager sees why we wait."""
    systemd.notify("READY=1")
    while not done.wait(_TICK_SECONDS) and not failed.is_set():
        systemd.notify("WATCHDOG=1", "STATUS=set-up: no source is configured, so no sound is detected")
        if _is_complete(path):
            return


def _is_complete(path: Path) -> bool:
    try:
        return read_draft(path).has_source
    except ConfigError:  # somebody is still writing
        return False


def _with_token(draft: Draft, web: str | None) -> Config:
    """Return the configuration, with the page at its address, and with the token that earlier set-ups made.

    A page that others reach needs a token from the start, so one is written.
    """
    config, file = draft.config, draft.path.parent / TOKEN_FILE
    if config.web.token_file is None and config.web.token_env is None:
        if not file.exists() and not serve_at(_with_file(config, file), web or "").web.local:
            _write_token(file)
        if file.exists():
            config = _with_file(config, file)
    return serve_at(config, web or "")


def _with_file(config: Config, file: Path) -> Config:
    return config.model_copy(update={"web": config.web.model_copy(update={"token_file": file})})


def _write_token(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, f"{secrets.token_hex(24)}\n".encode(), durable=True)
    except OSError as error:
        raise OutputError(f"{file}: the token of the page cannot be written: {error.strerror}") from error
    log.warning("set-up asks for the token of the page, which is in %s", file)


def _status(config: Config, url: str, started_at: float) -> dict[str, Any]:
    why = f"no source is configured, so no sound is detected: set up the monitor at {url}"
    return {
        "schema": 1,
        "state": "setup",
        "node": config.node,
        "version": __version__,
        "pid": os.getpid(),
        "started_at": round(started_at, 3),
        "uptime_seconds": round(time.time() - started_at, 1),
        "sources": {},
        "labels": [],
        "problems": [{"what": "set-up", "why": why}],
    }
