"""A thin node, as the documentation has it: a sound card, RTSP, a monitor elsewhere, an event."""

import contextlib
import json
import os
import re
import socket
import subprocess

import pytest
import soundfile

from tests.support.broker import Broker, Subscriber, eventually, free_port
from tests.support.command_line import ROOT, start
from tests.support.sound_card import plugged_in

pytestmark = [pytest.mark.broker, pytest.mark.sound_card]

PROGRAM = re.search(
    r"^```python\n(# rtsp_microphone.py.*?)^```$",
    (ROOT / "docs/fleet.md").read_text(),
    re.MULTILINE | re.DOTALL,
)[1]


@contextlib.contextmanager
def thin_node(directory, card):
    """Run the program of the documentation on a port of its own; return its address."""
    port = free_port()
    assert PROGRAM.count("8554") == 1
    program = directory / "rtsp_microphone.py"
    program.write_text(PROGRAM.replace("8554", str(port)))
    process = subprocess.Popen(["/usr/bin/python3", program], env=os.environ | card.environment)

    def listens():
        assert process.poll() is None
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    try:
        eventually(listens)
        yield f"rtsp://127.0.0.1:{port}/mic"
    finally:
        process.kill()
        process.wait()


def test_a_sound_at_a_thin_node_is_an_event_of_the_monitor_that_reads_it(tmp_path):
    samples, rate = soundfile.read(ROOT / "recordings/demo.flac", frames=18 * 32_000)
    soundfile.write(tmp_path / "helicopter.wav", samples, rate)
    with (
        plugged_in() as card,
        thin_node(tmp_path, card) as url,
        Broker(tmp_path) as broker,
        Subscriber(broker, "clap-monitor/hub/#") as subscriber,
    ):
        (tmp_path / "monitor.yaml").write_text(
            f"node: hub\nmqtt: {{host: 127.0.0.1, port: {broker.port}}}\n"
            f"sources: [{{name: hall, kind: stream, url: '{url}'}}]\n"
            "labels: [{id: helicopter, prompts: [a helicopter flying overhead]}]\n"
        )
        monitor = start("run", "--config", "monitor.yaml", cwd=tmp_path)
        try:
            eventually(lambda: subscriber.texts("clap-monitor/hub/hall/status")[-1:] == ["online"])
            player = card.play(tmp_path / "helicopter.wav")
            event = json.loads(subscriber.wait_for("clap-monitor/hub/hall/event")[0])
            player.kill()
            player.wait()
        finally:
            monitor.kill()
            monitor.communicate()
    assert (event["phase"], event["source"], event["label"]) == ("start", "hall", "helicopter")
