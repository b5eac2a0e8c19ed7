"""Parts of a monitor, built by `monitor.daemon.build` and complete from then on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monitor.audio.ring_buffer import RingBuffer
from monitor.audio.source_status import Health, SourceStatus
from monitor.config import Config
from monitor.daemon.command_queue import CommandQueue
from monitor.daemon.control_socket import ControlSocket
from monitor.daemon.http_servers import HttpServers
from monitor.daemon.target_thresholds import TargetThresholds
from monitor.daemon.unusual_references import UnusualReferences
from monitor.detection.baseline_store import BaselineStore
from monitor.detection.control import Change, Control
from monitor.detection.engine import Engine
from monitor.detection.events import Detector
from monitor.detection.example_learner import ExampleLearner
from monitor.detection.prompt_preview import PromptPreview
from monitor.detection.recent_embeddings import RecentEmbeddings
from monitor.detection.scorer import Scorer
from monitor.fleet.follower import Follower
from monitor.outputs import Output
from monitor.outputs.archive import Archive
from monitor.outputs.counters import Counters
from monitor.outputs.embedding_memory import EmbeddingMemory
from monitor.outputs.faults import Faults
from monitor.outputs.hooks import Hook
from monitor.outputs.live.broadcast import Broadcast
from monitor.outputs.live.listeners import Listeners
from monitor.outputs.mqtt.publisher import MqttPublisher
from monitor.outputs.notify.notifier import Notifier
from monitor.system.directories import Directories

if TYPE_CHECKING:  # the extras `metrics` and `web` are needed only if something is served
    from monitor.outputs.prometheus import Metrics


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """All parts; each is complete, and stays the same for the whole run."""

    started_at: float
    """Unix seconds."""
    config: Config
    """As at the start, with the enabled sources only."""
    initial: Change
    """Settings in force at the start."""
    engine: Engine
    status: Mapping[str, SourceStatus]
    """By source."""
    healths: dict[str, Health]
    """Newest health by source; empty at first (writer: main thread)."""
    buffers: Mapping[str, RingBuffer]
    """By source."""
    baselines: BaselineStore
    scorer: Scorer
    detector: Detector
    embeddings: RecentEmbeddings
    prompt_preview: PromptPreview
    learner: ExampleLearner
    control: Control
    target_thresholds: TargetThresholds
    unusual: UnusualReferences | None
    """None if unusual sounds are not looked for."""
    commands: CommandQueue
    follower: Follower
    archive: Archive
    memory: EmbeddingMemory | None
    mqtt: MqttPublisher | None
    notifiers: tuple[Notifier, ...]
    hooks: tuple[Hook, ...]
    counters: Counters
    broadcast: Broadcast
    listeners: Listeners
    outputs: Mapping[str, Output]
    """All of them, by name, in the order in which they receive events."""
    faults: dict[str, Faults]
    """Bugs in clap-monitor in outputs, by the name of the output (writer: `FanOut`)."""
    metrics: Metrics | None
    """None if nothing is served."""
    http_servers: HttpServers
    control_socket: ControlSocket
    directories: Directories
    reloads: bool
    """There is a file, which can be read again."""
    snapshot: Callable[[], dict[str, Any]]
    """Returns what `clap-monitor status` shows; from any thread."""
