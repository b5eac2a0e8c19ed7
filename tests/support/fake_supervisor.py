"""Supervisor of Home Assistant, as far as an app asks it for its broker."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "token-of-the-app"
MOSQUITTO = {
    "result": "ok",
    "data": {
        "addon": "core_mosquitto",
        "host": "core-mosquitto",
        "port": 1883,
        "ssl": False,
        "username": "addons",
        "password": "aePhee5ai",
        "protocol": "3.1.1",
    },
}


class FakeSupervisor:
    """A context manager; ``body`` is JSON or bytes, and None is never answered."""

    def __init__(self, status=200, body=MOSQUITTO):
        self.status, self.body = status, body
        self.asked = []
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self):
        supervisor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                supervisor.asked.append((self.path, self.headers["Authorization"]))
                status, body = supervisor.status, supervisor.body
                if body is None:
                    supervisor._ended.wait(120)
                    return
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    status, body = 401, {"result": "error", "message": "unauthorized"}
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        return Handler
