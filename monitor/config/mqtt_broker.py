"""MQTT broker: connection, login, Home Assistant discovery, and the queue for events.

A rule between two keys is checked at the later one, so that one error never hides another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from monitor.config import validators
from monitor.config.section import FilePath, Section, Variable
from monitor.config.validators import fault

Topic = Annotated[str, StringConstraints(max_length=200), AfterValidator(validators.check_base_topic)]


class MqttConfig(Section):
    """MQTT broker, commands and Home Assistant discovery."""

    host: Annotated[str, StringConstraints(max_length=253), AfterValidator(validators.check_host)] | None = (
        Field(default=None, description="Host name or IP address of the broker. Unset: no MQTT.")
    )
    port: int = Field(
        default=1883, ge=1, le=65_535, description="TCP port of the broker; usually 8883 with tls."
    )
    tls: bool = Field(default=False, description="Encrypt the connection.")
    ca_file: FilePath | None = Field(
        default=None,
        description="File of the CA certificates to trust; needs tls. Unset: the system's certificates.",
    )
    cert_file: FilePath | None = Field(
        default=None,
        description="File of the client certificate, for a broker that asks for one; needs tls. Unset: none.",
    )
    key_file: FilePath | None = Field(
        default=None,
        description="File of the client certificate's private key, without a passphrase; a relative path "
        "is first looked up among the systemd credentials. Unset: the key is in cert_file.",
    )
    username: str | None = Field(default=None, min_length=1, description="User name. Unset: anonymous.")
    password_file: FilePath | None = Field(
        default=None,
        description="File that holds only the password; a relative path is first looked up among the "
        "systemd credentials. Needs username.",
    )
    password_env: Variable | None = Field(
        default=None, description="Environment variable that holds the password, instead of password_file."
    )
    client_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="MQTT client id, unique on the broker. Unset: clap-monitor-NODE.",
    )
    protocol: Annotated[Literal["auto", "5", "3.1.1"], BeforeValidator(validators.check_version)] = Field(
        default="auto",
        description="MQTT version. auto: 5, or 3.1.1 if the broker does not support it. With 5 the broker "
        "reports which messages it refuses.",
    )
    base_topic: Topic = Field(default="clap-monitor", description="First part of every topic.")
    commands: bool = Field(
        default=True,
        description="Accept commands over MQTT: anyone who may publish to the broker can then arm and "
        "disarm detection, and change thresholds and labels.",
    )
    discovery: Annotated[bool | Literal["summary"], BeforeValidator(validators.check_discovery)] = Field(
        default=True,
        description="Publish Home Assistant discovery, which creates the entities. summary: only a handful "
        "for each node, because Home Assistant takes at most 10,000 from all nodes together.",
    )
    discovery_prefix: Topic = Field(
        default="homeassistant",
        description="First part of the discovery topics; must equal the prefix of Home Assistant's MQTT "
        "integration.",
    )
    qos: Annotated[Literal[0, 1, 2], BeforeValidator(validators.check_whole)] = Field(
        default=1, description="Quality of service: 0 delivers at most once, 1 at least once, 2 exactly once."
    )
    keepalive_seconds: int = Field(
        default=30,
        ge=5,
        le=3600,
        description="Time without messages after which the connection is checked, in seconds.",
    )
    keep_days: float = Field(
        default=7.0,
        gt=0,
        le=3650,
        description="How long an event is queued while the broker is unreachable, in days; older events "
        "are dropped.",
    )
    keep_megabytes: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="Maximum size of the queued events, in megabytes (1 MB is about 1000 starts or ends); "
        "the oldest are dropped first.",
    )

    @field_validator("ca_file", "cert_file")
    @classmethod
    def _has_tls(cls, path: Path | None, others: ValidationInfo) -> Path | None:
        if path is not None and others.data.get("tls") is False:
            raise fault("needs tls: true")
        return path

    @field_validator("key_file")
    @classmethod
    def _has_certificate(cls, path: Path | None, others: ValidationInfo) -> Path | None:
        if path is not None and others.data.get("cert_file", "") is None:
            raise fault("needs cert_file")
        return path

    _has_user = field_validator("password_file", "password_env")(validators.check_password)
