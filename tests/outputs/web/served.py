"""The page of a small house, really served; and a client that may say whatever it likes."""

import contextlib
import http.client
import json
import threading
from dataclasses import dataclass, field

import numpy as np

from monitor.buffer import RingBuffer
from monitor.config import WebConfig
from monitor.geometry import geometry_of
from monitor.outputs.live import Live
from monitor.outputs.web import Web
from monitor.types import AudioBlock, Scores

TOKEN = "0123456789abcdef-token"
RATE = 8000
GEOMETRY = geometry_of(
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
    live: Live
    healthy: bool = True
    token: str = TOKEN
    sent: dict = field(default_factory=dict)

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
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
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


def status_of(served):
    return {"healthy": served.healthy, "node": "home", "sources": {"crib": {"deaf": False}}}


def hello():
    return {"node": "home", "sources": ["crib"], "labels": [{"id": "dog", "name": "Dog", "threshold": 0.5}]}


@contextlib.contextmanager
def serving(token=TOKEN, **keys):
    """Serve a small house."""
    ring = RingBuffer(10 * RATE, RATE)
    ring.append(AudioBlock("crib", 0, np.full(4 * RATE, 0.1, np.float32), 100.0))
    live = Live({"crib": ring}, GEOMETRY)
    served = Served(Web(WebConfig(enabled=True, port=0, **keys), token), live)
    served.web.show(node="home", model="starter", live=live, status=lambda: status_of(served), hello=hello)
    threads = [threading.Thread(target=live.run), threading.Thread(target=served.web.run)]
    for thread in threads:
        thread.start()
    try:
        yield served
    finally:
        live.close()
        served.web.close()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()


def scores(stop=RATE, **values):
    values = values or {"dog": 0.25}
    numbers = np.array([*values.values()], np.float32)
    return Scores("crib", max(0, stop - RATE), stop, 97.0, tuple(values), numbers, -20.0)
