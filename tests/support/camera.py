"""An RTSP camera, in threads of this process, that can be made as difficult as real ones are."""

import base64
import contextlib
import io
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass

import soundfile

from tests.support.rtsp import tone

RATE = 8000
PACKET = 160
"""Samples, and bytes of A-law, in 20 ms."""

CLOSE, IGNORE = "close", "ignore"

SDP = """v=0\r
o=- 1 1 IN IP4 127.0.0.1\r
s=camera\r
c=IN IP4 0.0.0.0\r
t=0 0\r
a=control:*\r
m=video 0 RTP/AVP 96\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 packetization-mode=1;profile-level-id=42e01e;sprop-parameter-sets=Z0LgHtoCgPRA,aM4wpIA=\r
a=control:pictures\r
m=audio 0 RTP/AVP 8\r
a=rtpmap:8 PCMA/8000\r
a=control:sound\r
"""


@dataclass(frozen=True)
class Request:
    """What a camera is asked for."""

    method: str
    track: str
    """``pictures`` or ``sound`` of SETUP; else what the URL ends with."""
    alone: bool
    """Pictures have not been set up in this session."""
    tcp: bool
    """Of SETUP: TCP is what is asked for."""
    connection: int
    """From 1."""


def agreeable(_request):
    """Answer everything as it should be."""
    return 200


class Camera:
    """A context manager that serves a tone, and pictures that nobody can decode, on a port of its own.

    Parameters
    ----------
    behave : callable
        Takes a `Request` and returns its status, or `CLOSE` or `IGNORE`.
    sounds : callable
        Takes whether pictures were set up and returns whether sound is sent.
    login : str
        ``user:password``; empty lets everyone in.
    garble : callable
        Takes what is to be sent, and returns what is.
    """

    def __init__(
        self, behave=agreeable, *, sounds=lambda _pictures: True, login="", garble=lambda content: content
    ):
        self.behave, self.sounds, self.garble = behave, sounds, garble
        self._authorization = f"Basic {base64.b64encode(login.encode()).decode()}" if login else None
        self.requests = []
        self.connections = 0
        self._ends = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = []
        raw = io.BytesIO()
        soundfile.write(raw, tone(2, RATE), RATE, format="RAW", subtype="ALAW")
        self._sound = raw.getvalue()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        with contextlib.suppress(OSError):  # closing it does not wake who accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    @property
    def port(self):
        return self._listener.getsockname()[1]

    @property
    def url(self):
        return f"rtsp://127.0.0.1:{self.port}/live"

    def asked(self, method):
        """Return the tracks that were asked for by a method, in order."""
        return [request.track for request in self.requests if request.method == method]

    def hang_up(self):
        """Close every connection."""
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        with contextlib.suppress(OSError):
            while not self._ends.is_set():
                connection, _ = self._listener.accept()
                self._sockets.append(connection)
                self.connections += 1
                session = _Session(self, connection, self.connections)
                threading.Thread(target=session.serve, daemon=True).start()


class _Session:
    def __init__(self, camera, connection, number):
        self._camera, self._connection, self._number = camera, connection, number
        self._channels = {}
        self._ports = {}
        self._lock = threading.Lock()
        self._over = threading.Event()

    def serve(self):
        with contextlib.suppress(OSError), self._connection, self._connection.makefile("rb") as file:
            while line := file.readline():
                if line[:1] == b"$":
                    self._skip(line, file)
                elif line.strip():
                    headers = {}
                    while header := file.readline().decode(errors="replace").strip():
                        key, _, value = header.partition(":")
                        headers[key.lower()] = value.strip()
                    if not self._answer(line.decode(errors="replace").split(), headers):
                        break
        self._over.set()

    def _skip(self, line, file):
        """Leave out a report of the listener, which stands between two requests."""
        rest = line[1:]
        while len(rest) < 3:
            rest += file.read(1)
        size = struct.unpack(">H", rest[1:3])[0] - (len(rest) - 3)
        file.read(max(0, size))

    def _answer(self, words, headers):
        method, url = words[0], words[1]
        camera, transport = self._camera, headers.get("transport", "")
        track = url.rsplit("/", 1)[-1]
        alone = "pictures" not in {*self._channels, *self._ports, track}
        request = Request(method, track, alone, "TCP" in transport, self._number)
        camera.requests.append(request)
        status = camera.behave(request)
        if camera._authorization not in {None, headers.get("authorization")} and method != "OPTIONS":
            status = 401
        if status == CLOSE:
            return False
        if status == IGNORE:
            return True
        extra, body = "", ""
        if status == 401:
            extra = 'WWW-Authenticate: Basic realm="camera"\r\n'
        elif status == 200 and method == "DESCRIBE":
            body = SDP
            extra = f"Content-Base: {url}/\r\nContent-Type: application/sdp\r\n"
        elif status == 200 and method == "SETUP":
            extra = f"Session: 77;timeout=60\r\nTransport: {self._set_up(track, transport)}\r\n"
        elif method == "OPTIONS":
            extra = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        head = f"RTSP/1.0 {status} Said\r\nCSeq: {headers.get('cseq')}\r\n{extra}"
        self._send(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        if status == 200 and method == "PLAY":
            threading.Thread(target=self._play, daemon=True).start()
        return method != "TEARDOWN"

    def _set_up(self, track, transport):
        if interleaved := re.search(r"interleaved=(\d+)", transport):
            self._channels[track] = int(interleaved[1])
            return transport
        self._ports[track] = int(re.search(r"client_port=(\d+)", transport)[1])
        return f"{transport};server_port=50000-50001"

    def _send(self, content):
        with self._lock:
            self._connection.sendall(self._camera.garble(content))

    def _play(self):
        pictures = "pictures" in {*self._channels, *self._ports}
        began, number = time.monotonic(), 0
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            while not (self._over.is_set() or self._camera._ends.is_set()):
                if self._camera.sounds(pictures):
                    at = number * PACKET % len(self._sound())
                    self._packet(udp, "sound", 8, number, number * PACKET, self._sound()[at : at + PACKET])
                if pictures and number % 5 == 0:
                    self._packet(udp, "pictures", 96, number // 5, number * 1800, bytes([0x41, 0x9A]) * 300)
                number += 1
                time.sleep(max(0.0, began + number * PACKET / RATE - time.monotonic()))

    def _sound(self):
        return self._camera._sound

    def _packet(self, udp, track, kind, number, stamp, content):
        packet = struct.pack(">BBHII", 0x80, kind, number & 0xFFFF, stamp & 0xFFFFFFFF, 1) + content
        if track in self._channels:
            self._send(b"$" + struct.pack(">BH", self._channels[track], len(packet)) + packet)
        elif track in self._ports:
            udp.sendto(packet, ("127.0.0.1", self._ports[track]))
