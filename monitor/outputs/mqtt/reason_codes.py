"""Reason codes of MQTT in plain words, with the fix for each.

The codes 1 to 5 of MQTT 3.1.1 arrive as the codes of MQTT 5 that mean the same.
"""

from __future__ import annotations

REFUSED = 128
"""First code that means a failure."""

UNSUPPORTED_PROTOCOL, SESSION_TAKEN_OVER, RETAIN_NOT_SUPPORTED, QOS_NOT_SUPPORTED = 132, 142, 154, 155
MALFORMED = frozenset({129, 130})

NOT_ABOUT_A_MESSAGE = frozenset({136, 137, 138, 139, 141, 142, 150, 152, 156, 157, 159, 160})
"""A broker that disconnects with one of these does not do so because of a published message."""

_LOG = "its log may say why"

_CONNECTION = {
    128: f"refuses the connection and gives no reason: {_LOG}",
    129: "refuses the connection as malformed: try mqtt.protocol: 3.1.1",
    130: "refuses the connection as a protocol error: try mqtt.protocol: 3.1.1",
    131: f"refuses the connection for an implementation-specific reason: {_LOG}",
    132: "does not speak this version of MQTT: set mqtt.protocol: auto",
    133: "refuses the client id {client_id}: set another mqtt.client_id",
    134: "says not authorised: check mqtt.username and mqtt.password_file",
    135: "says not authorised: check mqtt.username and mqtt.password_file",
    136: "says that it is unavailable at the moment",
    137: "says that it is too busy at the moment",
    138: "has banned this monitor: lift the ban there (client id {client_id})",
    140: "requires another authentication method than user and password",
    144: "refuses the topic of the last will: let this user write below mqtt.base_topic",
    149: "says that the connect request is too large",
    151: "says that a quota is used up: raise the limits of this account at the broker",
    154: "refuses a retained last will",
    155: "refuses a last will with QoS 1",
    156: "asks to use another server for now{other_server}: set mqtt.host",
    157: "has moved to another server{other_server}: set mqtt.host",
    159: "says that this monitor connects too often",
}

_DISCONNECT = {
    129: "closed the connection: malformed packet; try mqtt.protocol: 3.1.1",
    130: "closed the connection: protocol error; try mqtt.protocol: 3.1.1",
    131: f"closed the connection for an implementation-specific reason: {_LOG}",
    135: "closed the connection: not authorised to publish or subscribe; check its access list",
    136: "closed the connection: it is unavailable at the moment",
    137: "closed the connection: it is too busy at the moment",
    138: "has banned this monitor: lift the ban there (client id {client_id})",
    139: "is shutting down",
    141: "closed the connection: it received nothing for longer than mqtt.keepalive_seconds",
    142: "closed the connection: another client uses the client id {client_id}: "
    "give each monitor a node or an mqtt.client_id of its own",
    143: "closed the connection: it does not accept a subscribed topic filter",
    144: "closed the connection: it does not accept a published topic",
    147: "closed the connection: too many unacknowledged messages at once",
    149: "closed the connection: a message is too large",
    150: "closed the connection: the message rate is too high",
    151: "closed the connection: a quota is used up; raise the limits of this account at the broker",
    152: "closed the connection: an administrator requested it",
    153: "closed the connection: it does not accept the content of a message",
    154: "closed the connection: it does not accept retained messages",
    155: "closed the connection: it does not support this quality of service (mqtt.qos)",
    156: "asks to use another server for now{other_server}: set mqtt.host",
    157: "has moved to another server{other_server}: set mqtt.host",
    159: "closed the connection: this monitor connects too often",
    160: "closed the connection: the maximum connect time is over",
    161: "closed the connection: it does not support subscription identifiers",
    162: "closed the connection: it does not support wildcards in subscriptions",
}

_MESSAGE = {
    128: "no reason given",
    131: "implementation-specific reason",
    135: "not authorised",
    143: "topic filter not allowed",
    144: "topic not allowed",
    145: "packet identifier in use",
    146: "packet identifier not found",
    147: "too many messages at once",
    149: "too large",
    151: "quota used up",
    153: "content not allowed",
    154: "no retained messages",
    155: "quality of service not supported",
    158: "no shared subscriptions",
    161: "no subscription identifiers",
    162: "no wildcards",
}


def explain_refused_connection(code: int, client_id: str, other_server: str) -> str:
    """Return why the broker refuses the connection, as the predicate of a sentence about its address.

    ``other_server`` is the server that the broker refers to; empty if none.
    """
    text = _CONNECTION.get(code, f"refuses the connection with the reason code {code}")
    return _filled(text, client_id, other_server)


def explain_disconnect(code: int, client_id: str, other_server: str) -> str:
    """Return why the broker disconnected, as `explain_refused_connection`."""
    suffix = f" with the reason code {code}" if code > REFUSED else ""
    return _filled(_DISCONNECT.get(code, f"closed the connection{suffix}"), client_id, other_server)


def explain_refused_message(code: int) -> str:
    """Return in a few words why a message or a subscription is refused."""
    return _MESSAGE.get(code, f"reason code {code}")


def _filled(text: str, client_id: str, other_server: str) -> str:
    return text.format(client_id=repr(client_id), other_server=f" ({other_server})" if other_server else "")
