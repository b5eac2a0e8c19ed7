"""A hub on this machine: as much of its protocol as a download needs, and its ways to fail."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
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

    def listing(self) -> dict:
        siblings = []
        for name, content in self.files.items():
            entry = {"rfilename": name, "size": len(content), "blobId": git_hash(content)}
            if self.large(name):
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        return {"_id": "1", "id": "someone/clap", "sha": self.commit, "private": False, "siblings": siblings}

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
        if hub.page is not None:
            self.answer(hub.page, {"Content-Type": "text/html"})
        elif hub.status != 200:
            self.answer(b"", {"X-Error-Code": "RepoNotFound"} if hub.status == 404 else {}, hub.status)
        elif path in {"/api/models/someone/clap", f"/api/models/someone/clap/revision/{hub.commit}"} or (
            path == "/api/models/someone/clap/revision/v1"
        ):
            self.answer(json.dumps(hub.listing()).encode(), {"Content-Type": "application/json"})
        elif path.startswith("/api/models/someone/clap/"):
            self.answer(b"", {"X-Error-Code": "RevisionNotFound"}, 404)
        elif path.startswith(f"/someone/clap/resolve/{hub.commit}/"):
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
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self.answer(content[begin:], headers, 206 if begin else 200, name)

    def answer(self, content: bytes, headers: dict[str, str], status: int = 200, name: str = "") -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.breaks[name] > 0 or (self.hub.stalls and self.hub.large(name)):
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.close_connection = True
            if self.hub.breaks[name] > 0:
                self.hub.breaks[name] -= 1
                return
            self.hub.stalls.set()
            self.rfile.read(1)  # until the other side goes away
            return
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
from monitor import hub
from monitor.types import MonitorError
seen = []
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

    def start(self, what, **options):
        command = [sys.executable, "-W", "error", "-c", CLIENT, what, json.dumps(options)]
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
