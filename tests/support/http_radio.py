"""A real HTTP server of endless sound, in threads of this process, which can be made to misbehave."""

import base64
import contextlib
import functools
import io
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import soundfile

from tests.support.rtsp import tone

RATE = 48000
SECONDS = 60
ROUNDS = 1000
TYPES = {"ogg": ("OGG", "VORBIS"), "mp3": ("MP3", "MPEG_LAYER_III"), "wav": ("WAV", "PCM_16")}


@functools.cache
def encoded(kind):
    """Return a minute of a tone as a file; with noise, for pages of Vorbis would be long without."""
    form, subtype = TYPES[kind]
    noise = np.random.default_rng(0).normal(0, 0.05, SECONDS * RATE)
    samples, file = tone(SECONDS, RATE) + noise, io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 1, subtype, format=form) as writer:
        for start in range(0, len(samples), RATE):  # libsndfile does not survive much Vorbis at once
            writer.write(samples[start : start + RATE])
    return file.getvalue()


class Radio:
    """A context manager that serves ``/live.ogg`` (or mp3, wav), as fast as time goes, to anyone.

    Parameters
    ----------
    kind : str
        ``ogg``, ``mp3`` or ``wav``.
    login : tuple of str
        User and password (basic); empty lets everyone in.
    content : tuple of bytes and float, optional
        A file of this kind, and how many seconds it lasts; a minute of a tone otherwise.
    burst : float
        Seconds that every listener gets at once.
    apart : float
        Seconds by which each listener gets everything later than the one before.
    speed : float
        How many times as fast as time it goes.
    tls : Path, optional
        Directory of a certificate, for https.
    answers : dict of str to (int, dict, bytes)
        Other paths: status, headers and content.
    """

    def __init__(
        self, kind="ogg", *, content=None, login=(), burst=0.0, apart=0.0, speed=1.0, tls=None, answers=None
    ):
        self.content, self.seconds = content or (encoded(kind), SECONDS)
        self.burst, self.apart, self.speed = burst, apart, speed
        self.path = f"/live.{kind}"
        self.answers = answers or {}
        self._tls = tls
        self.authorization = f"Basic {base64.b64encode(':'.join(login).encode()).decode()}" if login else None
        self.requests = []
        """Paths that were asked for, in order."""
        self.silent = threading.Event()
        """While it is set, connections stay open and nothing comes."""
        self.hung_up = threading.Event()
        """While it is set, connections are closed."""

    def __enter__(self):
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.radio = self
        if self._tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._tls / "server.pem", self._tls / "server.key")
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.hung_up.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path=None):
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._server.server_port}{path or self.path}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    radio: Radio


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self):
        radio = self.server.radio
        radio.requests.append(self.path)
        if radio.authorization not in {None, self.headers["Authorization"]}:
            self._answer(401, {"WWW-Authenticate": 'Basic realm="radio"'}, b"")
        elif self.path in radio.answers:
            self._answer(*radio.answers[self.path])
        elif self.path == radio.path:
            self._answer(200, {}, b"")
            with contextlib.suppress(OSError):  # the listener has gone
                self._play(radio)
        else:
            self._answer(404, {}, b"")

    def _answer(self, status, headers, content):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _play(self, radio):
        per_second = len(radio.content) / radio.seconds
        time.sleep(radio.apart * len(radio.requests))
        began, sent = time.monotonic(), 0
        rounds = ROUNDS if radio.path.endswith(".mp3") else 1  # no other kind may begin again
        while not radio.hung_up.is_set() and sent < rounds * len(radio.content):
            if not radio.silent.is_set():
                elapsed = (time.monotonic() - began) * radio.speed + radio.burst
                end = min(rounds * len(radio.content), round(elapsed * per_second))
                place = sent % len(radio.content)
                piece = radio.content[place : place + end - sent]
                self.wfile.write(piece)
                sent += len(piece)
            time.sleep(0.02)

    def log_message(self, *_):
        pass
