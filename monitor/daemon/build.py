"""Build: makes every part of a monitor from the configuration, in order of dependence."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from monitor.audio.source_status import SourceStatus
from monitor.config import Config, read_password
from monitor.daemon.broker_parts import broker_parts
from monitor.daemon.buffers import make_buffers
from monitor.daemon.control_socket import ControlSocket
from monitor.daemon.http_servers import HttpServers
from monitor.daemon.label_command import label_answers
from monitor.daemon.learning import learning_answers
from monitor.daemon.parts import Parts
from monitor.daemon.preflight import check_reload
from monitor.daemon.qualifying import qualifying
from monitor.daemon.snapshot import snapshot
from monitor.daemon.target_thresholds import TargetThresholds
from monitor.daemon.threshold_command import threshold_answers
from monitor.daemon.unusual_references import unusual_references
from monitor.daemon.watchdog import loading
from monitor.detection.active_labels import restore_settings
from monitor.detection.baseline import BASELINE_SECONDS
from monitor.detection.baseline_store import BaselineStore
from monitor.detection.control import Change, Control
from monitor.detection.engine import AudioEncoder, Engine
from monitor.detection.events import Detector
from monitor.detection.example_learner import ExampleLearner
from monitor.detection.novelty_gate import NoveltyGate
from monitor.detection.prompt_preview import PromptPreview
from monitor.detection.recent_embeddings import RecentEmbeddings
from monitor.detection.rules import rules_of
from monitor.detection.scorer import Scorer
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.fleet.follower import Follower
from monitor.memory.memory_queries import MemoryQueries
from monitor.memory.memory_reader import MemoryReader
from monitor.memory.past_windows import past_windows
from monitor.memory.segment import Header
from monitor.outputs import Output
from monitor.outputs.archive import Archive, open_archive
from monitor.outputs.clips import MODES
from monitor.outputs.counters import Counters
from monitor.outputs.embedding_memory import EmbeddingMemory
from monitor.outputs.fan_out import FanOut
from monitor.outputs.hooks import Hook
from monitor.outputs.live.broadcast import Broadcast
from monitor.outputs.live.listeners import Listeners
from monitor.outputs.live.watch import WatchFeed
from monitor.outputs.notify.targets import notifiers_of
from monitor.outputs.store import StoreReader
from monitor.system.directories import Directories
from monitor.system.malloc import limit_arenas
from monitor.system.wall_clock import WallClock

if TYPE_CHECKING:  # the extra `web` is needed only if the page is served
    from monitor.outputs.web.context import AppContext
    from monitor.outputs.web.server import Web
    from monitor.outputs.web.set_up_actions import SetUpActions


def build(
    config: Config,
    *,
    around: Callable[[AudioEncoder], AudioEncoder] = lambda encode: encode,
    reread: Callable[[], Config] | None = None,
    keeps: bool = True,
) -> Parts:
    """Build all parts; ports are bound and secrets are read before the model is loaded.

    ``around`` wraps the audio encoder.  ``reread`` reads the configuration again for a reload; None if there
    is no file.  With ``keeps``, changes made at run time are kept, and those of earlier runs are applied.

    Raises
    ------
    MonitorError
        A port, a secret, the model or a hook cannot be used.
    """
    limit_arenas()
    config = _with_enabled_sources(config)
    state = config.state if keeps else None
    follower = Follower(config.fleet, state)
    settings = restore_settings(follower.over(config), state)
    labels = settings.active_labels
    config = config.model_copy(update={"labels": labels.labels})
    password = read_password(config.mqtt)
    http_servers = HttpServers(config, lambda: parts.metrics.text() if parts.metrics else b"")
    with loading("the model"), qualifying(config.state) as progress:
        engine = load_qualified_engine(config, progress=progress)
    engine = replace(engine, encode=around(engine.encode))
    control = Control(
        settings,
        engine,
        state=state,
        reread=None if reread is None else lambda: follower.over(_with_enabled_sources(reread())),
        check=check_reload,
    )
    status = {source.name: SourceStatus(source.name) for source in config.sources}
    buffers = make_buffers(config, engine)
    baselines = BaselineStore(config.state, engine.model.identity)
    reuse, mel_config = config.window.reuse_seconds, engine.model.mel_config
    gate = NoveltyGate(mel_config, engine.hop_of, reuse) if reuse else None
    scorer = Scorer(engine, labels, status, gate=gate, initial_baseline=baselines.read)
    rules = rules_of(config, engine, labels)
    unusual = unusual_references(config, engine, labels.unusual)
    detector = Detector(by_source=rules, unusual=None if unusual is None else unusual.detector)
    detector.take_references()
    embeddings = RecentEmbeddings(buffers, engine.windows_in(BASELINE_SECONDS))
    model = engine.model.name
    clock = WallClock(config.state)
    archive = open_archive(config, clock=clock, buffers=buffers, mel_config=mel_config, model=model)
    commands, mqtt = broker_parts(config, control, follower, model=model, password=password, clock=clock)
    notifiers = notifiers_of(config)
    hooks = tuple(Hook(hook, node=config.node, model=model) for hook in config.hooks)
    memory = _memory(config, engine, scorer.initial_baseline, clock)
    counters = Counters()
    broadcast = Broadcast(buffers, mel_config)
    outputs: dict[str, Output] = {**archive.outputs}
    if memory is not None:
        outputs["memory"] = memory
    if mqtt is not None:
        outputs["mqtt"] = mqtt
    outputs |= {
        **{f"notify {each.name}": each for each in notifiers},
        **{f"hook {each.name}": each for each in hooks},
        "counters": counters,
        "live": broadcast,
    }

    def take_snapshot() -> dict[str, Any]:
        return snapshot(parts)

    metrics = None
    if config.web.enabled or config.metrics.enabled:
        from monitor.outputs.prometheus import Metrics  # noqa: PLC0415 - the extras `metrics` and `web`

        metrics = Metrics(
            take_snapshot, counters, stages=scorer.stages, latency=None if mqtt is None else mqtt.latency
        )
    learner = _learner(config, engine, embeddings)
    control_socket = ControlSocket(
        config.state,
        {
            "status": lambda _: iter([take_snapshot()]),
            "reload": lambda _: iter([asdict(control.reload())]),
            "watch": WatchFeed(broadcast, take_snapshot).answer,
            **label_answers(control),
            **learning_answers(control, learner),
            **threshold_answers(control),
        },
    )
    parts = Parts(
        started_at=time.time(),
        config=config,
        initial=Change(config, labels, engine.prototypes),
        engine=engine,
        status=status,
        healths={},
        buffers=buffers,
        baselines=baselines,
        scorer=scorer,
        detector=detector,
        embeddings=embeddings,
        prompt_preview=PromptPreview(engine, embeddings),
        learner=learner,
        control=control,
        target_thresholds=TargetThresholds(control, engine, None if memory is None else config.state),
        unusual=unusual,
        commands=commands,
        follower=follower,
        archive=archive,
        memory=memory,
        mqtt=mqtt,
        notifiers=notifiers,
        hooks=hooks,
        counters=counters,
        broadcast=broadcast,
        listeners=Listeners(
            buffers, status, is_armed=lambda: control.active_labels.armed, outputs=outputs.values()
        ),
        outputs=outputs,
        faults={},
        metrics=metrics,
        http_servers=http_servers,
        control_socket=control_socket,
        directories=_directories(config, archive, memory, control_socket),
        reloads=reread is not None,
        snapshot=take_snapshot,
    )
    FanOut(outputs, archive.record, {}).on_labels(labels, detector.rules)
    return parts


def web_context(parts: Parts, web: Web, set_up: SetUpActions | None = None) -> AppContext:
    """Return what the page may use; ``set_up`` if there is a file that it may write."""
    from monitor.outputs.web.context import AppContext  # noqa: PLC0415 - the extra `web`

    store = parts.archive.store
    return AppContext(
        access=web.access,
        faults=web.faults,
        abort=web.abort,
        control=parts.control,
        broadcast=parts.broadcast,
        listeners=parts.listeners,
        prompt_preview=parts.prompt_preview,
        learner=parts.learner,
        snapshot=parts.snapshot,
        hop_seconds=parts.engine.hop / parts.engine.rate,
        reader=None if store is None else StoreReader(store.path),
        store=store,
        library=parts.archive.library,
        memory=None if parts.memory is None else MemoryQueries(parts.config.state, parts.engine),
        prefix=web.prefix,
        metrics=parts.http_servers.metrics,
        unsent=web.unsent,
        counts=web.counts,
        set_up=set_up,
    )


def _learner(config: Config, engine: Engine, embeddings: RecentEmbeddings) -> ExampleLearner:
    past = past_windows(MemoryReader(config.state, engine.model.identity))
    return ExampleLearner(engine, embeddings, past=past)


def _with_enabled_sources(config: Config) -> Config:
    return config.model_copy(update={"sources": config.enabled_sources})


def _memory(
    config: Config, engine: Engine, baselines: Callable[[str], Mapping[str, float]], clock: WallClock
) -> EmbeddingMemory | None:
    if not config.memory.enabled:
        return None
    headers = {
        source.name: Header(engine.model.dimension, engine.rate, engine.length, engine.hop_of(source.name))
        for source in config.sources
    }
    return EmbeddingMemory(
        config.state, config.memory, engine.model.identity, headers, baselines=baselines, clock=clock
    )


def _directories(
    config: Config, archive: Archive, memory: EmbeddingMemory | None, control_socket: ControlSocket
) -> Directories:
    """Return what looks after the directories, and after the files that are open in them."""
    modes = {"state": (config.state, 0o700)}
    if config.clips.enabled:
        modes["recordings"] = config.recordings, MODES[config.clips.readable_by][1]

    def look_after_files() -> None:
        control_socket.recheck()
        archive.on_directory_changed("state")
        if memory is not None:
            memory.recheck()

    return Directories(modes, on_changed=archive.on_directory_changed, on_checked=look_after_files)
