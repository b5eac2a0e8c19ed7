import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.devices import Device
from monitor.audio.sources.microphone import open_microphone
from monitor.audio.sources.portaudio import channels_to_open, library, supported_rate
from monitor.audio.sources.source_context import SourceContext
from monitor.config import SourceConfig
from monitor.types import SourceError
from tests.support.sound_card import CHANNELS, RATE, SoundCard, plugged_in

pytestmark = pytest.mark.sound_card


class Microphone:
    """A microphone that is listened to in a thread of its own."""

    def __init__(self, *, device=SoundCard.microphone, channel=1, rate=RATE, wish=None):
        self.status = SourceStatus("mic")
        self.blocks = []
        self._stop = threading.Event()
        config = SourceConfig(name="mic", kind="microphone", device=device, channel=channel, rate=wish)
        self._source = open_microphone(config, SourceContext(rate, self.status, self._stop))
        self._thread = threading.Thread(target=self._listen)

    def _listen(self):
        for block in self._source:
            self.blocks.append(block)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def wait_for(self, what, seconds=120):
        deadline = time.monotonic() + seconds
        while not what(self):
            assert time.monotonic() < deadline, self.status
            time.sleep(0.02)

    @property
    def samples(self):
        return np.concatenate([block.samples for block in self.blocks])


@pytest.fixture
def recording(tmp_path):
    """Two seconds of a different noise on each channel, no sample of it zero, after a second of silence."""
    noise = np.random.default_rng(7).integers(1, 30000, (2 * RATE, CHANNELS)).astype(np.int16)
    noise[::2] *= -1
    path = tmp_path / "noise.wav"
    soundfile.write(path, np.concatenate([np.zeros((RATE, CHANNELS), np.int16), noise]), RATE)
    return path, (noise / 32768).astype(np.float32)


def has_audio(mic):
    return len(mic.blocks) > 5


def play_whole(card, path, mic):
    """Play; return when all of it has been captured."""
    assert card.play(path).wait(120) == 0
    until = mic.blocks[-1].stop + RATE
    mic.wait_for(lambda mic: mic.blocks[-1].stop > until)


def test_every_sample_played_is_captured(sound_card, recording):
    path, played = recording
    before = time.time()
    with Microphone(channel=2) as mic:
        mic.wait_for(has_audio)
        play_whole(sound_card, path, mic)
    heard = mic.samples
    sounding = np.flatnonzero(heard)
    assert heard[sounding[0] : sounding[-1] + 1].tolist() == played[:, 1].tolist()
    assert mic.status.lost == mic.status.overflows == mic.status.reopened == 0
    assert not any(block.gap for block in mic.blocks)
    assert [block.start for block in mic.blocks] == [0, *(block.stop for block in mic.blocks[:-1])]
    stamps = [block.ended_at for block in mic.blocks]
    assert stamps == sorted(stamps)
    assert before < stamps[0]
    assert stamps[-1] <= time.time()


def test_the_mean_of_all_channels_is_heard(sound_card, recording):
    path, played = recording
    with Microphone(channel=None) as mic:
        mic.wait_for(has_audio)
        play_whole(sound_card, path, mic)
    heard = mic.samples
    first = np.flatnonzero(heard)[0]
    expected = played.mean(axis=1)
    np.testing.assert_allclose(heard[first : first + len(expected)], expected, atol=2 / 32768)


def test_a_device_at_another_rate_is_resampled(sound_card, recording):
    path, played = recording
    with Microphone(rate=16000, wish=RATE) as mic:
        mic.wait_for(has_audio)
        play_whole(sound_card, path, mic)
    loud = np.flatnonzero(np.abs(mic.samples) > 0.01)
    assert loud[-1] - loud[0] == pytest.approx(len(played) / 3, abs=20)


def test_an_unplugged_device_is_missed_and_found_again(sound_card, recording):
    path, played = recording
    with Microphone() as mic:
        mic.wait_for(has_audio)
        sound_card.unplug()
        mic.wait_for(lambda mic: mic.status.offline)
        missing_from = mic.blocks[-1].stop
        sound_card.plug_in()
        mic.wait_for(lambda mic: not mic.status.offline)
        mic.wait_for(lambda mic: mic.blocks[-1].stop > missing_from + RATE)
        play_whole(sound_card, path, mic)
    assert mic.status.reopened == 1
    assert [block.start for block in mic.blocks if block.gap] == [missing_from]
    sounding = np.flatnonzero(mic.samples)
    assert mic.samples[sounding[0] : sounding[-1] + 1].tolist() == played[:, 0].tolist()


def test_a_driver_that_hangs_is_noticed_and_does_not_hang_the_source(sound_card):
    with Microphone() as mic:
        mic.wait_for(has_audio)
        sound_card.freeze()
        mic.wait_for(lambda mic: mic.status.offline_text == "it has delivered nothing for 5 s")
        mic.wait_for(lambda mic: mic.status.offline_text == "its driver hangs while it is being closed")
        sound_card.thaw()
        mic.wait_for(lambda mic: not mic.status.offline)


@pytest.mark.usefixtures("sound_card")
def test_two_microphones_are_heard_and_one_does_not_stop_the_other():
    with Microphone() as mic:
        mic.wait_for(has_audio)
        with Microphone(device="pulse") as other:
            other.wait_for(has_audio)
            assert {device.name for device in library.devices()} >= {"pulse", SoundCard.microphone}
        with Microphone(device="no such") as missing:
            missing.wait_for(lambda missing: missing.status.offline_text is not None)
        before = mic.blocks[-1].stop
        mic.wait_for(lambda mic: mic.blocks[-1].stop > before + RATE)
    assert mic.status.reopened == 0
    assert not any(block.gap for block in mic.blocks)


def test_one_microphone_goes_and_comes_and_the_other_goes_on_without_a_gap(sound_card):
    with plugged_in("other_microphone") as other_card:
        sound_card.hum()
        other_card.hum()
        with Microphone() as mic, Microphone(device="other_microphone") as other:
            mic.wait_for(has_audio)
            other.wait_for(has_audio)
            sound_card.unload()
            mic.wait_for(lambda mic: mic.status.offline)
            sound_card.load()
            sound_card.hum()
            mic.wait_for(lambda mic: not mic.status.offline)
            before = other.blocks[-1].stop
            other.wait_for(lambda other: other.blocks[-1].stop > before + RATE)
    assert mic.status.reopened == 1
    assert other.status.reopened == 0
    assert sum(block.gap for block in other.blocks) <= other.status.overflows  # none, if the machine keeps up


def test_a_microphone_that_is_not_there_at_first_is_heard_as_soon_as_it_comes(sound_card):
    sound_card.unload()
    with Microphone() as mic:
        mic.wait_for(lambda mic: mic.status.offline)
        sound_card.load()
        sound_card.hum()
        mic.wait_for(lambda mic: not mic.status.offline)
        mic.wait_for(has_audio)
    assert not mic.blocks[0].gap


def test_a_microphone_is_found_again_by_its_name_under_another_index(sound_card):
    sound_card.hum()
    before = {device.name: device.index for device in library.devices()}
    with Microphone() as mic:
        mic.wait_for(has_audio)
        sound_card.unload()
        mic.wait_for(lambda mic: mic.status.offline)
        sound_card.list_devices("a_new_one", "another_new_one", SoundCard.microphone)
        sound_card.load()
        sound_card.hum()
        mic.wait_for(lambda mic: not mic.status.offline)
    after = {device.name: device.index for device in library.devices()}
    assert before[SoundCard.microphone] != after[SoundCard.microphone]


def test_a_microphone_that_delivers_nothing_but_zeros_is_offline_until_it_sounds(sound_card):
    with Microphone() as mic:
        mic.wait_for(lambda mic: mic.status.offline)
        assert "nothing but digital silence for 8 s" in mic.status.offline_text
        sound_card.hum()
        mic.wait_for(lambda mic: not mic.status.offline)


def test_the_channels_of_a_device_are_sources_of_their_own_on_one_stream(sound_card, recording):
    path, played = recording
    with Microphone(channel=1) as left, Microphone(channel=2) as right:
        for mic in (left, right):
            mic.wait_for(has_audio)
        assert len(library._streams) == 1
        play_whole(sound_card, path, left)
        right.wait_for(lambda right: right.blocks[-1].stop >= left.blocks[-1].stop)
    for channel, mic in enumerate((left, right)):
        sounding = np.flatnonzero(mic.samples)
        assert mic.samples[sounding[0] : sounding[-1] + 1].tolist() == played[:, channel].tolist()
        assert mic.status.reopened == mic.status.lost == 0
    assert not library._streams


def test_the_channels_of_a_device_are_lost_and_come_back_together(sound_card):
    sound_card.hum()
    with Microphone(channel=1) as left, Microphone(channel=2) as right:
        for _ in range(3):
            for mic in (left, right):
                mic.wait_for(lambda mic: mic.blocks and not mic.status.offline)
            sound_card.unload()
            for mic in (left, right):
                mic.wait_for(lambda mic: mic.status.offline)
            sound_card.load()
            sound_card.hum()
        for mic in (left, right):
            mic.wait_for(lambda mic: not mic.status.offline)
            assert mic.status.reopened == 3


def test_a_channel_that_is_silent_disturbs_no_other(sound_card, tmp_path):
    half = np.zeros((60 * RATE, CHANNELS), np.int16)
    half[:, 0] = np.random.default_rng(0).integers(-9000, 9000, len(half))
    soundfile.write(tmp_path / "half.wav", half, RATE)
    with (
        sound_card.play(tmp_path / "half.wav") as player,
        Microphone(channel=1) as left,
        Microphone(channel=2) as right,
    ):
        right.wait_for(lambda right: "digital silence" in (right.status.offline_text or ""))
        before = left.blocks[-1].stop
        left.wait_for(lambda left: left.blocks[-1].stop > before + RATE)
        assert not left.status.offline
        player.kill()
    assert left.status.reopened == 0


@pytest.mark.usefixtures("sound_card")
def test_a_channel_more_than_is_open_opens_the_device_again_for_all():
    with Microphone(channel=None) as mixed:
        mixed.wait_for(has_audio)
        with Microphone(channel=4) as fourth:
            fourth.wait_for(has_audio)
            before = mixed.blocks[-1].stop
            mixed.wait_for(lambda mixed: mixed.blocks[-1].stop > before + RATE)
            assert len(library._streams) == 1


def test_a_microphone_that_nobody_knew_is_found_while_another_one_goes_on(sound_card):
    sound_card.hum()
    with Microphone() as mic:
        mic.wait_for(has_audio)
        with Microphone(device="a_new_one") as new:
            new.wait_for(lambda new: new.status.offline)
            assert "no microphone is called 'a_new_one'" in new.status.offline_text
            sound_card.list_devices("one_more", SoundCard.microphone, "a_new_one")
            new.wait_for(has_audio)
            with Microphone(device="one_more") as third:
                third.wait_for(has_audio)
            before = mic.blocks[-1].stop
            mic.wait_for(lambda mic: mic.blocks[-1].stop > before + RATE)
    assert mic.status.reopened == 0
    assert sum(block.gap for block in mic.blocks) <= mic.status.overflows  # none, if the machine keeps up
    assert not library._streams


def test_devices_are_listed(sound_card):
    found = {device.name: device for device in library.devices()}
    assert found[sound_card.microphone].host_api == "ALSA"
    assert found[sound_card.microphone].channels > 0
    assert sum(device.default for device in found.values()) == 1


def needed(**config):
    config = SourceConfig(name="mic", kind="microphone", **config)
    return open_microphone(config, SourceContext(RATE, SourceStatus("mic"), threading.Event(), required=True))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"device": "no such"}, "source mic: no microphone is called 'no such'; found: "),
        ({"device": 99}, "source mic: no microphone is called 99; found: "),
        ({"device": SoundCard.microphone, "channel": 64}, "has 32 channels, so no channel 64"),
    ],
)
@pytest.mark.usefixtures("sound_card")
def test_a_needed_microphone_that_is_not_there_is_said(what, message):
    with pytest.raises(SourceError) as raised:
        list(needed(**what))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_device_that_cannot_be_opened_is_said(sound_card):
    library.devices()  # the card is seen, and then it is gone
    sound_card.unplug()
    with pytest.raises(SourceError, match="no microphone"):
        next(needed(device=SoundCard.microphone))


@pytest.mark.parametrize(
    ("of_device", "channel", "opened"),
    [(1, None, 1), (6, None, 6), (6, 2, 6), (32, None, 1), (128, None, 1), (32, 1, 2), (64, 4, 4)],
)
def test_all_channels_of_a_card_are_opened_but_a_server_is_asked_for_what_is_needed(
    of_device, channel, opened
):
    assert channels_to_open(Device(0, "card", "ALSA", of_device, 48000.0, default=True), channel) == opened


@pytest.mark.parametrize(("wish", "opened"), [(16000, 16000), (48000, 44100)])
def test_a_device_that_cannot_do_the_wished_rate_is_opened_at_its_own(wish, opened):
    def check_input_settings(index, *, channels, dtype, samplerate):
        assert (index, channels, dtype) == (3, 2, "float32")
        if samplerate == 48000:
            raise OSError

    portaudio = SimpleNamespace(check_input_settings=check_input_settings, PortAudioError=OSError)
    card = Device(3, "card", "ALSA", channels=2, rate=44100.0, default=True)
    assert supported_rate(portaudio, card, 2, wish) == opened


WITHOUT_PORTAUDIO = """
import ctypes.util, sys
ctypes.util.find_library = lambda name: None
from monitor.audio.sources.portaudio import library
assert "sounddevice" not in sys.modules
from monitor.types import SourceError
try:
    library.devices()
except SourceError as error:
    print(error)
"""


def test_without_portaudio_its_package_is_named():
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_PORTAUDIO], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == [
        "PortAudio library not found: microphones need PortAudio (Debian: apt-get install libportaudio2)"
    ]


LISTEN_UNTIL_KILLED = """
import threading, sys
from monitor.audio.sources.microphone import open_microphone
from monitor.audio.sources.source_context import SourceContext
from monitor.config import SourceConfig
from monitor.audio.source_status import SourceStatus
stop = threading.Event()
blocks = open_microphone(SourceConfig(name="mic", kind="microphone", device="virtual"),
                         SourceContext(48000, SourceStatus("mic"), stop))
next(blocks)
print("hears", flush=True)
threading.Timer(1, stop.set).start()
print(sum(1 for _ in blocks) >= 0, flush=True)
"""


def test_a_process_ends_although_the_driver_hangs(sound_card):
    command = [sys.executable, "-c", LISTEN_UNTIL_KILLED]
    environment = os.environ | sound_card.environment
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout.readline() == "hears\n"
        sound_card.freeze()
        try:
            assert process.wait(120) == 0
        finally:
            sound_card.thaw()
