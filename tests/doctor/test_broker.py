"""Each step to the broker fails under its own name and with its own code."""

import pytest

from monitor.config import MqttConfig
from monitor.doctor.broker import broker
from monitor.doctor.finding import Code
from tests.broker import Broker, Subscriber, free_port

pytestmark = pytest.mark.broker

SECRET = "correct horse battery staple"


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
        assert taken == [("dns", 0), ("tcp", 0), ("login", 0), ("publish", 0)]
        (text,) = subscriber.wait_for("clap-monitor/porch/doctor")
        assert "doctor" in text
        assert "anonymous" in said
        assert server.retained() == {}


def test_the_monitor_stays_connected_while_doctor_is_there(tmp_path):
    with Broker(tmp_path) as server:
        steps(port=server.port)
        assert "clap-monitor-porch-doctor" in server.log
        assert "as clap-monitor-porch " not in server.log


def test_a_name_that_nobody_knows_fails_at_dns():
    taken, said = steps(host="broker.invalid")
    assert taken == [("dns", Code.DNS)]
    assert "getent hosts broker.invalid" in said


def test_a_port_where_nothing_listens_fails_at_tcp():
    taken, said = steps(port=free_port())
    assert taken == [("dns", 0), ("tcp", Code.TCP)]
    assert "is the broker running?" in said


def test_tls_is_a_step_of_its_own(tmp_path):
    with Broker(tmp_path, tls=True) as server:
        taken, said = steps(port=server.port, tls=True, ca_file=server.ca_file)
        assert taken == [("dns", 0), ("tcp", 0), ("tls", 0), ("login", 0), ("publish", 0)]
        assert "TLSv1." in said
        taken, said = steps(port=server.port, tls=True)
        assert taken == [("dns", 0), ("tcp", 0), ("tls", Code.TLS)]
        assert "mqtt.ca_file" in said
        taken, _ = steps(port=server.port)
        assert taken == [("dns", 0), ("tcp", 0), ("login", Code.LOGIN)]


def test_a_wrong_password_fails_at_the_login_and_is_not_told(tmp_path):
    password = tmp_path / "password"
    password.write_text(SECRET + "\n")
    with Broker(tmp_path, users={"monitor": "another one"}) as server:
        taken, said = steps(port=server.port, username="monitor", password_file=password)
    assert taken == [("dns", 0), ("tcp", 0), ("login", Code.LOGIN)]
    assert "not authorised" in said


def test_the_right_password_is_let_in(tmp_path):
    password = tmp_path / "password"
    password.write_text(SECRET + "\n")
    with Broker(tmp_path, users={"monitor": SECRET}) as server:
        taken, _ = steps(port=server.port, username="monitor", password_file=password)
    assert [code for _, code in taken] == [0, 0, 0, 0]


def test_a_ca_file_that_is_none_is_a_fault_of_the_configuration(tmp_path):
    taken, _ = steps(tls=True, ca_file=tmp_path / "none.pem")
    assert taken == [("broker", Code.CONFIGURATION)]
