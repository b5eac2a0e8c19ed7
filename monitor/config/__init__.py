"""YAML to frozen models; every fault names file, line and key."""

from monitor.config.address import Address, Login
from monitor.config.advice import warnings
from monitor.config.alerts import HookConfig, NotifyConfig
from monitor.config.arguments import replace_labels, replace_sources, serve_at, source_from_argument
from monitor.config.changes import changed_label, differences, with_threshold
from monitor.config.listening import LabelConfig, SourceConfig, confirmations
from monitor.config.models import ClipsConfig, Config, ModelConfig, MqttConfig, StoreConfig, WindowConfig
from monitor.config.password import find_secret, read_address, read_password, read_secret
from monitor.config.rules import slug
from monitor.config.sounds import SPEECH, VOICES
from monitor.config.text import example, json_schema, load, state_of
from monitor.config.token import read_token
from monitor.config.web import MetricsConfig, WebConfig

__all__ = [
    "SPEECH",
    "VOICES",
    "Address",
    "ClipsConfig",
    "Config",
    "HookConfig",
    "LabelConfig",
    "Login",
    "MetricsConfig",
    "ModelConfig",
    "MqttConfig",
    "NotifyConfig",
    "SourceConfig",
    "StoreConfig",
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
