"""The token of the page."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from monitor.config.secrets import read_secret
from monitor.config.web import WebConfig
from monitor.types import ConfigError

_LEAST, _MOST = 16, 200
_TOKEN = re.compile(r"[!-~]+")


def read_token(web: WebConfig, environment: Mapping[str, str] = os.environ) -> str | None:
    """Token of the page; None if none is configured.

    Parameters
    ----------
    web : WebConfig
        Names the file or the variable.
    environment : mapping
        For the variable, and for the directory of credentials.

    Raises
    ------
    ConfigError
        If it is configured and not there, or is no good one.
    """
    token = read_secret("web.", "token", file=web.token_file, variable=web.token_env, environment=environment)
    if token is not None and not (_LEAST <= len(token) <= _MOST and _TOKEN.fullmatch(token)):
        key = "web.token_env" if web.token_env is not None else "web.token_file"
        raise ConfigError(
            f"{key}: the token must be {_LEAST} to {_MOST} letters and digits without spaces; "
            "make one with: openssl rand -hex 24"
        )
    return token
