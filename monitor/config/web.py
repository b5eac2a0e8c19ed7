"""The page and its API: where it is served, and who may use it.

A rule between two keys is checked at the later one, so that one fault hides no other.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from monitor.config import rules
from monitor.config.rules import fault
from monitor.config.section import FilePath, Section

MAX_HOST = 253


def check_bind(host: str) -> str:
    """Refuse what is no address to listen on."""
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise fault(
                f'"{host}" is not an IP address of this machine; write 127.0.0.1 for this machine only, '
                "0.0.0.0 for everyone"
            ) from None
    return host


def _check_name(host: str) -> str:
    """Refuse what is not the bare name of a machine."""
    if "/" in host or ":" in host or "*" in host or not host.isprintable() or " " in host:
        raise fault(f'"{host}" is not a name; write it without a scheme, a port or a path')
    return host.lower().rstrip(".")


def _check_origin(origin: str) -> str:
    """Refuse what no browser would call an origin."""
    parts = urlsplit(origin)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise fault(f'"{origin}" is not an origin; write scheme and name, such as https://home.example')
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise fault(f'"{origin}" holds more than an origin; leave out everything after the name and the port')
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _check_public_url(url: str) -> str:
    """Refuse what no browser could be sent to."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise fault(f'"{url}" is not an address; write it as in https://home.example/sounds')
    if parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise fault(f'"{url}" holds more than an address and a path')
    return url.rstrip("/")


def _check_prefix(prefix: str) -> str:
    """Refuse what is no path below which something is served."""
    if prefix and not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", prefix):
        raise fault(f'"{prefix}" is not a path; write it with / in front and none behind, such as /sounds')
    return prefix


Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_HOST), AfterValidator(_check_name)]
Origin = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_check_origin)]


Bind = Annotated[str, StringConstraints(max_length=MAX_HOST), AfterValidator(check_bind)]
"""IP address to listen on."""


class MetricsConfig(Section):
    """Metrics for Prometheus at a port of their own; the page has them as well."""

    enabled: bool = Field(
        default=False, description="Whether to serve them without the page; needs the extra `metrics`."
    )
    host: Bind = Field(
        default="127.0.0.1",
        description="IP address to listen on; 127.0.0.1 is this machine only, 0.0.0.0 everyone.",
    )
    port: int = Field(default=9095, ge=0, le=65_535, description="Port to listen on; 0 is any free one.")


class WebConfig(Section):
    """The web page and its API; the token is never written here."""

    enabled: bool = Field(default=False, description="Whether to serve the page; needs the extra `web`.")
    host: Annotated[str, StringConstraints(max_length=MAX_HOST), AfterValidator(check_bind)] = Field(
        default="127.0.0.1",
        description="IP address to listen on; 127.0.0.1 is this machine only, 0.0.0.0 everyone.",
    )
    port: int = Field(default=8095, ge=0, le=65_535, description="Port to listen on; 0 is any free one.")
    token_file: FilePath | None = Field(
        default=None,
        description="File whose only line is the token, at least 16 characters; a relative name is looked "
        "for among the systemd credentials first. Unset: nothing can be changed over the web.",
    )
    token_env: Annotated[str, StringConstraints(pattern=rules.ENVIRONMENT)] | None = Field(
        default=None, description="Environment variable that holds the token, instead of token_file."
    )
    public_read: bool = Field(
        default=False,
        validate_default=True,
        description="Whether everyone who reaches the page may read it without the token.",
    )
    public_url: (
        Annotated[str, StringConstraints(max_length=300), AfterValidator(_check_public_url)] | None
    ) = Field(default=None, description="Address of the page as others see it, for links in messages.")
    prefix: Annotated[str, StringConstraints(max_length=100), AfterValidator(_check_prefix)] = Field(
        default="", description="Path below which a reverse proxy serves the page, such as /sounds."
    )
    allowed_hosts: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        default=(),
        max_length=50,
        description="Names under which the page is reached, besides this machine's own and public_url's.",
    )
    allowed_origins: Annotated[tuple[Origin, ...], Field(strict=False)] = Field(
        default=(),
        max_length=50,
        description="Other pages that may change things here or show this page in a frame.",
    )

    @property
    def local(self) -> bool:
        """Whether only this machine can connect."""
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    @field_validator("token_env")
    @classmethod
    def _is_the_only_one(cls, value: Any, others: ValidationInfo) -> Any:
        if value is not None and others.data.get("token_file") is not None:
            raise fault("is one too many beside token_file; keep one of the two")
        return value

    @field_validator("public_read")
    @classmethod
    def _is_on_purpose(cls, public: bool, others: ValidationInfo) -> bool:  # noqa: FBT001
        known = others.data
        if public or not known.get("enabled") or "host" not in known or "token_env" not in known:
            return public
        reachable = known["host"] != "localhost" and not ipaddress.ip_address(known["host"]).is_loopback
        if reachable and known.get("token_file") is None and known["token_env"] is None:
            raise fault(
                f"is false, and host {known['host']} lets others connect; name a token by token_file or "
                "token_env, or set it to true"
            )
        return public
