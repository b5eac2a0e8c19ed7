"""Monitor in a process of its own, with two RTSP cameras and a radio."""

from contextlib import contextmanager

import psutil

from tests.support.broker import Broker, Subscriber, eventually
from tests.support.command_line import start
from tests.support.http_radio import Radio
from tests.support.rtsp import RtspServer

CAMERAS = ("aac", "opus")


def topic(source):
    return f"clap-monitor/home/{source}/status"


class CameraMonitor:
    """A monitor process with two cameras of one RTSP server, and a radio that does not depend on it."""

    def __init__(self, process, subscriber, server):
        self.process = psutil.Process(process.pid)
        self.subscriber = subscriber
        self.server = server

    def wait_until(self, state):
        for source in CAMERAS:
            eventually(lambda s=source: self.subscriber.texts(topic(s))[-1:] == [state])

    @property
    def radio_stayed_online(self):
        """True if nothing but `online` was published for the radio since it was first online."""
        states = self.subscriber.texts(topic("radio"))
        return "online" in states and set(states[states.index("online") :]) == {"online"}


@contextmanager
def camera_monitor(directory):
    """Run one, with everything in a process of its own but the radio, from both cameras online on."""
    with (
        Broker(directory) as broker,
        Subscriber(broker, "#") as subscriber,
        RtspServer(directory) as server,
        Radio("mp3") as radio,
    ):
        sources = [{"name": name, "kind": "stream", "url": server.url(name)} for name in CAMERAS]
        sources.append({"name": "radio", "kind": "stream", "url": radio.url()})
        (directory / "monitor.yaml").write_text(
            f"mqtt: {{host: 127.0.0.1, port: {broker.port}}}\n"
            f"sources: {sources}\n"
            "labels: [{id: beep, prompts: [a long beep]}]\n"
        )
        process = start("run", "--config", "monitor.yaml", cwd=directory)
        try:
            monitor = CameraMonitor(process, subscriber, server)
            monitor.wait_until("online")
            eventually(lambda: monitor.radio_stayed_online)
            yield monitor
        finally:
            process.kill()
            process.communicate()
