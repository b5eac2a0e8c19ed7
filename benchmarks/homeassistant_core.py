"""A real Home Assistant Core, driven over its own REST and WebSocket API; used by `homeassistant.py`."""

from __future__ import annotations

import itertools
import json
import shlex
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

PATIENCE = 180.0


def eventually(condition: Callable[[], Any], seconds: float = PATIENCE) -> bool:
    """Wait until a condition holds; False if it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


class HomeAssistant:
    """One installation, which is started, stopped and asked; a context manager.

    Parameters
    ----------
    start : str
        Command that runs it in the foreground.
    config : Path
        Its directory of configuration, as this process sees it.
    port : int
        Of its HTTP server on 127.0.0.1.
    log : Path
        What it writes is appended to it.
    """

    def __init__(self, start: str, config: Path, port: int, log: Path) -> None:
        self.config, self.log = config, log
        self.changes: list[dict[str, Any]] = []
        """New states, oldest first, since `start`."""
        self._start, self._address = start, f"127.0.0.1:{port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it runs and listens to us."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                shlex.split(self._start), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        assert eventually(self._answers), "Home Assistant does not answer"
        self._log_in()
        assert eventually(lambda: self.get("/api/config")["state"] == "RUNNING"), "it does not run"
        active_labels = threading.Event()
        threading.Thread(target=self._listen, args=(active_labels, self._token), daemon=True).start()
        assert active_labels.wait(PATIENCE)

    def stop(self) -> None:
        """End it as a service manager does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None

    @property
    def version(self) -> str:
        """Of Home Assistant."""
        return str(self.get("/api/config")["version"])

    def get(self, path: str) -> Any:
        """Ask."""
        return self._call("GET", path)

    def post(self, path: str, body: object) -> Any:
        """Tell."""
        return self._call("POST", path, body)

    def ask(self, **command: Any) -> Any:
        """Send one command over a WebSocket of its own, and return its result."""
        with connect(
            f"ws://{self._address}/api/websocket", open_timeout=60, max_size=None, ping_interval=None
        ) as socket:
            self._authenticate(socket, self._token)
            socket.send(json.dumps({"id": 1, **command}))
            return json.loads(socket.recv())["result"]

    def use_broker(self, port: int) -> None:
        """Set up its MQTT integration anew: everything that it knew over MQTT is forgotten."""
        for entry in self.get("/api/config/config_entries/entry"):
            if entry["domain"] == "mqtt":
                self._call("DELETE", f"/api/config/config_entries/entry/{entry['entry_id']}")
        flow = self.post("/api/config/config_entries/flow", {"handler": "mqtt"})
        answer = {**_filled(flow["data_schema"]), "broker": "127.0.0.1", "port": port}
        done = self.post(f"/api/config/config_entries/flow/{flow['flow_id']}", answer)
        assert done["type"] == "create_entry", done

    def state(self, entity: str) -> str | None:
        """State of an entity; None if there is none."""
        try:
            return str(self.get(f"/api/states/{entity}")["state"])
        except urllib.error.HTTPError:
            return None

    def entities(self) -> list[dict[str, Any]]:
        """What its registry holds of MQTT, disabled entities included."""
        return [each for each in self.ask(type="config/entity_registry/list") if each["platform"] == "mqtt"]

    def devices(self, model: str = "CLAP") -> list[dict[str, Any]]:
        """What its registry holds of devices of ours."""
        every = self.ask(type="config/device_registry/list")
        return [each for each in every if str(each["model"]).startswith(model)]

    def seen(self, entity: str) -> list[dict[str, Any]]:
        """States that an entity has had since the start, oldest first."""
        return [change for change in tuple(self.changes) if change["entity_id"] == entity]

    def wait_until_quiet(self) -> None:
        """Wait until it has logged nothing for a while."""
        size = -1
        while size != self.log.stat().st_size:
            size = self.log.stat().st_size
            time.sleep(4)

    def complaints(self, since: int = 0) -> list[str]:
        """Warnings and errors of its MQTT integration in the log."""
        lines = self.log.read_text(errors="replace")[since:].splitlines()
        return [
            line
            for line in lines
            if ("WARNING" in line or "ERROR" in line)
            and ("components.mqtt" in line or "clap" in line)
            and "components.mqtt.client" not in line  # that the broker was away
            and "The client is not currently connected" not in line
            and "Unable to remove unknown dispatcher" not in line  # of itself, when the integration goes
            and "Error unloading entry" not in line  # the same
            and "is logging too frequently" not in line  # its own lines of level info, at which it runs here
        ]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self._address}/api/onboarding", timeout=5):
                return True
        except urllib.error.HTTPError:
            return True  # there is nothing left to be set up
        except OSError:
            return False

    def _log_in(self) -> None:
        client = f"http://{self._address}/"
        person = {"username": "check", "password": "check check check"}
        try:
            steps = self.get("/api/onboarding")
        except urllib.error.HTTPError:
            steps = [{"step": "user", "done": True}]
        if not next(step["done"] for step in steps if step["step"] == "user"):
            new = {**person, "client_id": client, "name": "Check", "language": "en"}
            code = self.post("/api/onboarding/users", new)["auth_code"]
        else:
            asked = {"client_id": client, "handler": ["homeassistant", None], "redirect_uri": client}
            flow = self.post("/auth/login_flow", asked)["flow_id"]
            code = self.post(f"/auth/login_flow/{flow}", {**person, "client_id": client})["result"]
        form = f"grant_type=authorization_code&code={code}&client_id={client}"
        asked_for = urllib.request.Request(f"http://{self._address}/auth/token", form.encode())
        with urllib.request.urlopen(asked_for, timeout=30) as answer:  # noqa: S310 - of 127.0.0.1
            self._token = json.load(answer)["access_token"]

    def _call(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if self._token and not path.startswith("/auth/"):
            headers["Authorization"] = f"Bearer {self._token}"
        content = None if body is None else json.dumps(body).encode()
        url = f"http://{self._address}{path}"
        request = urllib.request.Request(url, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - of 127.0.0.1
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.add_note(f"{method} {path} {body}: {error.read()[:500]!r}")
            raise

    def _listen(self, active_labels: threading.Event, token: str) -> None:
        try:
            with connect(
                f"ws://{self._address}/api/websocket", open_timeout=60, max_size=None, ping_interval=None
            ) as socket:
                self._authenticate(socket, token)
                socket.send('{"id": 1, "type": "subscribe_events", "event_type": "state_changed"}')
                socket.recv()
                active_labels.set()
                for message in itertools.chain(socket):
                    new = json.loads(message)["event"]["data"]["new_state"]
                    if new is not None:
                        self.changes.append(new)
        except (WebSocketException, OSError):
            return  # it was stopped

    @staticmethod
    def _authenticate(socket: Any, token: str) -> None:
        socket.recv()
        socket.send(json.dumps({"type": "auth", "access_token": token}))
        answer = json.loads(socket.recv())
        assert answer["type"] == "auth_ok", answer


_ANSWERS = {"set_client_cert": False, "set_ca_cert": "off"}


def _filled(fields: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a form wants, by its own suggestions where it has any."""
    return {
        field["name"]: _filled(field["schema"])
        if "schema" in field
        else field.get("default", _ANSWERS.get(field["name"]))
        for field in fields
        if field.get("required")
    }
