"""Configuration: YAML to frozen models; every error names file, line, key, value and fix."""

from monitor.config.alerts import HookConfig, NotifyConfig
from monitor.config.cli_overrides import replace_labels, replace_sources, serve_at, source_from_argument
from monitor.config.default_labels import SPEECH, VOICES
from monitor.config.diff import changed_label, differences, with_threshold
from monitor.config.fleet_following import FleetConfig
from monitor.config.labels import LabelConfig, confirmations
from monitor.config.loader import example, json_schema, load, state_of
from monitor.config.models import Config, ModelConfig, WindowConfig
from monitor.config.mqtt_broker import MqttConfig
from monitor.config.secrets import (
    find_secret,
    read_address,
    read_listen_token,
    read_password,
    read_secret,
    read_token,
)
from monitor.config.sources import SourceConfig
from monitor.config.storage import ClipsConfig, MemoryConfig, StoreConfig
from monitor.config.stream_address import Address, Login
from monitor.config.unusual import UNUSUAL, UnusualConfig, UnusualLabel
from monitor.config.validators import slug
from monitor.config.warnings import warnings
from monitor.config.web import MetricsConfig, WebConfig

__all__ = [
    "SPEECH",
    "UNUSUAL",
    "VOICES",
    "Address",
    "ClipsConfig",
    "Config",
    "FleetConfig",
    "HookConfig",
    "LabelConfig",
    "Login",
    "MemoryConfig",
    "MetricsConfig",
    "ModelConfig",
    "MqttConfig",
    "NotifyConfig",
    "SourceConfig",
    "StoreConfig",
    "UnusualConfig",
    "UnusualLabel",
    "WebConfig",
    "WindowConfig",
    "changed_label",
    "confirmations",
    "differences",
    "example",
    "find_secret",
    "json_schema",
    "load",
    "read_address",
    "read_listen_token",
    "read_password",
    "read_secret",
    "read_token",
    "replace_labels",
    "replace_sources",
    "serve_at",
    "slug",
    "source_from_argument",
    "state_of",
    "warnings",
    "with_threshold",
]
