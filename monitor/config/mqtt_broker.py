"""MQTT broker: connection, login, Home Assistant discovery, and the queue for events.

A rule between two keys is checked at the later one, so that one fault hides no other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from monitor.config import validators
from monitor.config.section import FilePath, Section
from monitor.config.validators import fault


class MqttConfig(Section):
    """The broker that is told; the password is never written here."""

    host: Annotated[str, StringConstraints(max_length=253), AfterValidator(validators.check_host)] | None = (
        Field(default=None, description="Name or IP address of the broker; unset: no MQTT.")
    )
    port: int = Field(default=1883, ge=1, le=65_535, description="Port of the broker; usually 8883 with tls.")
    tls: bool = Field(default=False, description="Whether to encrypt the connection.")
    ca_file: FilePath | None = Field(
        default=None, description="Certificates to trust; unset: those of the system. Needs tls."
    )
    cert_file: FilePath | None = Field(
        default=None, description="Certificate to show to the broker; unset: none. Needs tls."
    )
    key_file: FilePath | None = Field(
        default=None,
        description="Its private key, without a passphrase; a relative name is looked for among the systemd "
        "credentials first. Unset: it is in cert_file.",
    )
    username: str | None = Field(default=None, min_length=1, description="User; unset: anonymous.")
    password_file: FilePath | None = Field(
        default=None,
        description="File whose first line is the password; a relative name is looked for among the systemd "
        "credentials first. Needs username.",
    )
    password_env: Annotated[str, StringConstraints(pattern=validators.ENVIRONMENT)] | None = Field(
        default=None, description="Environment variable that holds the password, instead of password_file."
    )
    client_id: str | None = Field(
        default=None, min_length=1, max_length=100, description="MQTT client id; unset: clap-monitor-NODE."
    )
    protocol: Annotated[Literal["auto", "5", "3.1.1"], BeforeValidator(validators.check_version)] = Field(
        default="auto",
        description="Version of MQTT: 5 says what is refused, 3.1.1 does not; auto: 5, else 3.1.1.",
    )
    base_topic: Annotated[
        str, StringConstraints(max_length=200), AfterValidator(validators.check_base_topic)
    ] = Field(default="clap-monitor", description="First part of every topic.")
    commands: bool = Field(
        default=True,
        description="Whether those who may publish to the broker may switch listening, and change thresholds "
        "and labels.",
    )
    discovery: bool = Field(
        default=True, description="Whether to tell Home Assistant which entities there are."
    )
    discovery_prefix: Annotated[
        str, StringConstraints(max_length=200), AfterValidator(validators.check_base_topic)
    ] = Field(default="homeassistant", description="First part of the topics of Home Assistant's discovery.")
    qos: Annotated[Literal[0, 1, 2], BeforeValidator(validators.check_whole)] = Field(
        default=1, description="Delivery: 0 at most once, 1 at least once, 2 exactly once."
    )
    keepalive_seconds: int = Field(
        default=30, ge=5, le=3600, description="Time after which a silent connection is checked."
    )
    keep_days: float = Field(
        default=7.0,
        gt=0,
        le=3650,
        description="How long an event waits for the broker; older ones are dropped.",
    )
    keep_megabytes: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="Size of all events that wait; the oldest are dropped beyond it.",
    )

    @field_validator("ca_file", "cert_file")
    @classmethod
    def _has_tls(cls, path: Path | None, others: ValidationInfo) -> Path | None:
        if path is not None and others.data.get("tls") is False:
            raise fault("is of use only with tls: true")
        return path

    @field_validator("key_file")
    @classmethod
    def _has_certificate(cls, path: Path | None, others: ValidationInfo) -> Path | None:
        if path is not None and others.data.get("cert_file", "") is None:
            raise fault("is of use only with a cert_file")
        return path

    @field_validator("password_file", "password_env")
    @classmethod
    def _has_user(cls, value: Any, others: ValidationInfo) -> Any:
        return validators.check_secret(value, others)
