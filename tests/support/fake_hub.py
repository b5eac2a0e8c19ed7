"""A hub on this machine: as much of its protocol as a download needs, and its ways to fail."""

import contextlib
import gzip
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

COMMIT = "a" * 40


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass
class FakeHub:
    """One repository, ``someone/clap``; change its attributes to change what it answers."""

    files: dict[str, bytes]
    commit: str = COMMIT
    sent: dict[str, bytes] = field(default_factory=dict)
    """What is sent instead of a file's content."""
    breaks: Counter[str] = field(default_factory=Counter)
    """How many more times the transfer of a file ends half way."""
    stalls: threading.Event | None = None
    """Set while a half-sent file waits; transfers of large files stall as long as this is not None."""
    status: int = 200
    """Of every answer."""
    page: bytes | None = None
    """Sent in place of every answer: a login page."""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and range of every request."""
    tokens: list[str | None] = field(default_factory=list)
    """What every request has for ``Authorization``."""

    # Its lies; the name of the listing is "".
    listing_commit: str | None = None
    """What the listing says instead of `commit`."""
    entries: dict[str, dict] = field(default_factory=dict)
    """Keys of a file in the listing that are other than they should be; None leaves one out."""
    more: list = field(default_factory=list)
    """Other entries of the listing, whatever they are."""
    headers: dict[str, str] = field(default_factory=dict)
    """Of every answer, in place of the right ones."""
    endless: set[str] = field(default_factory=set)
    """Files whose content never ends."""
    drips: dict[str, str] = field(default_factory=dict)
    """Files of which a byte comes now and then, without end: in the ``head`` or in the ``body``."""
    moved: dict[str, str] = field(default_factory=dict)
    """Where files are instead; "" moves the listing."""
    packed: set[str] = field(default_factory=set)
    """Files that are sent as gzip, though nobody asked for it."""
    ranges: bool = True
    """Whether it can begin in the middle of a file."""

    def listing(self) -> dict:
        siblings = []
        for name, content in self.files.items():
            entry = {"rfilename": name, "size": len(content), "blobId": git_hash(content)}
            if self.large(name):
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            changed = entry | self.entries.get(name, {})
            siblings.append({key: value for key, value in changed.items() if value is not None})
        siblings += self.more
        return {
            "_id": "1",
            "id": "someone/clap",
            "sha": self.listing_commit or self.commit,
            "private": False,
            "siblings": siblings,
        }

    @staticmethod
    def large(name: str) -> bool:
        return name.endswith((".safetensors", ".bin"))

    def fetched(self) -> list[str]:
        return [
            path.rsplit("/", 1)[1]
            for method, path, _ in self.requests
            if method == "GET" and "/resolve/" in path
        ]


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, *_arguments) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, hub = self.path.partition("?")[0], self.hub
        hub.requests.append((self.command, path, self.headers.get("Range")))
        hub.tokens.append(self.headers.get("Authorization"))
        if hub.page is not None:
            self.answer(hub.page, {"Content-Type": "text/html"})
        elif hub.status != 200:
            self.answer(b"", {"X-Error-Code": "RepoNotFound"} if hub.status == 404 else {}, hub.status)
        elif path in {"/api/models/someone/clap", f"/api/models/someone/clap/revision/{hub.commit}"} or (
            path == "/api/models/someone/clap/revision/v1"
        ):
            moved = {"Location": hub.moved[""]} if "" in hub.moved else {}
            content = b"" if moved else json.dumps(hub.listing()).encode()
            self.answer(content, {"Content-Type": "application/json"} | moved, 302 if moved else 200)
        elif path.startswith("/api/models/someone/clap/"):
            self.answer(b"", {"X-Error-Code": "RevisionNotFound"}, 404)
        elif path.startswith((f"/someone/clap/resolve/{hub.commit}/", "/elsewhere/")):
            self.file(path.rsplit("/", 1)[1])
        else:
            self.answer(b"", {"X-Error-Code": "RepoNotFound"}, 404)

    def file(self, name: str) -> None:
        hub = self.hub
        promised, content = hub.files[name], hub.sent.get(name, hub.files[name])
        headers = {"X-Repo-Commit": hub.commit, "Accept-Ranges": "bytes", "ETag": f'"{git_hash(promised)}"'}
        if hub.large(name):
            headers["X-Linked-ETag"] = f'"{hashlib.sha256(promised).hexdigest()}"'
            headers["X-Linked-Size"] = str(len(promised))
        if name in hub.moved and not self.path.startswith("/elsewhere/"):
            self.answer(b"", headers | {"Location": hub.moved[name]}, 302)
            return
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        begin = begin if hub.ranges else 0
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self.answer(content[begin:], headers, 206 if begin else 200, name)

    def answer(self, content: bytes, headers: dict[str, str], status: int = 200, name: str = "") -> None:
        hub = self.hub
        if name in hub.packed and status == 200:
            content, headers = gzip.compress(content), headers | {"Content-Encoding": "gzip"}
        self.send_response(status)
        for key, value in (headers | hub.headers).items():
            self.send_header(key, value)
        if status == 200 and hub.drips.get(name) == "head":
            self.drip(b"X-More: and more\r\n")
        without_end = status == 200 and (name in hub.endless or name in hub.drips)
        if not without_end:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if without_end:
            self.close_connection = True
            if name in hub.drips:
                self.drip(b"?")
            self.pour(content)
        elif hub.breaks[name] > 0 or (hub.stalls and hub.large(name)):
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.close_connection = True
            if hub.breaks[name] > 0:
                hub.breaks[name] -= 1
                return
            hub.stalls.set()
            self.rfile.read(1)  # until the other side goes away
        else:
            self.wfile.write(content)

    def drip(self, drop: bytes) -> None:
        """Send a byte now and then, until the other side goes away."""
        self.flush_headers()
        with contextlib.suppress(OSError):
            while True:
                for byte in drop:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(0.05)

    def pour(self, content: bytes) -> None:
        """Send the content over and over, until the other side goes away."""
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(content)


def serve(hub: FakeHub) -> tuple[http.server.ThreadingHTTPServer, str]:
    """Start serving in a thread; the server, to be shut down and closed, and its address."""
    handler = type("Handler", (Answers,), {"hub": hub})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


# The library reads HF_ENDPOINT and HF_HOME once, at its import: every client is a process of its own.
CLIENT = """
import json, sys
from monitor.model import hub
from monitor.types import MonitorError
seen = []
for name, value in json.loads(sys.argv[3]).items():
    setattr(hub, name, value)
options = json.loads(sys.argv[2])
if sys.argv[1] == "download":
    options["progress"] = lambda done, total: seen.append((done, total))
try:
    path = getattr(hub, sys.argv[1])("someone/clap", **options)
    print(json.dumps([str(path), seen]))
except MonitorError as error:
    print(error)
    sys.exit(error.exit_code)
"""


class Machine:
    """One computer with its own cache, and a hub that it asks."""

    def __init__(self, home, address):
        self.cache = home / "hub" / "models--someone--clap"
        offline = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        self.environment = offline | {"HF_HOME": str(home), "HF_ENDPOINT": address}
        self.limits: dict[str, float] = {}
        """Constants of `monitor.model.hub` that are other than usual."""

    def start(self, what, **options):
        command = [
            sys.executable,
            "-W",
            "error",
            "-c",
            CLIENT,
            what,
            json.dumps(options),
            json.dumps(self.limits),
        ]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ask(self, what, **options):
        """Path and progress that a call gives."""
        client = self.start(what, **options)
        answer, errors = client.communicate(timeout=600)
        assert client.returncode == 0, answer + errors
        return json.loads(answer)

    def fail(self, what, **options):
        """Exit code and the one line of a call that fails."""
        client = self.start(what, **options)
        answer, _ = client.communicate(timeout=600)
        assert answer.count("\n") == 1, answer
        return client.returncode, answer.strip()
