"""Proxy that does to requests what Home Assistant and its Supervisor do: the path, the headers, the frame."""

import contextlib
import re
import socket
import threading

TOKEN = "vUzr3wWJ-9kQ_x0"
PATH = f"/api/hassio_ingress/{TOKEN}"
FRAME = (
    '<!doctype html><html lang="en"><title>Home Assistant</title>'
    '<meta name="viewport" content="width=device-width">'
    "<style>body { margin: 0 } iframe { display: block; width: 100vw; height: 100vh; border: 0 }</style>"
    f'<iframe title="app" src="{PATH}/"></iframe>'
)
_DROPPED = ("connection", "x-ingress-path", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")


class IngressProxy:
    """A context manager that passes on what is below `PATH` to a port, and answers ``/`` with a frame of it.

    Like the Supervisor it removes the path, names it in X-Ingress-Path, and keeps the host of the browser.
    """

    def __init__(self, port):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.asked = []
        """Request lines as the browser sent them."""

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, contextlib.suppress(OSError):
            head, rest = _head_of(client)
            if not head:
                return
            line, *headers = head.split("\r\n")
            self.asked.append(line)
            if f" {PATH}/" not in line:
                more = f"Content-Type: text/html\r\nContent-Length: {len(FRAME)}\r\nConnection: close"
                client.sendall(f"HTTP/1.1 200 OK\r\n{more}\r\n\r\n{FRAME}".encode())
                return
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                server.sendall(f"{_passed_on(line, headers)}\r\n\r\n".encode() + rest)
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join()


def _passed_on(line, headers):
    upgrade = any(re.match("upgrade:", header, re.IGNORECASE) for header in headers)
    host = next(header.split(":", 1)[1].strip() for header in headers if header.lower().startswith("host:"))
    kept = [header for header in headers if header.split(":")[0].lower() not in _DROPPED]
    added = [
        f"X-Ingress-Path: {PATH}",
        "X-Forwarded-For: 192.168.1.20, 172.30.32.1",
        f"X-Forwarded-Host: {host}",
        "X-Forwarded-Proto: http",
        "X-Remote-User-Id: 1f2e",
        "X-Remote-User-Name: parent",
        "X-Remote-User-Display-Name: Parent",
        f"Connection: {'Upgrade' if upgrade else 'close'}",
    ]
    return "\r\n".join([line.replace(f" {PATH}/", " /", 1), *kept, *added])


def _head_of(client):
    received = b""
    while b"\r\n\r\n" not in received:
        part = client.recv(65536)
        if not part:
            return "", b""
        received += part
    head, rest = received.split(b"\r\n\r\n", 1)
    return head.decode(), rest


def _pump(source, target):
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
