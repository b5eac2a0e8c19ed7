"""The broker's password, which stands in a file or in the environment and never in the configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from monitor.config.models import MqttConfig
from monitor.types import ConfigError

_MAX_BYTES = 64 * 1024  # what MQTT allows


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
    if mqtt.password_env is not None:
        password = environment.get(mqtt.password_env)
        if not password:
            raise ConfigError(
                f"mqtt.password_env: the environment variable {mqtt.password_env} is not set; "
                "set it, or use password_file"
            )
        return password
    if mqtt.password_file is not None:
        return _read(find_secret(mqtt.password_file, environment))
    return None


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


def _read(path: Path) -> str:
    where = f"mqtt.password_file: {path}"
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        password = content.decode().rstrip("\r\n")
    except FileNotFoundError as error:
        raise ConfigError(f"{where}: no such file; write the password into it") from error
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: is not UTF-8 text") from None  # which holds the password
    if not password:
        raise ConfigError(f"{where}: is empty; write the password into it")
    if "\n" in password or len(content) > _MAX_BYTES:
        raise ConfigError(f"{where}: holds more than one line; write nothing but the password into it")
    return password
