"""One connection to the broker, from the attempt to its end; the only file that knows paho.

A `Connection` never reconnects: whoever uses it makes a new one.  So paho, which would send what it
still holds once more after a reconnect, cannot put an old state in place of a newer one, nor send an
event that waited for an hour as if it were new.
"""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from monitor.config import MqttConfig, find_secret
from monitor.types import ConfigError

CONNECT_SECONDS = 5.0
"""Given to TCP, and again to TLS."""

MOST_BYTES = 65_536
"""Of a message to us; what is longer is cut."""

NOT_MQTT = "does not speak MQTT ({}): check mqtt.host, mqtt.port and mqtt.tls"
NO_WORD = (
    "closed the connection right after the TLS handshake: does it ask for mqtt.cert_file, and is it MQTT?"
)
NOT_TLS = "failed the TLS handshake ({}): check that mqtt.port is the one for TLS"


@dataclass(frozen=True, slots=True)
class Opened:
    """The port took the connection; now the broker must answer."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker let us in."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker has a message; with QoS 0: it is on its way."""

    message: int
    """What `Connection.publish` returned."""


@dataclass(frozen=True, slots=True)
class Received:
    """Somebody said something under a topic that is listened to."""

    topic: str
    text: str
    """At most `MOST_BYTES` of it; what is no UTF-8 is replaced."""
    retained: bool
    """It was said some time before we listened."""


@dataclass(frozen=True, slots=True)
class Ended:
    """There is no connection, or none any more; nothing follows."""

    why: str | None
    """What the broker did, as in "refused the connection"; None if we closed it."""


Notice = Opened | Accepted | Acknowledged | Received | Ended


class Connection:
    """One attempt to connect, and the connection that it becomes.

    Nothing here blocks: names are resolved and bytes are sent in a thread of paho.

    Parameters
    ----------
    config : MqttConfig
        With a host.
    notify : callable
        Takes this connection and a notice, in paho's thread: it must not block and not fail.
    client_id : str
        The broker ends an older connection with the same one.
    password : str or None
    tls : ssl.SSLContext or None
        From `tls_context`.
    will : str or None
        Topic under which the broker says ``offline`` if the connection breaks, retained; None leaves none.
    queue : int
        At most so many messages wait for the broker; more are never acknowledged.
    listen : sequence of str
        Filters of topics under which others are listened to.
    """

    def __init__(
        self,
        config: MqttConfig,
        notify: Callable[[Connection, Notice], None],
        *,
        client_id: str,
        password: str | None,
        tls: ssl.SSLContext | None,
        will: str | None,
        queue: int,
        listen: Sequence[str] = (),
    ) -> None:
        self._notify = notify
        self._tls = tls is not None
        self._listen = listen
        self._accepted = False
        self._closed = False
        self._client = client = Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, reconnect_on_failure=False
        )
        client.connect_timeout = CONNECT_SECONDS
        client.max_queued_messages_set(queue)
        if will is not None:
            client.will_set(will, "offline", qos=1, retain=True)
        client.username_pw_set(config.username, password)
        if tls is not None:
            client.tls_set_context(tls)
        client.on_socket_open = self._on_socket_open
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        # `connect_async` and `loop_start`: the first failure too comes as a callback, in paho's thread.
        client.connect_async(config.host or "", config.port, config.keepalive_seconds)
        client.loop_start()

    def publish(self, topic: str, text: str, *, qos: int, retain: bool) -> int:
        """Hand a message to paho; return the number by which it is acknowledged.

        paho's own return code says nothing that can be relied on: a message that it reports as
        failed may be delivered.  Only `Acknowledged` counts.
        """
        return self._client.publish(topic, text, qos=qos, retain=retain).mid

    def close(self) -> None:
        """Take leave of the broker, which then does not send the last will; `Ended` follows."""
        self._closed = True
        self._client.disconnect()

    def _on_socket_open(self, _client: Client, _data: Any, _socket: Any) -> None:
        self._notify(self, Opened())

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _more: Properties | None
    ) -> None:
        if self._closed:
            client.disconnect()  # closed while paho was still looking for the host
        elif reason.is_failure:
            self._notify(self, Ended(_explain_refusal(reason)))
        else:
            self._accepted = True
            if self._listen:
                client.subscribe([(topic, 1) for topic in self._listen])
            self._notify(self, Accepted())

    def _on_connect_fail(self, client: Client, _data: Any) -> None:
        error = sys.exception()  # paho passes no reason, but calls this while it handles one
        self._notify(self, Ended(explain(error, tls=self._tls)))
        client.disconnect()  # ends paho's own retries

    def _on_publish(
        self, _client: Client, _data: Any, message: int, _reason: ReasonCode, _more: Properties | None
    ) -> None:
        self._notify(self, Acknowledged(message))

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        text = message.payload[:MOST_BYTES].decode(errors="replace")  # it may be anything, from anyone
        self._notify(self, Received(message.topic, text, message.retain))

    def _on_disconnect(
        self,
        _client: Client,
        _data: Any,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        if self._closed:
            why = None
        elif not self._accepted and self._tls:
            why = NO_WORD  # with TLS 1.3 a broker judges our certificate after our side of the handshake
        elif not self._accepted:
            why = NOT_MQTT.format("it closed the connection without an MQTT answer")
        elif str(reason) == "Keep alive timeout":
            why = "stopped answering"
        else:
            why = "closed the connection"
        self._notify(self, Ended(why))


def address(config: MqttConfig) -> str:
    """Host and port, for people.

    Raises
    ------
    ConfigError
        If the host cannot be looked up, whatever the name server knows.
    """
    host = config.host or ""
    try:
        host.encode("idna")  # as socket does; in paho's thread it would end the thread, unseen
    except UnicodeError as error:
        raise ConfigError(f"mqtt.host: {host!r} cannot be the name of a host: {error}") from error
    return f"[{host}]:{config.port}" if ":" in host else f"{host}:{config.port}"


def tls_context(config: MqttConfig) -> ssl.SSLContext | None:
    """Whom to trust and who we are; None if the connection is not encrypted.

    Raises
    ------
    ConfigError
        If ``ca_file``, ``cert_file`` or ``key_file`` does not hold what it should.
    """
    if not config.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except ssl.SSLError as error:
        raise ConfigError(f"mqtt.ca_file: {config.ca_file}: holds no certificates in PEM format") from error
    except OSError as error:
        raise ConfigError(f"mqtt.ca_file: {config.ca_file}: cannot be read: {error.strerror}") from error
    if config.cert_file is not None:
        _load_certificate(context, config.cert_file, config.key_file)
    context.sslsocket_class = _TlsSocket
    return context


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    key = certificate if key is None else find_secret(key)
    for name, path in (("cert_file", certificate), ("key_file", key)):
        try:
            path.open("rb").close()  # ssl does not say which of the two it could not read
        except OSError as error:
            raise ConfigError(f"mqtt.{name}: {path}: cannot be read: {error.strerror}") from error
    try:
        # A passphrase would be asked for on the terminal, which a service does not have.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise ConfigError(
            f"mqtt.cert_file: {certificate} and {key} are no certificate and its private key in PEM format "
            "without a passphrase"
        ) from error


class _TlsSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails, which paho forgets."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - Python's signature
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def explain(error: BaseException | None, *, tls: bool) -> str:
    """Say why there is no connection, as the end of a sentence that begins with the address."""
    match error:
        case ssl.SSLCertVerificationError():
            why = f"failed the TLS handshake: {error.verify_message}: check mqtt.host and mqtt.ca_file"
        case ssl.SSLError():
            why = NOT_TLS.format(error.reason or error)
        case ConnectionResetError() if tls:
            why = NOT_TLS.format("connection reset")
        case socket.gaierror(errno=socket.EAI_AGAIN):
            why = "cannot be looked up at the moment: the name server does not answer"
        case socket.gaierror():
            why = "is an unknown host: check mqtt.host"
        case TimeoutError():
            why = f"did not answer within {CONNECT_SECONDS:.0f} s"
        case ConnectionRefusedError():
            why = "refused the connection: is the broker running?"
        case _:
            why = f"cannot be reached: {getattr(error, 'strerror', None) or error}"
    return why


def _explain_refusal(reason: ReasonCode) -> str:
    match str(reason):
        case "Not authorized" | "Bad user name or password":
            return "says not authorised: check mqtt.username and mqtt.password_file"
        case "Client identifier not valid":
            return "refuses the client id: check mqtt.client_id"
        case other:
            return f"refuses the connection: {other.lower()}"
