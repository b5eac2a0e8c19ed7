"""Web page, API and metrics: addresses and access.

A rule between two keys is checked at the later one, so that one error never hides another.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from monitor.config import validators
from monitor.config.authority import Authority, parse_authority, parse_origin, spell_origin
from monitor.config.section import FilePath, Section, Variable
from monitor.config.validators import fault
from monitor.system.boundary import printable

MAX_HOST = 253


def _quoted(value: str) -> str:
    return f'"{printable(value)}"'


def check_bind(host: str) -> str:
    """Refuse anything but ``localhost`` or an IP address."""
    if host != "localhost" and not Authority(host).is_address:
        raise fault(
            f'"{host}" is not an IP address of this machine; write 127.0.0.1 for this machine only, '
            "0.0.0.0 for all networks"
        )
    return host


def _check_address(host: str) -> str:
    if not Authority(host).is_address:
        raise fault(f"{_quoted(host)} is not an IP address")
    return host


def _check_name(host: str) -> str:
    parsed = parse_authority(host)
    if parsed is None or parsed.port is not None or ":" in parsed.host:
        raise fault(
            f"{_quoted(host)} is not a name; write it in letters a-z, digits, dots and dashes, "
            "without a scheme, a port or a path"
        )
    return parsed.host


def _check_origin(origin: str) -> str:
    """Refuse anything but an origin; it is sent in a header of every response."""
    bare = origin.removesuffix("/")
    parsed = parse_origin(bare)
    if parsed is not None:
        return spell_origin(*parsed)
    start = re.match(r"https?://[^/?#]+(?=[/?#])", bare, re.ASCII)
    if start is not None and parse_origin(start[0]) is not None:
        raise fault(
            f"{_quoted(origin)} contains more than an origin; remove everything after the name and the port"
        )
    raise fault(
        f"{_quoted(origin)} is not an origin; write scheme and name, such as https://home.example, "
        "in letters a-z, digits, dots and dashes"
    )


def _check_public_url(url: str) -> str:
    """Refuse anything but an HTTP URL without query and fragment."""
    found = re.fullmatch(r"(https?://[^/?#]+)(/[^?#]*)?", url, re.ASCII | re.IGNORECASE)
    if found is None or parse_origin(found[1]) is None:
        if re.search(r"[?#]", url):
            raise fault(f"{_quoted(url)} contains more than an address and a path")
        raise fault(f"{_quoted(url)} is not an address; write it as in https://home.example/sounds")
    if not re.fullmatch(r"[!-~]*", found[2] or ""):
        raise fault(
            f"{_quoted(url)} contains more than an address and a path; write other characters as in %20"
        )
    return url.rstrip("/")


def _check_network(network: str) -> str:
    try:
        return str(ipaddress.ip_network(network))
    except ValueError:
        raise fault(
            f"{_quoted(network)} is not an IP address or a network; write 127.0.0.1 or, for a network, "
            "172.18.0.0/16"
        ) from None


def _check_prefix(prefix: str) -> str:
    if prefix and not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", prefix):
        raise fault(
            f"{_quoted(prefix)} is not a path; start it with / and do not end it with /, such as /sounds"
        )
    return prefix


Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_HOST), AfterValidator(_check_name)]
Origin = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_check_origin)]
Network = Annotated[str, StringConstraints(min_length=1, max_length=50), AfterValidator(_check_network)]

Bind = Annotated[str, StringConstraints(max_length=MAX_HOST), AfterValidator(check_bind)]
"""IP address to listen on."""


class MetricsConfig(Section):
    """Metrics for Prometheus on a separate port; the web page serves them as well."""

    enabled: bool = Field(
        default=False,
        description="Serve the metrics without the web page and without a login; needs the extra metrics.",
    )
    host: Bind = Field(
        default="127.0.0.1",
        description="IP address to listen on: 127.0.0.1 for this machine only, 0.0.0.0 for all networks.",
    )
    port: int = Field(
        default=9095, ge=0, le=65_535, description="TCP port to listen on; 0 selects a free one."
    )


class WebConfig(Section):
    """Web page and API; the token is never written here."""

    enabled: bool = Field(default=False, description="Serve the web page and its API; needs the extra web.")
    host: Bind = Field(
        default="127.0.0.1",
        description="IP address to listen on: 127.0.0.1 for this machine only, 0.0.0.0 for all networks.",
    )
    port: int = Field(
        default=8095, ge=0, le=65_535, description="TCP port to listen on; 0 selects a free one."
    )
    token_file: FilePath | None = Field(
        default=None,
        description="File that holds only the token, of 16 characters or more; a relative path is first "
        "looked up among the systemd credentials. Unset: nothing can be changed over the web.",
    )
    token_env: Variable | None = Field(
        default=None, description="Environment variable that holds the token, instead of token_file."
    )
    ingress: bool = Field(
        default=False,
        description="Serve the page in Home Assistant: a request that its Supervisor passes on counts as one "
        "with the token. Only for the Home Assistant app.",
    )
    ingress_address: Annotated[str, StringConstraints(max_length=50), AfterValidator(_check_address)] = Field(
        default="172.30.32.2", description="IP address of the Supervisor."
    )
    public_read: bool = Field(
        default=False,
        validate_default=True,
        description="Let everyone who can reach the page read it, including clips and scores, without the "
        "token.",
    )
    public_url: (
        Annotated[str, StringConstraints(max_length=300), AfterValidator(_check_public_url)] | None
    ) = Field(
        default=None,
        description="URL of the page for other machines, for links in messages. If set, reading needs the "
        "token even from this machine, because requests through a reverse proxy come from it.",
    )
    prefix: Annotated[str, StringConstraints(max_length=100), AfterValidator(_check_prefix)] = Field(
        default="",
        description="Path below which a reverse proxy serves the page, such as /sounds. If set, reading "
        "needs the token even from this machine.",
    )
    trusted_proxies: Annotated[tuple[Network, ...], Field(strict=False)] = Field(
        default=(),
        max_length=50,
        description="IP addresses or networks of reverse proxies whose X-Forwarded-For header is trusted, "
        "so that wrong tokens count against the real client. If set, reading needs the token even from this "
        "machine.",
    )
    allowed_hosts: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        default=(),
        max_length=50,
        description="Host names of the page, in addition to those of this machine and of public_url.",
    )
    allowed_origins: Annotated[tuple[Origin, ...], Field(strict=False)] = Field(
        default=(),
        max_length=50,
        description="Other pages that may use the API or embed this page in a frame, such as "
        "http://homeassistant.local:8123.",
    )

    listen_token_file: FilePath | None = Field(
        default=None,
        description="File that holds only the token that may listen, of 16 characters or more, looked up as "
        "token_file. The same file as token_file lets everyone who may change settings listen.",
    )
    listen_token_env: Variable | None = Field(
        default=None,
        description="Environment variable that holds the token that may listen, instead of "
        "listen_token_file.",
    )
    listen: bool = Field(
        default=False,
        description="Let those who have the token of listen_token_file or listen_token_env hear the sources "
        "live, while detection is armed.",
    )

    @property
    def local(self) -> bool:
        """Whether only this machine can connect to the page."""
        return Authority(self.host).is_loopback

    @property
    def proxied(self) -> bool:
        """Whether a reverse proxy is configured: a request from this machine may then come from anyone."""
        return bool(self.public_url or self.prefix or self.trusted_proxies)

    _is_the_only_one = field_validator("token_env", "listen_token_env")(validators.check_secret)

    @field_validator("listen")
    @classmethod
    def _has_a_token(cls, listen: bool, others: ValidationInfo) -> bool:  # noqa: FBT001
        known = others.data
        if not listen or "listen_token_env" not in known or known.get("listen_token_file") is not None:
            return listen
        if known["listen_token_env"] is None:
            raise fault(
                "needs a token of its own; name one by listen_token_file or listen_token_env, "
                "or set it to false"
            )
        return listen

    @field_validator("public_read")
    @classmethod
    def _is_on_purpose(cls, public: bool, others: ValidationInfo) -> bool:  # noqa: FBT001
        known = others.data
        if public or not known.get("enabled") or "host" not in known or "token_env" not in known:
            return public
        reachable = not Authority(known["host"]).is_loopback
        if reachable and not (known.get("token_file") or known["token_env"] or known.get("ingress")):
            raise fault(
                f"is false, and host {known['host']} lets others connect; name a token by token_file or "
                "token_env, or set it to true"
            )
        return public
