"""Supervisor of Home Assistant: which MQTT broker an app is to use, and its login."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.system.atomic_file import write_atomic
from monitor.system.boundary import boundary
from monitor.system.bounded_read import parse_json, read_json
from monitor.types import ExitCode, MonitorError

ADDRESS = "supervisor:80"
"""Host and port at which every app reaches the Supervisor."""

PATIENCE_SECONDS = 10.0
_MOST_BYTES = 64 * 1024
_PATH = "/services/mqtt"
_UNUSABLE = "the Supervisor's answer about the MQTT broker cannot be used"


class SupervisorError(MonitorError):
    """The Supervisor does not name a broker."""

    exit_code = ExitCode.UNREACHABLE


class NoBrokerError(SupervisorError):
    """Home Assistant has none."""


@dataclass(frozen=True, slots=True)
class Broker:
    """MQTT broker of Home Assistant."""

    host: str
    port: int
    tls: bool
    username: str | None
    password: str | None = field(repr=False)

    def keys(self, variable: str) -> dict[str, Any]:
        """Return it as keys of `mqtt`, with the password in an environment variable."""
        keys: dict[str, Any] = {"host": self.host, "port": self.port, "tls": self.tls}
        if self.username:
            keys["username"] = self.username
            if self.password:
                keys["password_env"] = variable
        return keys


def ask_broker(token: str | None, address: str = ADDRESS, seconds: float = PATIENCE_SECONDS) -> Broker:
    """Ask the Supervisor for the broker, with the token that it gave to this app.

    Raises
    ------
    SupervisorError
        There is no broker, or the answer cannot be used; one line says why.
    """
    if not token:
        raise SupervisorError(
            "the Supervisor cannot be asked for the MQTT broker: SUPERVISOR_TOKEN is not set"
        )
    status, body = _get(token, address, seconds)
    if status == http.HTTPStatus.BAD_REQUEST:
        raise NoBrokerError(
            "Home Assistant has no MQTT broker: install and start the app Mosquitto broker, then start this "
            "one again; or set mqtt.host"
        )
    if status in {http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN}:
        raise SupervisorError(
            f"the Supervisor refuses to name the MQTT broker (HTTP {status}): reinstall this app, so that it "
            "gets a new token"
        )
    if status != http.HTTPStatus.OK:
        raise SupervisorError(f"the Supervisor answers HTTP {status} when asked for the MQTT broker")
    with boundary(SupervisorError, _UNUSABLE):
        answer = parse_json(body)
    return _broker(answer.get("data") if isinstance(answer, dict) else None)


def remember(path: Path, broker: Broker) -> None:
    """Keep the broker for a start at which the Supervisor does not answer; raises OSError."""
    write_atomic(path, _encoded(broker))


def remembered(path: Path) -> Broker | None:
    """Return the broker of an earlier start; None if there is none, or the file is damaged."""
    try:
        with boundary(SupervisorError, str(path)):
            known = read_json(path, _MOST_BYTES)
        return _broker(known)
    except SupervisorError:
        return None


def _get(token: str, address: str, seconds: float) -> tuple[int, bytes]:
    where = f"the Supervisor ({address}) does not say which MQTT broker to use"
    with boundary(SupervisorError, where):
        connection = http.client.HTTPConnection(address, timeout=seconds)
        try:
            connection.request("GET", _PATH, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            return answer.status, answer.read(_MOST_BYTES)
        except TimeoutError as error:
            raise SupervisorError(f"{where}: no answer within {seconds:g} s") from error
        finally:
            connection.close()


def _broker(data: object) -> Broker:
    found: Mapping[str, Any] = data if isinstance(data, dict) else {}
    host, port = found.get("host"), str(found.get("port"))
    if not isinstance(host, str) or not host or not (port.isascii() and port.isdecimal() and len(port) < 6):  # noqa: PLR2004
        raise SupervisorError(f"{_UNUSABLE}: it names no host and port")
    username, password = (_text(found.get(key)) for key in ("username", "password"))
    return Broker(host, int(port), bool(found.get("ssl", False)), username, password)


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise SupervisorError(f"{_UNUSABLE}: user name or password is not a text")
    return value or None


def _encoded(broker: Broker) -> bytes:
    return json.dumps(
        {
            "host": broker.host,
            "port": broker.port,
            "ssl": broker.tls,
            "username": broker.username,
            "password": broker.password,
        }
    ).encode()
