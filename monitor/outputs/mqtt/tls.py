"""TLS settings of the connection to the broker, and connection errors in plain words."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from monitor.config import MqttConfig, find_secret
from monitor.types import ConfigError

CONNECT_SECONDS = 5.0
"""Timeout of the TCP connection, and again of the TLS handshake."""

NOT_MQTT = "does not speak MQTT ({}): check mqtt.host, mqtt.port and mqtt.tls"
CLOSED_AFTER_TLS = (
    "closed the connection right after the TLS handshake: does it require mqtt.cert_file, and is it MQTT?"
)
NOT_TLS = "failed the TLS handshake ({}): check that mqtt.port is the one for TLS"


def broker_address(config: MqttConfig) -> str:
    """Return host and port for display.

    Raises
    ------
    ConfigError
        The host is not a valid host name.
    """
    host = config.host or ""
    try:
        host.encode("idna")  # as socket does, in paho's thread, which the error would end
    except UnicodeError as error:
        raise ConfigError(f"mqtt.host: {host!r} is not a valid host name: {error}") from error
    return f"[{host}]:{config.port}" if ":" in host else f"{host}:{config.port}"


def tls_context(config: MqttConfig) -> ssl.SSLContext | None:
    """Return trusted certificates and our own; None if the connection is not encrypted.

    Raises
    ------
    ConfigError
        ``ca_file``, ``cert_file`` or ``key_file`` cannot be used.
    """
    if not config.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except ssl.SSLError as error:
        why = "contains no certificates in PEM format"
        raise ConfigError(f"mqtt.ca_file: {config.ca_file}: {why}") from error
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
            path.open("rb").close()  # ssl does not report which of the two files it could not read
        except OSError as error:
            raise ConfigError(f"mqtt.{name}: {path}: cannot be read: {error.strerror}") from error
    try:
        # OpenSSL would prompt for a passphrase on the terminal, which a service does not have.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise ConfigError(
            f"mqtt.cert_file: {certificate} and {key} are not a certificate and its private key in PEM "
            "format without a passphrase"
        ) from error


class _TlsSocket(ssl.SSLSocket):
    """TLS socket that closes itself when the handshake fails, which paho forgets."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - Python's signature
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def explain_connect_error(error: BaseException | None, *, tls: bool) -> str:
    """Return why the connection failed, as the predicate of a sentence about the address."""
    match error:
        case ssl.SSLCertVerificationError():
            reason = f"failed the TLS handshake: {error.verify_message}: check mqtt.host and mqtt.ca_file"
        case ssl.SSLError():
            reason = NOT_TLS.format(error.reason or error)
        case ConnectionResetError() if tls:
            reason = NOT_TLS.format("connection reset")
        case socket.gaierror(errno=socket.EAI_AGAIN):
            reason = "cannot be looked up at the moment: the name server does not answer"
        case socket.gaierror():
            reason = "is an unknown host: check mqtt.host"
        case TimeoutError():
            reason = f"did not answer within {CONNECT_SECONDS:.0f} s"
        case ConnectionRefusedError():
            reason = "refused the connection: is the broker running?"
        case _:
            reason = f"cannot be reached: {getattr(error, 'strerror', None) or error}"
    return reason
