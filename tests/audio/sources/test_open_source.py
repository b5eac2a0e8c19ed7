import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile

from monitor.audio.source_status import SourceStatus
from monitor.audio.sources import SourceContext, open_source
from monitor.config import SourceConfig
from monitor.types import SourceError
from tests.support.http_radio import Radio
from tests.support.sound_card import RATE


def opened(*, required=False, **config):
    source = SourceConfig(name="in", **config)
    return open_source(source, SourceContext(RATE, SourceStatus("in"), threading.Event(), required))


def test_a_file_is_opened(tmp_path):
    audio = np.random.default_rng(0).integers(-9000, 9000, (100, 2)).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", audio, RATE)
    (block,) = opened(kind="file", path=tmp_path / "a.wav", pace="fast", channel=2)
    assert block.source == "in"
    assert (block.samples * 32768).tolist() == audio[:, 1].tolist()


def test_a_gain_makes_louder_up_to_full_scale_and_leaves_what_is_no_number(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.01, -0.01, 0.5, np.nan, np.inf]), RATE, subtype="FLOAT")
    (block,) = opened(kind="file", path=tmp_path / "a.wav", pace="fast", gain_db=20)
    assert block.samples[:3].tolist() == pytest.approx([0.1, -0.1, 1.0])
    assert np.isnan(block.samples[3])
    assert np.isinf(block.samples[4])


def test_standard_input_is_opened(monkeypatch, tmp_path):
    path = tmp_path / "raw"
    path.write_bytes(np.array([1, 2, 3, 4], "<i2").tobytes())
    with path.open() as raw:
        monkeypatch.setattr(sys, "stdin", raw)
        (block,) = opened(kind="pcm", rate=RATE, channels=2, channel=1)
    assert (block.samples * 32768).tolist() == [1, 3]


def test_a_closed_standard_input_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SourceError, match="source in: standard input is closed"):
        list(opened(kind="pcm", rate=RATE))


def test_a_stream_is_opened_with_its_login(tmp_path):
    (tmp_path / "password").write_text("hunter2")
    with Radio(login=("me", "hunter2")) as radio:
        login = {"username": "me", "password_file": tmp_path / "password"}
        blocks = opened(kind="stream", url=radio.url(), **login, required=True)
        assert next(blocks).source == "in"
        blocks.close()


@pytest.mark.sound_card
def test_a_microphone_is_opened(sound_card):
    blocks = opened(kind="microphone", device=sound_card.microphone, required=True)
    assert next(blocks).source == "in"
    blocks.close()


def test_nothing_is_opened_before_the_first_block_is_asked_for(tmp_path):
    opened(kind="file", path=tmp_path / "none.wav")


ONLY_A_FILE = """
import sys, threading
from pathlib import Path
from monitor.audio.sources import SourceContext, open_source
from monitor.config import SourceConfig
from monitor.audio.source_status import SourceStatus
source = SourceConfig(name="in", kind="file", path=Path(sys.argv[1]), pace="fast")
list(open_source(source, SourceContext(16000, SourceStatus("in"), threading.Event())))
assert "av" in sys.modules
assert "sounddevice" not in sys.modules
"""


def test_a_file_needs_no_portaudio(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), RATE)
    subprocess.run([sys.executable, "-c", ONLY_A_FILE, str(tmp_path / "a.wav")], check=True)
