"""Secrets: passwords and tokens from files or environment variables, never from the configuration."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from monitor.config.mqtt_broker import MqttConfig
from monitor.config.sources import SourceConfig
from monitor.config.stream_address import Address, Login
from monitor.config.web import WebConfig
from monitor.system.bounded_read import DamagedError, read_text
from monitor.types import ConfigError

log = logging.getLogger(__name__)

_TOKEN = re.compile(r"[!-~]{16,200}")
_MAX_BYTES = 64 * 1024  # the longest password that MQTT allows
_LONGEST_LOGIN = {"rtsp": 127, "rtsps": 127, "http": 1023, "https": 1023}
"""Characters; FFmpeg silently truncates a longer login."""


def read_password(mqtt: MqttConfig, environment: Mapping[str, str] = os.environ) -> str | None:
    """Password of the broker, from its file or variable; None if none is configured.

    Raises
    ------
    ConfigError
        The file or variable is missing.
    """
    return read_secret(
        "mqtt.", "password", file=mqtt.password_file, variable=mqtt.password_env, environment=environment
    )


def read_token(web: WebConfig, environment: Mapping[str, str] = os.environ) -> str | None:
    """Token of the web page, from its file or variable; None if none is configured.

    Raises
    ------
    ConfigError
        The file or variable is missing, or the token is unsuitable.
    """
    return _read_token("token", file=web.token_file, variable=web.token_env, environment=environment)


def read_listen_token(web: WebConfig, environment: Mapping[str, str] = os.environ) -> str | None:
    """Token that may listen, from its file or variable; None if none is configured.

    Raises
    ------
    ConfigError
        The file or variable is missing, or the token is unsuitable.
    """
    return _read_token(
        "listen_token",
        file=web.listen_token_file,
        variable=web.listen_token_env,
        environment=environment,
    )


def read_address(source: SourceConfig, environment: Mapping[str, str] = os.environ) -> Address:
    """Address of a source of kind stream, with its login.

    Raises
    ------
    ConfigError
        The configured password is missing or cannot be used.
    """
    assert source.url is not None  # noqa: S101 - validated with the configuration
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
        pictures=source.video,
        track=source.track,
    )
    longest = _LONGEST_LOGIN[address.scheme]
    if len(address.encoded_login) > longest:
        raise ConfigError(
            f"{where}username and password are too long together; at most {longest} characters are "
            "possible, and each one other than a letter or a digit counts as three"
        )
    return address


def read_secret(
    where: str, what: str, *, file: Path | None, variable: str | None, environment: Mapping[str, str]
) -> str | None:
    """Secret from a file or from the environment; None if neither is configured.

    Parameters
    ----------
    where : str
        Start of an error message, before the key: ``mqtt.``.
    what : str
        Key without its suffix: ``password`` for ``password_file`` and ``password_env``.
    file : Path or None
        Configured file, for `find_secret`.
    variable : str or None
        Configured environment variable.
    environment : mapping
        Environment variables, also for `find_secret`.

    Raises
    ------
    ConfigError
        The file or variable is missing, or the file does not hold exactly one line.
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
    """Path of a secret: a relative path is first looked up among the systemd credentials.

    These are the files of the unit's ``LoadCredential=``, in ``CREDENTIALS_DIRECTORY``.
    """
    credentials = environment.get("CREDENTIALS_DIRECTORY")
    if credentials and not path.is_absolute() and (Path(credentials) / path).exists():
        return Path(credentials) / path
    return path


def _read_token(
    what: str, *, file: Path | None, variable: str | None, environment: Mapping[str, str]
) -> str | None:
    token = read_secret("web.", what, file=file, variable=variable, environment=environment)
    if token is not None and not _TOKEN.fullmatch(token):
        raise ConfigError(
            f"web.{what}_{'file' if variable is None else 'env'}: the token must be 16 to 200 letters and "
            "digits without spaces; make one with: openssl rand -hex 24"
        )
    return token


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
    """Warn once about a world-writable file; not an error, because some file systems have no permissions."""
    if path.stat().st_mode & stat.S_IWOTH and where not in _warned:
        _warned.add(where)
        log.warning("%s: every user of this machine can write to it; fix with: chmod o-w", where)
