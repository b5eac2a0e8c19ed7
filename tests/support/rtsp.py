"""A real RTSP server, as a child process; needs Debian's python3-gi and GStreamer with its RTSP server.

apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good
gstreamer1.0-libav
"""

import contextlib
import select
import signal
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import numpy as np
import soundfile

from tests.support.broker import eventually, free_port

PROGRAM = Path(__file__).with_name("rtsp_camera.py")


def tone(seconds=10.0, rate=48000, hertz=440):
    """Return a sine with a whole number of periods, shape (n,)."""
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


class RtspServer:
    """A camera; a context manager that starts it and ends it.

    Parameters
    ----------
    directory : Path
        For its recording and its log.
    samples : float, shape (n,)
        What it plays, over and over.
    rate : int
        Hz.
    login : tuple of str
        ``basic`` or ``digest``, user and password; empty lets everyone in.
    """

    def __init__(self, directory, samples=None, rate=48000, login=()):
        self.port = free_port()
        self._login = login
        self._recording = directory / "camera.wav"
        self._log = directory / "camera.log"
        self._process = None
        soundfile.write(
            self._recording, tone(rate=rate) if samples is None else samples, rate, subtype="PCM_16"
        )

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def url(self, mount):
        return f"rtsp://127.0.0.1:{self.port}/{mount}"

    def start(self):
        """Start it, again after `kill`, and wait until it takes connections."""
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                ["/usr/bin/python3", PROGRAM, str(self.port), self._recording, *self._login],
                stdout=log,
                stderr=log,
            )
        eventually(self._listens)

    def kill(self):
        """End it without a word to who listens."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self):
        """Let it hang with every connection open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def _listens(self):
        assert self._process.poll() is None, f"the RTSP server ended: {self._log.read_text()}"
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False


class Encrypted:
    """A context manager that passes on what comes to its port by TLS, with the certificate of a directory."""

    def __init__(self, server, directory):
        self._server = server
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(directory / "server.pem", directory / "server.key")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def url(self, mount):
        return f"rtsps://127.0.0.1:{self._listener.getsockname()[1]}/{mount}"

    def _accept(self):
        with contextlib.suppress(OSError):  # the end
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with (
            contextlib.suppress(OSError),
            client,
            socket.create_connection(("127.0.0.1", self._server.port)) as there,
            self._tls.wrap_socket(client, server_side=True) as here,
        ):
            _relay(here, there)


def _relay(here, there):
    """Pass on both directions until either side closes; one thread, as an SSL object needs it."""
    while True:
        for source in [here] if here.pending() else select.select([here, there], [], [])[0]:
            received = source.recv(65536)
            if not received:
                return
            (there if source is here else here).sendall(received)
