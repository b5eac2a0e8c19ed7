"""Monitor in this process, with a real broker and a subscriber."""

import threading

from monitor.config import Config, LabelConfig, MqttConfig, SourceConfig
from monitor.daemon.build import build
from monitor.daemon.daemon import Daemon
from tests.support.broker import PATIENCE, Subscriber, eventually
from tests.support.observer import Observer


class RunningMonitor:
    """A monitor, its broker, and a subscriber of everything; a context manager.

    Parameters
    ----------
    broker : Broker
    directory : Path
        For what is kept.
    *sources : SourceConfig
    keys : mapping of str to object
        Of the configuration.
    **options
        For `build`.
    """

    def __init__(self, broker, directory, *sources, keys=None, **options):
        known = {
            "sources": sources,
            "labels": (LabelConfig(id="dog", prompts=("a dog barking",)),),
            "mqtt": MqttConfig(host=broker.host, port=broker.port),
            "state": directory / "state",
            "recordings": directory / "recordings",
        }
        config = Config(**known | (keys or {}))
        self.daemon = Daemon(build(config, **options))
        self.scored = {source.name: [] for source in sources}
        self.subscriber = Subscriber(broker)
        self._thread = threading.Thread(target=self.daemon.run, args=[Observer(on_scores=self._note)])

    @classmethod
    def of_microphones(cls, broker, directory, *devices):
        """Return one whose sources are microphones, each named as its device."""
        return cls(broker, directory, *(SourceConfig(name=n, kind="microphone", device=n) for n in devices))

    def __enter__(self):
        self.subscriber.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.daemon.stop()
        self._thread.join(PATIENCE)
        self.subscriber.__exit__()
        assert not self._thread.is_alive()

    def _note(self, scores):
        self.scored[scores.source].append((scores.start, scores.stop))

    def statuses(self, source):
        """Return what was published of a source since it was first online, without repetitions.

        It is `offline` before that only if the broker is there before the first audio.
        """
        texts = self.subscriber.texts(f"clap-monitor/home/{source}/status")
        texts = texts[texts.index("online") :] if "online" in texts else texts
        return [text for i, text in enumerate(texts) if i == 0 or text != texts[i - 1]]

    def until(self, source, status):
        """Wait until a source is `online` or `offline`."""
        eventually(lambda: self.statuses(source)[-1:] == [status])

    def until_scored(self, source, windows=1):
        before = len(self.scored[source])
        eventually(lambda: len(self.scored[source]) >= before + windows)

    def gaps(self, source):
        return set(self.daemon.parts.buffers[source]._gaps)
