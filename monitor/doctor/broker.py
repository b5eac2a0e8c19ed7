"""The way to the broker, step by step: name, port, encryption, login, a message."""

from __future__ import annotations

import queue
import socket
import ssl
from collections.abc import Iterator
from functools import partial

from monitor.config import MqttConfig, read_password
from monitor.doctor.finding import Code, Finding, failure, good
from monitor.outputs.broker import (
    CONNECT_SECONDS,
    Accepted,
    Acknowledged,
    Connection,
    Ended,
    Notice,
    address,
    explain,
    tls_context,
)
from monitor.types import ConfigError

_ANSWER_SECONDS = 10.0


def broker(config: MqttConfig, *, node: str) -> Iterator[Finding]:
    """Go as far as the broker lets us; the last finding is the step that failed, or the message that arrived.

    The message goes to ``BASE/NODE/doctor`` and is not retained; there is no last will, and the client
    id is not the monitor's own, which the broker would disconnect.

    Parameters
    ----------
    config : MqttConfig
    node : str
        Name of this monitor.
    """
    if config.host is None:
        yield good("broker", "none is configured (mqtt.host)")
        return
    try:
        where, context, password = address(config), tls_context(config), read_password(config)
    except ConfigError as error:
        yield failure("broker", str(error), Code.CONFIGURATION)
        return
    steps = [partial(_look_up, config.host, where), partial(_reach, config.host, config.port, where)]
    if context is not None:
        steps.append(partial(_encrypt, context, config.host, config.port, where))
    for step in steps:
        finding = step()
        yield finding
        if finding.exit_code:
            return
    yield from _speak(config, node, where, context, password)


def _look_up(host: str, where: str) -> Finding:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        fix = f"an IP address always works; `getent hosts {host}` asks the same name servers"
        return failure("dns", f"{where} {explain(error, tls=False)}", Code.DNS, fix)
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    return good("dns", f"{host} is {', '.join(addresses)}")


def _reach(host: str, port: int, where: str) -> Finding:
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        fix = (
            "a mosquitto without a `listener` in its configuration takes connections of its own machine only"
        )
        return failure("tcp", f"{where} {explain(error, tls=False)}", Code.TCP, fix)
    return good("tcp", f"{where} takes connections")


def _encrypt(context: ssl.SSLContext, host: str, port: int, where: str) -> Finding:
    try:
        with (
            socket.create_connection((host, port), CONNECT_SECONDS) as channel,
            context.wrap_socket(channel, server_hostname=host) as encrypted,
        ):
            return good("tls", f"{where} speaks {encrypted.version()}, and its certificate is trusted")
    except OSError as error:
        fix = f"the certificate must name {host} and be signed by an authority of mqtt.ca_file"
        return failure("tls", f"{where} {explain(error, tls=True)}", Code.TLS, fix)


def _speak(
    config: MqttConfig, node: str, where: str, context: ssl.SSLContext | None, password: str | None
) -> Iterator[Finding]:
    """Log in, and send one message that the broker acknowledges."""
    notices: queue.SimpleQueue[Notice] = queue.SimpleQueue()
    connection = Connection(
        config,
        lambda _, notice: notices.put(notice),
        client_id=f"{config.client_id or f'clap-monitor-{node}'}-doctor",
        password=password,
        tls=context,
        will=None,
        queue=1,
    )
    try:
        why = _wait_for(Accepted, notices)
        if why is not None:
            fix = "the broker must know this user and password, and take MQTT on this port"
            yield failure("login", f"{where} {why}", Code.LOGIN, fix)
            return
        who = config.username or "anonymous"
        yield good("login", f"{where} lets {who} in")
        topic = f"{config.base_topic}/{node}/doctor"
        connection.publish(topic, "clap-monitor doctor was here", qos=1, retain=False)
        why = _wait_for(Acknowledged, notices)
        if why is None:
            yield good("publish", f"{where} took a message under {topic}")
        else:
            fix = f"its access list must let {who} write {config.base_topic}/{node}/#"
            yield failure("publish", f"{where} {why} when told something under {topic}", Code.PUBLISH, fix)
    finally:
        connection.close()
        _wait_for(Ended, notices)


def _wait_for(kind: type[Notice], notices: queue.SimpleQueue[Notice]) -> str | None:
    """Wait for a notice; what came instead, as the end of a sentence that begins with the address."""
    while True:
        try:
            notice = notices.get(timeout=_ANSWER_SECONDS)
        except queue.Empty:
            return "does not answer"
        if isinstance(notice, kind):
            return None
        if isinstance(notice, Ended):
            return notice.why or "closed the connection"
