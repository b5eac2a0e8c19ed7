"""TLS to the broker, and why a connection cannot be made, in plain words."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from monitor.config import MqttConfig, find_secret
from monitor.types import ConfigError

CONNECT_SECONDS = 5.0
"""Given to TCP, and again to TLS."""

NOT_MQTT = "does not speak MQTT ({}): check mqtt.host, mqtt.port and mqtt.tls"
NO_WORD = (
    "closed the connection right after the TLS handshake: does it ask for mqtt.cert_file, and is it MQTT?"
)
NOT_TLS = "failed the TLS handshake ({}): check that mqtt.port is the one for TLS"


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
