"""Each step to the broker fails under its own name and with its own code."""

import pytest

from monitor.config import MqttConfig
from monitor.daemon.checks.broker import broker
from monitor.types import ExitCode
from tests.support.broker import Broker, Subscriber, free_port
from tests.support.odd_broker import CLOSE, MQTT_3, MQTT_5, OddBroker, acknowledgement, connack

pytestmark = pytest.mark.broker

SECRET = "correct horse battery staple"

REACHED = [("dns", 0), ("tcp", 0)]
SPOKEN = [("subscribe", 0), *[("publish", 0)] * 4]

ACCESS = """
user home
topic readwrite #
user monitor
topic readwrite clap-monitor/porch/#
topic readwrite homeassistant/#
"""


def steps(**config):
    """Return check and exit code of every step that was taken, and all that was said."""
    found = list(broker(MqttConfig(host=config.pop("host", "127.0.0.1"), **config), node="porch"))
    said = " ".join(finding.as_text() + finding.as_json() for finding in found)
    assert SECRET not in said
    return [(finding.check, finding.exit_code) for finding in found], said


def test_without_a_broker_there_is_nothing_to_try():
    assert [finding.state for finding in broker(MqttConfig(), node="porch")] == ["ok"]


def test_a_message_arrives_and_nothing_is_left_behind(tmp_path):
    with Broker(tmp_path) as server, Subscriber(server) as subscriber:
        taken, said = steps(port=server.port)
        assert taken == [*REACHED, ("login", 0), *SPOKEN]
        assert "doctor" in subscriber.wait_for("clap-monitor/porch/doctor/event")[0]
        assert "accepts anonymous with MQTT 5" in said
        assert "accepted and delivered a discovery message" in said
        assert server.retained() == {}
        described = subscriber.texts("homeassistant/device/clap_monitor_porch_doctor/config")
        assert set(described) == {""}  # which takes away what is not there


def test_mqtt_3_1_1_is_spoken_if_it_must_be(tmp_path):
    with Broker(tmp_path) as server:
        taken, said = steps(port=server.port, protocol="3.1.1", qos=2)
        assert taken == [*REACHED, ("login", 0), *SPOKEN]
        assert "with MQTT 3.1.1" in said
        assert "(QoS 2)" in said
        assert server.retained() == {}


def test_the_monitor_stays_connected_while_doctor_is_there(tmp_path):
    with Broker(tmp_path) as server:
        steps(port=server.port)
        assert "clap-monitor-porch-doctor" in server.log
        assert "as clap-monitor-porch " not in server.log


def test_a_name_that_nobody_knows_fails_at_dns():
    taken, said = steps(host="broker.invalid")
    assert taken == [("dns", ExitCode.DNS)]
    assert "getent hosts broker.invalid" in said


def test_a_port_where_nothing_listens_fails_at_tcp():
    taken, said = steps(port=free_port())
    assert taken == [("dns", 0), ("tcp", ExitCode.UNREACHABLE)]
    assert "is the broker running?" in said


def test_tls_is_a_step_of_its_own(tmp_path):
    with Broker(tmp_path, tls=True) as server:
        taken, said = steps(port=server.port, tls=True, ca_file=server.ca_file)
        assert taken == [("dns", 0), ("tcp", 0), ("tls", 0), ("login", 0), *SPOKEN]
        assert "TLSv1." in said
        taken, said = steps(port=server.port, tls=True)
        assert taken == [("dns", 0), ("tcp", 0), ("tls", ExitCode.TLS)]
        assert "mqtt.ca_file" in said
        taken, _ = steps(port=server.port)
        assert taken == [("dns", 0), ("tcp", 0), ("login", ExitCode.LOGIN)]


def test_a_wrong_password_fails_at_the_login_and_is_not_told(tmp_path):
    password = tmp_path / "password"
    password.write_text(SECRET + "\n")
    with Broker(tmp_path, users={"monitor": "another one"}) as server:
        taken, said = steps(port=server.port, username="monitor", password_file=password)
    assert taken == [("dns", 0), ("tcp", 0), ("login", ExitCode.LOGIN)]
    assert "not authorised" in said


def test_the_right_password_is_let_in(tmp_path):
    password = tmp_path / "password"
    password.write_text(SECRET + "\n")
    with Broker(tmp_path, users={"monitor": SECRET}) as server:
        taken, _ = steps(port=server.port, username="monitor", password_file=password)
    assert taken == [*REACHED, ("login", 0), *SPOKEN]


def test_a_ca_file_that_is_none_is_a_fault_of_the_configuration(tmp_path):
    taken, _ = steps(tls=True, ca_file=tmp_path / "none.pem")
    assert taken == [("broker", ExitCode.CONFIGURATION)]


def steps_with(tmp_path, access, **config):
    password = tmp_path / "password"
    password.write_text(SECRET + "\n")
    with Broker(tmp_path, users={"monitor": SECRET, "home": SECRET}, access=access) as server:
        taken, said = steps(port=server.port, username="monitor", password_file=password, **config)
        assert server.retained(username="home", password=SECRET) == {}
    return [check for check, code in taken if code], said


def denying(topic):
    """Return an access list that denies writing one topic, and whatever is below it."""
    return ACCESS + f"topic deny {topic}\ntopic deny {topic}/#\n"


EVENT = ("clap-monitor/porch/doctor/event", "an event to clap-monitor/porch/doctor/event")
DESCRIPTION = (
    "homeassistant/device/+/config",
    "a discovery message to homeassistant/device/",
)
STATE = (
    "clap-monitor/porch/doctor/event/doctor",
    "a state to clap-monitor/porch/doctor/event/doctor/state",
)


@pytest.mark.parametrize(
    ("topic", "named", "config"),
    [
        (*EVENT, {}),
        (*EVENT, {"qos": 0}),
        (*EVENT, {"qos": 2}),
        (*EVENT, {"protocol": "3.1.1"}),
        (*DESCRIPTION, {}),
        (*DESCRIPTION, {"protocol": "3.1.1"}),
        (*STATE, {}),
        (*STATE, {"protocol": "3.1.1"}),
    ],
)
def test_what_the_access_list_denies_fails_at_publish(tmp_path, topic, named, config):
    failed, said = steps_with(tmp_path, denying(topic), **config)
    assert set(failed) == {"publish"}
    assert named in said
    assert "allow monitor to write" in said


def test_with_everything_allowed_nothing_fails(tmp_path):
    assert steps_with(tmp_path, ACCESS)[0] == []


def test_a_user_who_may_write_and_not_read_is_a_warning_where_mqtt_tells(tmp_path):
    access = ACCESS.replace("readwrite clap", "write clap").replace("readwrite home", "write home")
    failed, said = steps_with(tmp_path, access)
    assert failed == []
    assert "did not come back" in said


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_refused_subscription_fails_at_subscribe(protocol):
    with OddBroker(on_subscribe=lambda _seen, filters: [128] * len(filters)) as server:
        taken, said = steps(port=server.port, protocol=protocol)
    assert ("subscribe", ExitCode.TEMPORARY) in taken
    assert "clap-monitor/porch/armed/set (no reason given)" in said


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_broker_that_closes_the_connection_is_named_with_what_it_closes_on(protocol):
    with OddBroker(on_publish=lambda _seen, message: CLOSE if message.retain else None, echo=True) as server:
        taken, said = steps(port=server.port, protocol=protocol)
    assert [code for check, code in taken if check == "publish"] == [0, 75, 75, 0]
    assert "closed the connection after a state" in said


def test_a_broker_that_lets_nobody_in_with_a_retained_will_is_a_warning():
    def answer(seen):
        return CLOSE if seen.will and seen.will[2] else connack(seen.protocol)

    with OddBroker(on_connect=answer, echo=True) as server:
        taken, said = steps(port=server.port)
    assert taken == [*REACHED, ("login", 0), *SPOKEN]
    assert "no retained last will" in said


@pytest.mark.parametrize("most", [3000, 90_000])
def test_a_size_limit_is_a_warning(tmp_path, most):
    with Broker(tmp_path, options=[f"max_packet_size {most}"]) as server:
        taken, said = steps(port=server.port)
        assert [code for _, code in taken if code] == []
        assert f"accepts at most {most:,} bytes" in said
        taken, said = steps(port=server.port, protocol="3.1.1")
        assert [code for _, code in taken if code] == []
        assert "after a message of 100,000 bytes" in said


def test_an_old_broker_is_found_out():
    def answer(seen):
        return connack(MQTT_3) if seen.protocol != MQTT_5 else CLOSE

    with OddBroker(on_connect=answer, echo=True) as server:
        taken, said = steps(port=server.port)
    assert taken == [*REACHED, ("login", 0), *SPOKEN]
    assert "with MQTT 3.1.1" in said


def test_a_refusal_says_why():
    with OddBroker(on_publish=lambda seen, message: acknowledgement(seen, message, 151), echo=True) as server:
        _, said = steps(port=server.port)
    assert "quota used up" in said
