"""Configuration: YAML to frozen models; every error names file, line, key, value and fix."""

from monitor.config.alerts import HookConfig, NotifyConfig
from monitor.config.choices import BrokerChoice, CameraChoice, Choices, MicrophoneChoice, checked
from monitor.config.cli_overrides import replace_labels, replace_sources, serve_at, source_from_argument
from monitor.config.default_labels import SPEECH, VOICES
from monitor.config.diff import changed_label, differences, with_threshold
from monitor.config.draft import Draft, marked, needs_set_up, read_draft, written
from monitor.config.fleet_following import FleetConfig
from monitor.config.labels import LabelConfig, confirmations
from monitor.config.loader import example, json_schema, load, load_text, read_keys, state_of
from monitor.config.models import Config, ModelConfig, WindowConfig
from monitor.config.mqtt_broker import MqttConfig
from monitor.config.panel import layered, read_options
from monitor.config.prompt_packs import PACKS, pack_labels
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
from monitor.config.stream_address import Address, Login, split_login
from monitor.config.unusual import UNUSUAL, UnusualConfig, UnusualLabel
from monitor.config.validators import slug
from monitor.config.warnings import warnings
from monitor.config.web import MetricsConfig, WebConfig

__all__ = [
    "PACKS",
    "SPEECH",
    "UNUSUAL",
    "VOICES",
    "Address",
    "BrokerChoice",
    "CameraChoice",
    "Choices",
    "ClipsConfig",
    "Config",
    "Draft",
    "FleetConfig",
    "HookConfig",
    "LabelConfig",
    "Login",
    "MemoryConfig",
    "MetricsConfig",
    "MicrophoneChoice",
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
    "checked",
    "confirmations",
    "differences",
    "example",
    "find_secret",
    "json_schema",
    "layered",
    "load",
    "load_text",
    "marked",
    "needs_set_up",
    "pack_labels",
    "read_address",
    "read_draft",
    "read_keys",
    "read_listen_token",
    "read_options",
    "read_password",
    "read_secret",
    "read_token",
    "replace_labels",
    "replace_sources",
    "serve_at",
    "slug",
    "source_from_argument",
    "split_login",
    "state_of",
    "warnings",
    "with_threshold",
    "written",
]
