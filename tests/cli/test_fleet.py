"""`clap-monitor fleet` with a real broker."""

import json
import signal
import time

import duckdb
import pytest

from tests.support.broker import Broker, eventually
from tests.support.command_line import clap_monitor, events_of, start
from tests.support.fleet_nodes import Speaker, event

pytestmark = pytest.mark.broker


@pytest.fixture
def broker(tmp_path):
    folder = tmp_path / "broker"
    folder.mkdir()
    with Broker(folder) as started:
        yield started


def fleet(broker, *options, cwd):
    return clap_monitor("fleet", "--broker", f"{broker.host}:{broker.port}", *options, cwd=cwd)


def test_all_nodes_are_shown_with_filters(broker, tmp_path):
    with Speaker(broker) as nodes:
        nodes.introduce("hall", at=time.time(), entities=9990)
        nodes.introduce("attic", status="offline", entities=20)
    shown = fleet(broker, "--json", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    attic, hall = events_of(shown)
    assert (hall["node"], hall["version"], hall["no_audio"]) == ("hall", "0.1.0", None)
    assert attic["no_audio"] == "offline"
    assert [each["node"] for each in events_of(fleet(broker, "--json", "--no-audio", cwd=tmp_path))] == [
        "attic"
    ]
    table = fleet(broker, "--node", "hall", cwd=tmp_path).stdout
    assert "2 nodes: 1 online, 1 without audio; 10010 of 10000 entities of Home Assistant" in table
    assert "Home Assistant drops 10 entities: set mqtt.discovery: summary" in table
    assert "±0.004 s" in table
    assert "attic" not in table


def test_two_readers_with_one_name_split_the_events_and_lose_none(broker, tmp_path):
    address = ("--broker", f"{broker.host}:{broker.port}")
    readers = [start("fleet", *address, "--events", "--share", "east", cwd=tmp_path) for _ in range(2)]
    eventually(lambda: broker.log.count("Sending SUBACK to clap-monitor-fleet") == 2)
    with Speaker(broker) as node:
        for number in range(40):
            node.say("hall/porch/event", event(event_id=str(number)))
    seen = [[json.loads(reader.stdout.readline())["event_id"]] for reader in readers]
    for reader, ids in zip(readers, seen, strict=True):
        reader.send_signal(signal.SIGINT)
        ids += [json.loads(line)["event_id"] for line in reader.stdout]
        assert (reader.wait(60), reader.stderr.read()) == (0, "")
        reader.stdout.close()
        reader.stderr.close()
    assert sorted(map(int, [*seen[0], *seen[1]])) == list(range(40))


def test_events_are_recorded_until_the_end_and_sounds_are_grouped(broker, tmp_path):
    address = ("--broker", f"{broker.host}:{broker.port}")
    reader = start("fleet", *address, "--record", "out/e.parquet", "--group", "2", cwd=tmp_path)
    eventually(lambda: "Sending SUBACK to clap-monitor-fleet" in broker.log)
    with Speaker(broker) as nodes:
        for node, level in (("hall", -40.0), ("attic", -12.0)):
            nodes.say(f"{node}/porch/event", event(node, event_id=node, level_dbfs=level))
    eventually(lambda: (tmp_path / "out" / "e.open").read_text().count("\n") == 2)
    reader.send_signal(signal.SIGTERM)
    lines, errors = reader.communicate(timeout=60)
    assert (reader.returncode, errors) == (0, "")
    (group,) = [json.loads(line) for line in lines.splitlines()]
    assert [each["node"] for each in group["heard"]] == ["attic", "hall"]
    recorded = duckdb.read_parquet(f"{tmp_path}/out/e-000001.parquet").fetchall()
    assert sorted(row[0] for row in recorded) == ["attic", "hall"]


def test_the_labels_at_the_broker_are_shown_with_the_answers_of_the_nodes(broker, tmp_path):
    (tmp_path / "labels.yaml").write_text("include: [safety]\n")
    (tmp_path / "none.yaml").write_text("node: home\n")

    def labels(*words):
        return clap_monitor(
            "fleet", "labels", *words, "--broker", f"{broker.host}:{broker.port}", cwd=tmp_path
        )

    assert "the broker has no watchlist" in labels("show").stderr
    assert "none.yaml: names no labels" in labels("push", "none.yaml").stderr
    pushed = labels("push", "labels.yaml")
    assert (pushed.returncode, pushed.stdout.splitlines()[-1]) == (
        0,
        "0 of 0 following nodes have it in force",
    )
    shown = json.loads(labels("show", "--json").stdout)
    assert "smoke_alarm" in [label["id"] for label in shown["labels"]]
    told = {"version": 5, "refused_version": shown["version"], "reason": "too loud", "left_out": ["a: b"]}
    with Speaker(broker) as nodes:
        nodes.introduce("hall", at=time.time(), watchlist=told)
        nodes.introduce("attic", at=time.time(), watchlist=dict.fromkeys(told) | {"version": 5})
        nodes.introduce("shed", at=time.time())
    status = labels("status")
    assert status.returncode == 1
    assert "hall: refused: too loud" in status.stdout
    assert "hall: changed at the node: a: b; left out" in status.stdout
    assert "attic: has version 5 in force" in status.stdout
    assert "0 of 2 following nodes have it in force" in status.stdout
    assert "the broker has no watchlist before the newest" in labels("rollback").stderr


def test_a_broker_that_is_not_there_is_said(tmp_path):
    done = clap_monitor("fleet", "--broker", "127.0.0.1:9", cwd=tmp_path)
    assert done.returncode == 69
    assert "127.0.0.1:9 refused the connection: is the broker running?" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--broker", "host:port"], "the port is not a number from 1 to 65535"),
        ([], "mqtt.host: not set"),
        (["--share", "a"], "--share needs --events"),
        (["--share", "a", "--group", "2"], "--group needs all events"),
        (["--record", "events.csv"], "must end with .jsonl or .parquet"),
    ],
)
def test_wrong_options_are_refused(options, words, tmp_path):
    done = clap_monitor("fleet", *options, cwd=tmp_path)
    assert done.returncode != 0
    assert words in done.stderr
