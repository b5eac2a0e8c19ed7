"""Connection to a broker: how it comes about and ends, seen from outside of paho."""

import gc
import queue
import socket
import struct
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.config import MqttConfig
from monitor.outputs.mqtt.connection import Connection, ConnectionProfile
from monitor.outputs.mqtt.connection_events import Acknowledged, Connected, Disconnected, SocketOpened
from monitor.outputs.mqtt.negotiation import MQTT_3, ConnectOptions
from monitor.outputs.mqtt.tls import broker_address, explain_connect_error, tls_context
from monitor.types import ConfigError
from tests.support.broker import PATIENCE, Broker, Subscriber, eventually, free_port
from tests.support.odd_broker import connack
from tests.support.open_files import left_open, open_files

pytestmark = pytest.mark.broker


class Watched:
    """A connection and the notices it gave; ``meanwhile`` gets both, in the thread of the connection."""

    def __init__(
        self,
        *,
        port,
        password=None,
        options=ConnectOptions(MQTT_3),  # noqa: B008
        filters=(),
        meanwhile=lambda *_: None,
        **config,
    ):
        self._notices, self._meanwhile = queue.SimpleQueue(), meanwhile
        mqtt = MqttConfig(host="127.0.0.1", port=port, **config)
        profile = ConnectionProfile(
            config=mqtt,
            client_id="test",
            password=password,
            tls=tls_context(mqtt),
            will_topic="test/status",
            max_queued=100,
            filters=filters,
        )
        self.connection = Connection(profile, options, self._notified)

    def _notified(self, connection, notice):
        self._notices.put(notice)
        self._meanwhile(connection, notice)

    def next(self):
        return self._notices.get(timeout=PATIENCE)

    def until_end(self):
        notices = [self.next()]
        while not isinstance(notices[-1], Disconnected):
            notices.append(self.next())
        return notices


@contextmanager
def without_collecting_garbage():
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def answering(answer, *, then_close=True):
    """A port where everyone is told the same bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                kept.append(connection)
                connection.recv(100)
                connection.sendall(answer)
                if then_close:
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)
            for connection in kept:
                connection.close()


def test_a_connection_opens_is_accepted_and_ends_when_closed(tmp_path):
    with Broker(tmp_path) as broker, Subscriber(broker) as subscriber:
        watched = Watched(port=broker.port)
        assert watched.next() == SocketOpened()
        assert watched.next() == Connected()
        number = watched.connection.publish("test/event", "hello", qos=1, retain=False)
        assert watched.next() == Acknowledged(number)
        watched.connection.close()
        assert watched.next() == Disconnected(None)
        subscriber.settle()
        assert [(message.topic, message.text) for message in subscriber.messages()] == [
            ("test/event", "hello")
        ]


def test_a_message_without_qos_is_acknowledged_when_it_is_on_its_way(tmp_path):
    with Broker(tmp_path) as broker:
        watched = Watched(port=broker.port)
        assert [watched.next(), watched.next()] == [SocketOpened(), Connected()]
        number = watched.connection.publish("test/event", "hello", qos=0, retain=False)
        assert watched.next() == Acknowledged(number)
        watched.connection.close()
        assert watched.next() == Disconnected(None)


def test_a_broker_that_ends_closes_the_connection(tmp_path):
    with Broker(tmp_path) as broker:
        watched = Watched(port=broker.port)
        assert [watched.next(), watched.next()] == [SocketOpened(), Connected()]
        broker.stop()
        assert watched.next() == Disconnected("closed the connection")


def test_a_broker_that_breaks_off_while_its_acceptance_is_handled_has_closed_the_connection():
    accepted = queue.SimpleQueue()

    def accept():
        channel, _ = server.accept()
        channel.recv(100)
        channel.sendall(connack(MQTT_3))
        accepted.put(channel)

    def break_off(connection, notice):
        if notice == Connected():
            channel = accepted.get(timeout=PATIENCE)
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            channel.close()
            connection.publish("test/event", "hello", qos=1, retain=False)  # paho sends it before it reads on

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=accept)
        thread.start()
        watched = Watched(port=server.getsockname()[1], meanwhile=break_off)
        assert watched.until_end()[-1] == Disconnected("closed the connection")
        thread.join(PATIENCE)


def test_a_port_where_nothing_listens_refuses():
    assert Watched(port=free_port()).until_end() == [
        Disconnected("refused the connection: is the broker running?")
    ]


def test_an_ended_connection_holds_no_socket_without_garbage_collection(tmp_path):
    with Broker(tmp_path) as broker, without_collecting_garbage():
        before = open_files()
        ended = [Watched(port=free_port()), Watched(port=broker.port)]
        assert [ended[1].next(), ended[1].next()] == [SocketOpened(), Connected()]
        ended[1].connection.close()
        for watched in ended:
            watched.until_end()
        eventually(lambda: not left_open(before))
        ended[1].connection.publish("test/event", "too late", qos=1, retain=False)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\nServer: test\r\nConnection: close\r\n\r\n<html>Bad request</html>"
        + 200 * b" ",
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
        b"220 mail.example.org ESMTP Postfix\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",  # a TLS alert
        b"\x20\x7f" + 127 * b"\0",  # an acceptance of the wrong size
        b"\x40\x01\x00",  # half an acknowledgement
        b"\x30\x03\xff\xff\xff",  # a message with a topic longer than itself
        b"\x90\x01\x00",
        b"\xff\xff\xff\xff\xff\xff",
        b"\0" * 64,
        b"",
    ],
    ids=lambda answer: answer[:12].decode("latin-1").encode("unicode_escape").decode(),
)
def test_a_server_that_answers_anything_else_does_not_speak_mqtt(answer):
    with answering(answer) as port:
        end = Watched(port=port).until_end()[-1]
    assert end.reason.startswith("does not speak MQTT")
    assert "mqtt.port" in end.reason


def test_closing_while_a_server_is_silent_ends_the_connection():
    with answering(b"", then_close=False) as port:
        watched = Watched(port=port)
        assert watched.next() == SocketOpened()
        watched.connection.close()
        assert watched.next() == Disconnected(None)


def test_the_right_password_is_accepted_and_a_wrong_one_is_refused(tmp_path):
    user = {"username": "monitor", "password": "right"}
    with Broker(tmp_path, users={"monitor": "right"}) as broker:
        watched = Watched(port=broker.port, **user)
        assert [watched.next(), watched.next()] == [SocketOpened(), Connected()]
        watched.connection.close()
        assert watched.next() == Disconnected(None)
        refused = Disconnected("says not authorised: check mqtt.username and mqtt.password_file", code=135)
        assert Watched(port=broker.port, **user | {"password": "wrong"}).until_end() == [
            SocketOpened(),
            refused,
        ]
        assert Watched(port=broker.port).until_end()[-1] == refused


def test_tls_connects_to_a_broker_that_the_ca_file_trusts(tmp_path):
    with Broker(tmp_path, tls=True) as broker:
        watched = Watched(port=broker.port, tls=True, ca_file=broker.ca_file)
        assert [watched.next(), watched.next()] == [SocketOpened(), Connected()]
        watched.connection.close()
        assert watched.next() == Disconnected(None)


def test_an_untrusted_certificate_is_refused(tmp_path):
    with Broker(tmp_path, tls=True) as broker:
        why = Watched(port=broker.port, tls=True).until_end()[-1].reason
    assert why.startswith("failed the TLS handshake")
    assert "certificate" in why
    assert why.endswith("check mqtt.host and mqtt.ca_file")


def test_tls_with_a_broker_without_tls_fails_the_handshake(tmp_path):
    with Broker(tmp_path) as broker:
        why = Watched(port=broker.port, tls=True).until_end()[-1].reason
    assert why.startswith("failed the TLS handshake")
    assert why.endswith("check that mqtt.port is the one for TLS")


def test_no_tls_with_a_broker_that_requires_it_is_reported_as_not_mqtt(tmp_path):
    with Broker(tmp_path, tls=True) as broker:
        why = Watched(port=broker.port).until_end()[-1].reason
    assert why.startswith("does not speak MQTT")
    assert "mqtt.tls" in why


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "is an unknown host"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "the name server does not answer"),
        (TimeoutError("timed out"), "did not answer within 5 s"),
        (OSError(113, "No route to host"), "cannot be reached: No route to host"),
        (OSError("odd"), "cannot be reached: odd"),
    ],
)
def test_every_failure_is_explained_in_plain_words(error, words):
    assert words in explain_connect_error(error, tls=False)


def test_a_client_certificate_is_accepted_where_one_is_required(tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with Broker(tmp_path, tls=True, certificates=True) as broker:
        config = {"tls": True, "ca_file": broker.ca_file, "cert_file": broker.cert_file}
        watched = Watched(port=broker.port, **config, key_file=Path("client.key"))
        assert (watched.next(), watched.next()) == (SocketOpened(), Connected())
        watched.connection.close()
        watched.until_end()


def test_without_a_required_client_certificate_the_reason_names_cert_file(tmp_path):
    with Broker(tmp_path, tls=True, certificates=True) as broker:
        why = Watched(port=broker.port, tls=True, ca_file=broker.ca_file).until_end()[-1].reason
    assert "does it require mqtt.cert_file" in why


def test_a_certificate_without_its_key_is_a_configuration_error(tmp_path):
    broker = Broker(tmp_path, tls=True)
    files = {"host": "broker", "tls": True, "cert_file": broker.cert_file}
    with pytest.raises(ConfigError, match=r"mqtt.key_file: .*none: cannot be read: No such file"):
        tls_context(MqttConfig(**files, key_file=tmp_path / "none"))
    for key_file in (None, tmp_path / "server.key"):
        with pytest.raises(
            ConfigError, match=r"mqtt.cert_file: .*client.pem and .* are not a certificate and"
        ):
            tls_context(MqttConfig(**files, key_file=key_file))
    locked = tmp_path / "locked.key"
    command = ["openssl", "rsa", "-aes256", "-passout", "pass:secret", "-in", broker.key_file, "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(ConfigError, match="without a passphrase"):
        tls_context(MqttConfig(**files, key_file=locked))


def test_an_invalid_ca_file_is_a_configuration_error(tmp_path):
    empty = tmp_path / "ca.pem"
    with pytest.raises(ConfigError, match=r"mqtt.ca_file: .*ca.pem: cannot be read: No such file"):
        tls_context(MqttConfig(host="broker", tls=True, ca_file=empty))
    empty.write_text("no certificate")
    with pytest.raises(ConfigError, match=r"mqtt.ca_file: .*ca.pem: contains no certificates"):
        tls_context(MqttConfig(host="broker", tls=True, ca_file=empty))


@pytest.mark.parametrize(
    ("host", "text"),
    [("broker.local", "broker.local:1883"), ("::1", "[::1]:1883"), ("10.0.0.1", "10.0.0.1:1883")],
)
def test_the_address_is_host_and_port(host, text):
    assert broker_address(MqttConfig(host=host)) == text


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_an_invalid_host_name_is_a_configuration_error(host):
    with pytest.raises(ConfigError, match=r"mqtt.host: .* is not a valid host name"):
        broker_address(MqttConfig(host=host))
