"""A real HTTP server to be notified, which can also refuse, hang, and answer slowly or without end."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebHook:
    """Takes what Apprise posts to ``json://``; a context manager."""

    def __init__(self):
        self.letters = []
        self.paths = []
        self.tries = 0
        self.status = 200
        self.behaviour = "answer"
        """answer, hang, trickle, or flood."""
        self._released = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                hook._take(self)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(120)

    def url(self, path="", user=""):
        return f"json://{user}127.0.0.1:{self.port}/{path}"

    @property
    def titles(self):
        return [letter["title"] for letter in self.letters]

    def _take(self, request):
        self.tries += 1
        body = request.rfile.read(int(request.headers["Content-Length"]))
        if self.behaviour == "hang":
            self._released.wait()
            return
        if self.behaviour == "trickle":
            request.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            while not self._released.wait(0.2):
                try:
                    request.wfile.write(b"x")
                except OSError:
                    return
            return
        if self.behaviour == "flood":
            request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with contextlib.suppress(OSError):
                while not self._released.is_set():
                    request.wfile.write(bytes(1_000_000))
            return
        if self.status == 200:
            self.paths.append(request.path)
            self.letters.append(json.loads(body))
        request.send_response(self.status)
        request.end_headers()
