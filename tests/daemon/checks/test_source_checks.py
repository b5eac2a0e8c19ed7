import numpy as np
import pytest
import soundfile

from monitor.config import SourceConfig
from monitor.daemon.checks.source_checks import level, source
from monitor.types import ExitCode
from tests.support.http_radio import Radio
from tests.support.sound_card import CHANNELS, RATE

NOISE = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "state", "code", "words"),
    [
        (NOISE, "ok", 0, "mic: -20 dBFS, loudest 0.1 s -20 dBFS"),
        (0 * NOISE, "FAIL", ExitCode.DEAD, "exact zeros"),
        (np.nan * NOISE, "FAIL", ExitCode.DEAD, "not finite"),
        (1e-4 * NOISE, "warn", 0, "below silence_dbfs"),
        (np.clip(30 * NOISE, -1, 1), "warn", 0, "clipped"),
    ],
)
def test_what_a_microphone_delivers_is_judged(samples, state, code, words):
    found = level("mic", samples, RATE, silence_dbfs=-70.0)
    assert (found.state, found.exit_code) == (state, code)
    assert words in found.text
    assert bool(found.fix) == (state != "ok")


def look(**config):
    return list(source(SourceConfig(name="mic", **config), seconds=1.0, silence_dbfs=-70.0))


def test_a_sound_file_is_opened_and_what_is_none_is_a_failure(tmp_path):
    soundfile.write(tmp_path / "good.wav", NOISE, RATE)
    (tmp_path / "bad.wav").write_text("not audio")
    assert [found.state for found in look(kind="file", path=tmp_path / "good.wav")] == ["ok"]
    (found,) = look(kind="file", path=tmp_path / "bad.wav")
    assert found.exit_code == ExitCode.SOURCE
    assert "bad.wav" in found.text


def test_standard_input_is_left_alone():
    (found,) = look(kind="pcm", rate=RATE)
    assert found.state == "ok"


def test_a_stream_is_listened_to():
    with Radio() as radio:
        found = look(kind="stream", url=radio.url())
        assert [(f.check, f.state) for f in found] == [("source", "ok"), ("level", "ok")]
        assert radio.url().removesuffix(radio.path) in found[0].text
        (found,) = look(kind="stream", url=radio.url("/none"))
        assert found.exit_code == ExitCode.SOURCE
        assert "no such stream" in found.text


@pytest.mark.sound_card
def test_a_microphone_that_delivers_zeros_is_found_and_dead(sound_card):
    found = look(kind="microphone", device=sound_card.microphone)
    assert [(f.check, f.exit_code) for f in found] == [("source", 0), ("level", ExitCode.DEAD)]
    assert sound_card.microphone in found[0].text


@pytest.mark.sound_card
def test_a_microphone_that_hears_is_well(sound_card, tmp_path):
    path = tmp_path / "noise.wav"
    soundfile.write(path, np.tile(NOISE[:, None], (60, CHANNELS)), RATE)
    player = sound_card.play(path)
    try:
        found = look(kind="microphone", device=sound_card.microphone)
        while found[-1].exit_code == ExitCode.DEAD:  # paplay has not begun
            found = look(kind="microphone", device=sound_card.microphone)
    finally:
        player.kill()
        player.wait()
    assert found[0].state == "ok"
    assert "dBFS" in found[1].text
    assert found[1].exit_code == 0


@pytest.mark.sound_card
@pytest.mark.usefixtures("sound_card")
def test_a_microphone_that_is_not_there_is_a_failure_that_lists_what_is():
    (found,) = look(kind="microphone", device="no such")
    assert found.exit_code == ExitCode.SOURCE
    assert "found: " in found.text
