"""Secrets, which stand in a file or in the environment and never in the configuration."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from monitor.config.models import MqttConfig
from monitor.config.sources import SourceConfig
from monitor.config.stream_address import Address, Login
from monitor.system.bounded_read import DamagedError, read_text
from monitor.types import ConfigError

log = logging.getLogger(__name__)

_MAX_BYTES = 64 * 1024  # what MQTT allows
_LONGEST_LOGIN = {"rtsp": 127, "rtsps": 127, "http": 1023, "https": 1023}
"""FFmpeg cuts off what is longer, without a word."""


def read_password(mqtt: MqttConfig, environment: Mapping[str, str] = os.environ) -> str | None:
    """Password of the broker; None if none is configured.

    Parameters
    ----------
    mqtt : MqttConfig
        Names the file or the variable.
    environment : mapping
        For the variable, and for `find_secret`.

    Raises
    ------
    ConfigError
        If it is configured and not there.
    """
    return read_secret(
        "mqtt.", "password", file=mqtt.password_file, variable=mqtt.password_env, environment=environment
    )


def read_address(source: SourceConfig, environment: Mapping[str, str] = os.environ) -> Address:
    """Where a stream is, with the login that it asks for.

    Parameters
    ----------
    source : SourceConfig
        Of kind stream; names the file or the variable.
    environment : mapping
        For the variable, and for `find_secret`.

    Raises
    ------
    ConfigError
        If the password is configured and not there, or cannot be used.
    """
    assert source.url is not None  # noqa: S101 - the configuration has seen to it
    where = f"source {source.name}: "
    password = read_secret(
        where, "password", file=source.password_file, variable=source.password_env, environment=environment
    )
    login = None if source.username is None else Login(source.username, password or "")
    address = Address(
        source.url,
        login,
        source.transport,
        source.ca_file,
        source.tls_verify,
        pictures=source.pictures,
        track=source.track,
    )
    longest = _LONGEST_LOGIN[address.scheme]
    if len(address.encoded_login) > longest:
        raise ConfigError(
            f"{where}username and password are too long together: {longest} characters are possible, of "
            "which all but letters and digits count three times"
        )
    return address


def read_secret(
    where: str, what: str, *, file: Path | None, variable: str | None, environment: Mapping[str, str]
) -> str | None:
    """Secret from a file or from the environment; None if neither is configured.

    Parameters
    ----------
    where : str
        What stands before the key in a message: ``mqtt.``.
    what : str
        The key without its ending: ``password`` of ``password_file`` and ``password_env``.
    file : Path or None
        As configured, for `find_secret`.
    variable : str or None
        As configured.
    environment : mapping
        For the variable, and for `find_secret`.

    Raises
    ------
    ConfigError
        If it is configured and not there.
    """
    if variable is not None:
        secret = environment.get(variable)
        if not secret:
            raise ConfigError(
                f"{where}{what}_env: the environment variable {variable} is not set; "
                f"set it, or use {what}_file"
            )
        return secret
    return None if file is None else _read(f"{where}{what}_file", what, find_secret(file, environment))


def find_secret(path: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Return where a secret is: a relative path is looked for among the credentials of systemd first.

    Parameters
    ----------
    path : Path
        As configured.
    environment : mapping
        ``CREDENTIALS_DIRECTORY`` is where systemd puts what the unit loads with ``LoadCredential=``.
    """
    credentials = environment.get("CREDENTIALS_DIRECTORY")
    if credentials and not path.is_absolute() and (Path(credentials) / path).exists():
        return Path(credentials) / path
    return path


def _read(key: str, what: str, path: Path) -> str:
    where = f"{key}: {path}"
    try:
        secret = read_text(path, _MAX_BYTES).rstrip("\r\n")
        _warn_of_writers(where, path)
    except FileNotFoundError as error:
        raise ConfigError(f"{where}: no such file; write the {what} into it") from error
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror}") from error
    except DamagedError as error:
        raise ConfigError(f"{where}: {error}; write nothing but the {what} into it") from None
    if not secret:
        raise ConfigError(f"{where}: is empty; write the {what} into it")
    if "\n" in secret:
        raise ConfigError(f"{where}: holds more than one line; write nothing but the {what} into it")
    return secret


_warned: set[str] = set()


def _warn_of_writers(where: str, path: Path) -> None:
    """Warn, once for each file, if everybody may write it: no error, for some file systems know no rights."""
    if path.stat().st_mode & stat.S_IWOTH and where not in _warned:
        _warned.add(where)
        log.warning("%s: everybody on this machine may write it; put that right with: chmod o-w", where)
