"""A real broker and a real subscriber; `Broker` needs the Debian package mosquitto, for TLS also openssl.

The broker runs as a child process on a free port of 127.0.0.1 and, unless told otherwise, keeps nothing on
disk, so a restart forgets what was retained.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

PATIENCE = 120.0
"""Seconds after which a condition that should come true is a failure, however busy the machine is."""

AGAIN_SECONDS = 5.0


def eventually(condition, seconds=PATIENCE):
    """Wait until a condition holds, and return what it returned."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"still not true after {seconds} s"
        time.sleep(0.01)
    return value


def free_port():
    """Return a port that nothing listens on, and that no outgoing connection is given by chance.

    Linux gives those 32768 and above, also while a broker of ours is away for a moment.  Each of up to 16
    processes of one test run has ports of its own: no broker of another one begins to listen on it.
    """
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16
    while True:
        port = random.SystemRandom().randrange(20_000 + process, 32_000, 16)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Broker:
    """A mosquitto; a context manager that starts it and ends it.

    Parameters
    ----------
    directory : Path
        For its configuration, log, passwords and certificates.
    users : mapping of str to str or None
        Name to password; None lets everyone in.
    tls : bool
        Whether to speak TLS only, with a certificate for 127.0.0.1 and localhost that `ca_file` vouches for.
    certificates : bool
        Whether to let in only who shows a certificate, as in `cert_file` with its `key_file`; with tls.
    sessions : bool
        Whether to remember, from the last `stop` on, who has subscribed with a session, and to keep every
        message for them while they are away.
    access : str or None
        Its access list; None lets everybody read and write everything.
    options : sequence of str
        Further lines of its configuration.
    program : str
        Another mosquitto.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        directory,
        *,
        users=None,
        tls=False,
        certificates=False,
        sessions=False,
        access=None,
        options=(),
        program="mosquitto",
    ):
        self._program = program
        self._access_file = directory / "access"
        self.port = free_port()
        self.ca_file = directory / "ca.pem" if tls else None
        self.cert_file = directory / "client.pem"
        self.key_file = directory / "client.key"
        self._process = None
        self._log = directory / "mosquitto.log"
        self._file = directory / "mosquitto.conf"
        lines = [f"listener {self.port} {self.host}", "user root", "log_type all"]
        # A subscriber that reads slowly on a busy machine loses nothing.  Not 0, for as many as there are: a
        # mosquitto 2.0.11 then ends the connection when it has acknowledged what its access list denies.
        lines.append("max_queued_messages 100000")
        lines.append(f"allow_anonymous {str(users is None).lower()}")
        if users is not None:
            lines.append(f"password_file {_passwords(directory / 'passwords', users)}")
        if tls:
            certify(directory)
            lines += [f"cafile {self.ca_file}", f"certfile {directory / 'server.pem'}"]
            lines.append(f"keyfile {directory / 'server.key'}")
        if certificates:
            lines.append("require_certificate true")
        if sessions:
            lines += ["persistence true", f"persistence_location {directory}/", "autosave_interval 0"]
            lines.append("queue_qos0_messages true")
        if access is not None:
            self._access_file.write_text(access)
            lines.append(f"acl_file {self._access_file}")
        self._file.write_text("\n".join([*lines, *options]) + "\n")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self):
        """Start it, again after `stop` or `kill`, and wait until it takes connections."""
        with self._log.open("a") as log:
            self._process = subprocess.Popen([self._program, "-c", self._file], stdout=log, stderr=log)
        eventually(self._listens)

    def stop(self):
        """End it as a service manager does."""
        self._end(signal.SIGTERM)

    def kill(self):
        """End it as a power cut does."""
        self._end(signal.SIGKILL)

    def allow(self, access):
        """Go by another access list from now on."""
        before = self.log.count("Reloading config")
        self._access_file.write_text(access)
        self._process.send_signal(signal.SIGHUP)
        eventually(lambda: self.log.count("Reloading config") > before)

    @contextlib.contextmanager
    def frozen(self):
        """Keep connections open, but let nothing be read nor answered; it may be killed meanwhile."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            if self._process is not None:
                self._process.send_signal(signal.SIGCONT)

    @property
    def log(self):
        """What it has logged so far."""
        return self._log.read_text()

    def retained(self, **options):
        """Return what a newcomer is told: topic to text."""
        with Subscriber(self, **options) as newcomer:
            newcomer.settle()
            return {message.topic: message.text for message in newcomer.messages() if message.retained}

    def _end(self, number):
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)
            self._process = None

    def _listens(self):
        assert self._process.poll() is None, f"mosquitto ended: {self.log}"
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((self.host, self.port)):
            return True
        return False


@dataclass(frozen=True)
class Message:
    topic: str
    text: str
    retained: bool
    """True for what was kept from before the subscription."""
    qos: int


class Subscriber:
    """Collects every message in a thread of its own; a context manager.

    Parameters
    ----------
    broker : Broker
    topic : str
        A filter, with wildcards.
    username, password : str or None
    session : str or None
        Name under which the broker remembers the subscription.
    qos : int
        With 0 it never answers, so nothing that a killed broker has sent is lost with its connection.
        The marker of `settle` comes with the same: mosquitto 2.0.11 may count what it once queued with 0 as
        unanswered for ever, and then holds back all that would have to be answered.
    """

    _SENTINEL = "subscriber/settled"

    def __init__(self, broker, topic="#", *, username=None, password=None, session=None, qos=1):
        self._topic = topic
        self._qos = qos
        self._messages = []
        self._asked = self._settled = 0
        self._subscribed = False
        self._changed = threading.Condition()
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=session or "", clean_session=session is None
        )
        self._client.username_pw_set(username, password)
        if broker.ca_file is not None:
            self._client.tls_set(broker.ca_file)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_disconnect = self._on_disconnect
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(broker.host, broker.port)

    def __enter__(self):
        self._client.loop_start()
        self.wait_until_back()
        return self

    def __exit__(self, *_):
        self._client.disconnect()
        self._client.loop_stop()

    def messages(self, topic=None):
        """Return what has come, oldest first, under one topic or under all."""
        with self._changed:
            return [message for message in self._messages if topic in {None, message.topic}]

    def texts(self, topic):
        """Return the texts that have come under one topic."""
        return [message.text for message in self.messages(topic)]

    def wait_for(self, topic, *texts, count=1):
        """Wait until the last texts under a topic are these, or there are ``count``; return all of them."""
        if texts:
            self._wait(lambda: self.texts(topic)[-len(texts) :] == list(texts))
        else:
            self._wait(lambda: len(self.texts(topic)) >= count)
        return self.texts(topic)

    def wait_until_back(self):
        """Wait until the broker has taken the subscription, again after it was away."""
        self._wait(lambda: self._subscribed)

    def settle(self):
        """Wait until everything that the broker had when this was called has come.

        It asks again now and then: what is published in the moment of a reconnection may never be sent.
        """
        self._asked += 1
        deadline = time.monotonic() + PATIENCE
        while not self._came(self._asked):
            assert time.monotonic() < deadline, f"not settled after {PATIENCE} s"

    def _came(self, number):
        self._client.publish(self._SENTINEL, str(number), qos=1)
        with self._changed:
            return self._changed.wait_for(lambda: self._settled >= number, AGAIN_SECONDS)

    def _wait(self, condition):
        with self._changed:
            came = self._changed.wait_for(condition, PATIENCE)
            assert came, f"still not true after {PATIENCE} s; so far: {self._messages}"

    def _on_connect(self, client, *_):
        client.subscribe([(self._topic, self._qos), (self._SENTINEL, self._qos)])

    def _on_disconnect(self, *_):
        with self._changed:
            self._subscribed = False

    def _on_subscribe(self, *_):
        with self._changed:
            self._subscribed = True
            self._changed.notify_all()

    def _on_message(self, _client, _data, message):
        with self._changed:
            if message.topic == self._SENTINEL:
                self._settled = max(self._settled, int(message.payload))
            else:
                text = message.payload.decode(errors="replace")
                self._messages.append(Message(message.topic, text, message.retain, message.qos))
            self._changed.notify_all()


def _passwords(path, users):
    path.touch(0o600)
    for name, password in users.items():
        subprocess.run(["mosquitto_passwd", "-b", path, name, password], check=True, capture_output=True)
    return path


def certify(directory):
    """Make a certificate authority, a certificate for 127.0.0.1 and localhost, and one for a client."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    key = ["-newkey", "rsa:2048", "-nodes", "-days", "2"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority")
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    for who in ("server", "client"):
        openssl("req", *key[:3], "-keyout", f"{who}.key", "-out", f"{who}.csr", "-subj", "/CN=127.0.0.1")
        openssl("x509", "-req", "-in", f"{who}.csr", *signed, "-out", f"{who}.pem")
