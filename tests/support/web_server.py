"""The page of a small house, really served; and a client that may say whatever it likes."""

import contextlib
import http.client
import json
import socket
import threading
import time
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from monitor.audio.ring_buffer import RingBuffer
from monitor.audio.source_status import SourceStatus
from monitor.config import Config, LabelConfig, SourceConfig, WebConfig
from monitor.detection.active_labels import restore_settings
from monitor.detection.calibration import Calibration
from monitor.detection.control import Control
from monitor.detection.example_learner import ExampleLearner
from monitor.detection.prompt_preview import PromptPreview
from monitor.detection.prototypes import build_prototypes
from monitor.detection.recent_embeddings import RecentEmbeddings
from monitor.memory.memory_queries import MemoryQueries
from monitor.model.mel_config import mel_config_of
from monitor.outputs.live.broadcast import Broadcast
from monitor.outputs.live.listeners import Listeners
from monitor.outputs.store import Store, StoreReader
from monitor.outputs.web.context import AppContext
from monitor.outputs.web.server import Web
from monitor.types import AudioBlock, Scores
from tests.support.stored_events import rule

TOKEN = "0123456789abcdef-token"
LISTEN_TOKEN = "0123456789abcdef-listen"
METRICS = b"# HELP clap_monitor_up 1 while the monitor runs.\n"
RATE = 8000
GEOMETRY = mel_config_of(
    {"sampling_rate": RATE, "max_length_s": 4, "fft_window_size": 256, "frequency_max": 4000}
)


@dataclass
class Answer:
    """What the server said."""

    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Served:
    """A server that runs; `ask` it."""

    web: Web
    live: Broadcast
    control: Control
    memory: RecentEmbeddings
    store: Store | None = None
    library: object = None
    buffer: RingBuffer | None = None
    status: SourceStatus | None = None
    listeners: Listeners | None = None
    offline: str | None = None
    token: str = TOKEN

    def snapshot(self):
        source = {"offline": self.offline is not None, "offline_text": self.offline, "overloaded": False}
        problems = [{"what": "crib", "why": self.offline}] if self.offline else []
        return {"armed": self.control.active_labels.armed, "problems": problems, "sources": {"crib": source}}

    @property
    def port(self):
        return int(self.web.url.rstrip("/").rpartition(":")[2])

    def ask(self, method, path, body=None, **headers):
        """Ask with the headers given, underscores for dashes; None leaves a usual one out."""
        known = {"host": f"127.0.0.1:{self.port}"}
        known |= {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, dict | list):
            body = json.dumps(body).encode()
            known.setdefault("content-type", "application/json")
        if body is not None:
            known.setdefault("content-length", str(len(body)))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in known.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def write(self, method, path, body=None, **headers):
        """Ask with the token."""
        return self.ask(method, path, body, **{"authorization": f"Bearer {self.token}"} | headers)


class Engine:
    """What a sentence means, made up: as many directions as letters, the more of a letter the longer."""

    cohort_norm = None
    examples = {}  # noqa: RUF012 - never changed
    name, identity, dimension = "letters", "letters", 27
    calibration = Calibration(scale=10.0, centre=0.3, baseline=-3.0)
    rate, length, hop = RATE, RATE, RATE // 2

    def __init__(self):
        self.model = self

    def hop_of(self, source):  # noqa: ARG002 - of the real one
        return self.hop

    def windows_in(self, seconds):
        return round(2 * seconds)

    def embed_text(self, sentences, *, keep=True):  # noqa: ARG002 - of the real one
        rows = np.array([[0.1 + text.count(letter) for letter in LETTERS] for text in sentences], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def forget_text(self):
        pass

    def build_prototypes(self, labels, background, examples):
        return build_prototypes(labels, background, self.embed_text, examples=examples)


LETTERS = "abcdefghijklmnopqrstuvwxyz "

LABELS = (
    LabelConfig(id="dog", prompts=("a dog barking",)),
    LabelConfig(id="cat", name="The cat", prompts=("a cat meowing", "a kitten mewing")),
)


class ClipLibrary:
    """Clips, some of them kept for good."""

    def __init__(self, directory):
        self.directory = directory
        self.locked = frozenset()

    def find(self, path):
        file = self.directory / path
        return file if file.is_file() else None

    def lock(self, path, *, locked):
        if self.find(path) is None:
            return False
        self.locked = self.locked | {path} if locked else self.locked - {path}
        return True


@contextlib.contextmanager
def serving(token=TOKEN, *, directory=None, detects=None, remembers=True, longest_seconds=600.0, **keys):
    """Serve a small house; with a directory it keeps what happens, and changes."""
    ring = RingBuffer(10 * RATE, RATE)
    ring.append(AudioBlock("crib", 0, np.full(4 * RATE, 0.1, np.float32), 100.0))
    sources = (SourceConfig(name="crib", kind="microphone", labels=detects),)
    config = Config(labels=LABELS, sources=sources, state=directory or Path("no-state"))
    engine, memory = Engine(), RecentEmbeddings(["crib"], 120)
    settings = restore_settings(config, directory)
    engine.prototypes = engine.build_prototypes(LABELS, config.background, {})
    control = Control(settings, engine, state=directory)
    live = Broadcast({"crib": ring}, GEOMETRY)
    web = Web(WebConfig(enabled=True, port=0, **keys), token, LISTEN_TOKEN)
    served = Served(web, live, control, memory, buffer=ring, status=SourceStatus("crib"))
    runs = [live.run]
    if directory is not None:
        served.library = ClipLibrary(directory)
        served.store = Store(directory / "history.sqlite", config.store, rate=RATE)
        served.store.on_labels(control.active_labels, {"crib": [rule(label.id, (2, 3)) for label in LABELS]})
        runs.append(served.store.run)
    outputs = [live] if served.store is None else [live, served.store]
    served.listeners = Listeners(
        {"crib": ring},
        {"crib": served.status},
        is_armed=lambda: control.active_labels.armed,
        outputs=outputs,
        longest_seconds=longest_seconds,
    )
    context = AppContext(
        access=web.access,
        faults=web.faults,
        abort=web.abort,
        control=control,
        broadcast=live,
        prompt_preview=PromptPreview(engine, memory),
        memory=MemoryQueries(directory, engine) if directory is not None and remembers else None,
        learner=ExampleLearner(engine, memory),
        listeners=served.listeners,
        snapshot=lambda: served.snapshot(),  # noqa: PLW0108 - a test replaces it
        hop_seconds=0.5,
        reader=None if directory is None else StoreReader(directory / "history.sqlite"),
        store=served.store,
        library=served.library,
        prefix=web.prefix,
        metrics=lambda: METRICS,
        unsent=web.unsent,
        counts=web.counts,
    )
    runs.append(partial(web.run, context))
    threads = [threading.Thread(target=run) for run in runs]
    for thread in threads:
        thread.start()
    try:
        yield served
    finally:
        live.close()
        web.close()
        if served.store is not None:
            served.store.close()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive()


@contextlib.contextmanager
def tone(served, *, hertz=1000.0):
    """Let the source hear a tone at the pace of time."""
    stop = threading.Event()

    def feed():
        block = RATE // 20
        while not stop.wait(0.05):
            start = served.buffer.stop
            samples = 0.3 * np.sin(2 * np.pi * hertz / RATE * np.arange(start, start + block))
            served.buffer.append(AudioBlock("crib", start, samples.astype(np.float32), time.time()))

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def scores(stop=RATE, **values):
    values = values or {"dog": 0.25}
    numbers = np.array([*values.values()], np.float32)
    return Scores("crib", max(0, stop - RATE), stop, 97.0, tuple(values), numbers, -20.0)


def answers(port):
    with contextlib.suppress(OSError):
        return ask(f"http://127.0.0.1:{port}/", "health")
    return None


def ask_plainly(port, path):
    """Ask a page at whatever state it is; None if nothing answers."""
    with contextlib.suppress(OSError):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", f"/api/{path}")
        with contextlib.closing(connection), connection.getresponse() as answer:
            return json.load(answer)
    return None


def ask(url, path):
    with urllib.request.urlopen(f"{url}api/{path}", timeout=20) as answer:  # noqa: S310 - our own
        return json.load(answer)


class Stream:
    """Server-sent events, read from a socket."""

    def __init__(self, served, *, host="localhost", receive_bytes=None, token=None):
        self.socket = socket.socket()
        self.socket.settimeout(120)
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.connect(("127.0.0.1", served.port))
        shown = f"Authorization: Bearer {token}\r\n" if token else ""
        self.socket.sendall(f"GET /api/live HTTP/1.1\r\nHost: {host}\r\n{shown}\r\n".encode())
        self.text = b""

    def read(self, *wanted):
        """Read until all of it has come, and return everything so far."""
        while not all(each.encode() in self.text for each in wanted):
            part = self.socket.recv(65536)
            assert part, f"ended after {self.text[-500:]}"
            self.text += part
        return self.text.decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
