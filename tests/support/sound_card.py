"""A virtual sound card: a private PulseAudio whose null sink is what ALSA, and so PortAudio, hears.

What is played with `SoundCard.play` is captured by the device `SoundCard.microphone`, sample for
sample if it is played and captured at `RATE`.  Needs pulseaudio, pulseaudio-utils, libasound2-plugins
and libportaudio2 of Debian; nothing of the machine's own sound is touched, and root may use it.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

RATE = 48000
CHANNELS = 2

_SINK = f"module-null-sink sink_name=speaker rate={RATE} channels={CHANNELS} format=s16le"

_DAEMON = """
load-module module-native-protocol-unix socket={directory}/native auth-anonymous=1
load-module {sink}
set-default-sink speaker
set-default-source speaker.monitor
"""

_BASE = "</usr/share/alsa/alsa.conf>"

_DEVICE = """
pcm.{microphone} {{
    type pulse
    server "unix:{directory}/native"
    device "speaker.monitor"
    hint {{ show on description "Virtual microphone" }}
}}
"""


class SoundCard:
    """A sound card that can be unplugged, and can hang.

    Parameters
    ----------
    directory : Path
        For all of its files.
    microphone : str
        Name of the device that hears what is played; one name for each card of the machine.
    beside : str
        ``ALSA_CONFIG_PATH`` of the cards that there are already.
    """

    microphone = "virtual_microphone"
    """The usual name of the device."""

    def __init__(self, directory: Path, microphone: str = microphone, beside: str = "") -> None:
        self.microphone = microphone
        self._directory = directory
        self._base = "" if beside else _BASE
        self._daemon: subprocess.Popen[bytes] | None = None
        (directory / "daemon.pa").write_text(_DAEMON.format(directory=directory, sink=_SINK))
        self.list_devices(microphone)
        self.environment = {
            "ALSA_CONFIG_PATH": ":".join(filter(None, [beside, str(directory / "alsa.conf")])),
            "PULSE_SERVER": f"unix:{directory}/native",
        }
        """What a program needs to find this card."""

    def plug_in(self) -> None:
        """Start the sound server; return when it answers."""
        home = {name: str(self._directory) for name in ("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH")}
        with (self._directory / "daemon.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [
                    "pulseaudio", "-n", "-F", str(self._directory / "daemon.pa"), "--daemonize=no",
                    "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes", "--high-priority=no",
                ],
                env=os.environ | home,
                stdout=log,
                stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + 120
        while self._run("pactl", "info", check=False).returncode:
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"pulseaudio: {(self._directory / 'daemon.log').read_text()}")
            time.sleep(0.05)

    def unplug(self) -> None:
        """Kill the sound server: every stream of it ends with an error."""
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait()
            (self._directory / "native").unlink(missing_ok=True)
            self._daemon = None

    def freeze(self) -> None:
        """Let the driver hang: nothing comes, and nothing is answered."""
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGCONT)

    def unload(self) -> None:
        """Take the microphone away; the sound server lives on."""
        self._run("pactl", "unload-module", "module-null-sink")

    def load(self) -> None:
        """Bring back what `unload` took away."""
        self._run("pactl", "load-module", *_SINK.split())

    def hum(self) -> None:
        """Let a tone be heard for as long as the microphone is there."""
        self._run("pactl", "load-module", "module-sine", "sink=speaker", "frequency=440")

    def hush(self) -> None:
        """End what `hum` began."""
        self._run("pactl", "unload-module", "module-sine")

    def list_devices(self, *names: str) -> None:
        """Let these be the devices there are, in this order; all hear the same."""
        devices = [_DEVICE.format(directory=self._directory, microphone=name) for name in names]
        unfinished = self._directory / "alsa.part"
        unfinished.write_text("\n".join([self._base, *devices]))
        unfinished.replace(self._directory / "alsa.conf")

    def play(self, path: Path) -> subprocess.Popen[bytes]:
        """Play a sound file (anything libsndfile reads); buffered so far ahead that load does not tear it."""
        return subprocess.Popen(
            ["paplay", "--latency-msec=2000", str(path)], env=os.environ | self.environment
        )

    def _run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        environment = os.environ | self.environment
        return subprocess.run(command, env=environment, check=check, capture_output=True, timeout=120)


@contextmanager
def plugged_in(microphone: str = SoundCard.microphone) -> Iterator[SoundCard]:
    """Use a virtual sound card, also in this process if PortAudio has no stream open.

    A second one can be plugged in beside it, if its microphone has another name.
    """
    for program in ("pulseaudio", "pactl", "paplay"):
        if shutil.which(program) is None:
            raise RuntimeError(
                f"no {program}: apt-get install pulseaudio pulseaudio-utils libasound2-plugins libportaudio2"
            )
    directory = Path(tempfile.mkdtemp(prefix="card-"))  # short: the path of a socket has at most 107 bytes
    card = SoundCard(directory, microphone, os.environ.get("ALSA_CONFIG_PATH", ""))
    before = {name: os.environ.get(name) for name in card.environment}
    os.environ.update(card.environment)
    try:
        card.plug_in()
        yield card
    finally:
        card.unplug()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        shutil.rmtree(directory)


@pytest.fixture
def sound_card() -> Iterator[SoundCard]:
    """A virtual sound card for one test."""
    with plugged_in() as card:
        yield card
