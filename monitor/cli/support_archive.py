"""Support archive: what a bug report needs, without secrets, addresses or audio."""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from monitor import __version__
from monitor.system.atomic_file import write_atomic
from monitor.types import MonitorError

PACKAGES = (
    "torch",
    "transformers",
    "numpy",
    "onnxruntime",
    "tokenizers",
    "sounddevice",
    "av",
    "paho-mqtt",
    "pydantic",
    "fastapi",
    "uvicorn",
    "prometheus-client",
    "apprise",
)

LOG_LINES = 1_000

_HIDDEN = "(set)"
_PRIVATE = {
    "username",
    "host",
    "url",
    "public_url",
    "prefix",
    "hosts",
    "trusted_proxies",
    "client_id",
    "path",
    "device",
    "password_file",
    "token_file",
    "listen_token_file",
    "url_file",
    "ca_file",
    "cert_file",
    "key_file",
    "state",
    "recordings",
}
"""Keys whose values say where something is, or who somebody is; that they are set is enough."""

_SHORTEST = 4
"""Characters of a value that is looked for in every text; a shorter one is part of words."""

_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+", re.IGNORECASE)
_IP = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
_HOME = re.compile(r"(/home/|/Users/)[^/\s]+")


def write_support(
    path: Path, parts: Mapping[str, Callable[[], str]], hide: Collection[str] = ()
) -> tuple[str, ...]:
    """Write the archive, readable by its owner alone; return the names of the files in it.

    Parameters
    ----------
    path : Path
    parts : mapping of str to callable
        Text of each file by its name; one that cannot be had says why.
    hide : collection of str
        Private values of the configuration, for `redacted`.

    Raises
    ------
    OSError
        It cannot be written.
    """
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, text in parts.items():
            content = redacted(_text_or_reason(text), hide).encode()
            member = tarfile.TarInfo(f"clap-monitor-support/{name}")
            member.size, member.mode, member.mtime = len(content), 0o600, int(time.time())
            archive.addfile(member, io.BytesIO(content))
    write_atomic(path, target.getvalue())
    return tuple(parts)


def _text_or_reason(text: Callable[[], str]) -> str:
    try:
        return text()
    except (MonitorError, OSError) as error:
        return f"not available: {error}\n"


def redacted(text: str, hide: Collection[str] = ()) -> str:
    """Return a text without addresses, names of users, secret variables of the environment, and ``hide``."""
    secret = re.compile(r"PASS|TOKEN|SECRET|KEY|URL")
    values = {value for name, value in os.environ.items() if secret.search(name)} | set(hide)
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST:
            text = text.replace(value, "(hidden)")
    text = _ADDRESS.sub("(address)", text)
    text = _IP.sub("(address)", text)
    return _HOME.sub(r"\1(user)", text)


def versions() -> str:
    """Return the versions of the monitor, Python and packages, and what the machine is."""
    lines = [
        f"clap-monitor {__version__}",
        f"Python {platform.python_version()} ({platform.python_implementation()})",
        f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores",
        *_release(),
    ]
    for name in PACKAGES:
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name}: not installed")
    return "\n".join(lines) + "\n"


def _release() -> Iterator[str]:
    try:
        yield platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return


def public_settings(settings: Any) -> Any:
    """Return settings, ready for JSON, in which private values are replaced by ``(set)``.

    Of a command only the name of the program stays.
    """
    if isinstance(settings, Mapping):
        found = {}
        for key, value in settings.items():
            if key == "command" and value:
                first = value[0] if isinstance(value, list | tuple) else str(value).split()[0]
                found[key] = Path(str(first)).name
            elif key in _PRIVATE and value is not None:
                found[key] = _HIDDEN
            else:
                found[key] = public_settings(value)
        return found
    if isinstance(settings, list | tuple):
        return [public_settings(each) for each in settings]
    return settings


def private_values(settings: Any) -> frozenset[str]:
    """Return the private values of settings, and all words of their commands except the program."""
    found: set[str] = set()
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            if key == "command" and value:
                found |= (
                    set(map(str, value[1:]))
                    if isinstance(value, list | tuple)
                    else set(str(value).split()[1:])
                )
            elif key in _PRIVATE and value is not None:
                found |= {str(each) for each in (value if isinstance(value, list | tuple) else [value])}
            else:
                found |= private_values(value)
    elif isinstance(settings, list | tuple):
        for each in settings:
            found |= private_values(each)
    return frozenset(found - {"True", "False", "auto"})


def as_text(content: object) -> str:
    """Return indented JSON."""
    return json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n"


def newest_log() -> str:
    """Return the newest lines of the service in the journal."""
    program = shutil.which("journalctl")
    if program is None:
        return "not available: there is no journalctl; attach the output of the monitor yourself\n"
    command = [
        program,
        "--unit",
        "clap-monitor",
        "--lines",
        str(LOG_LINES),
        "--no-pager",
        "--output",
        "short-iso",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - no text of a user
    except subprocess.TimeoutExpired:
        return "not available: journalctl does not answer\n"
    return done.stdout or f"not available: {done.stderr.strip() or 'the journal is empty'}\n"
