"""A recording through the real parts."""

import pytest

from monitor.evaluation.replay import detect, replay
from monitor.types import NotAudioError
from tests.support.two_pitches import CONFIG, HEARING, HOP, LENGTH, RATE, RULES, write


def test_a_tone_is_reported_when_it_sounds(tmp_path):
    replayed = replay(write(tmp_path / "a.wav", 20, ("low", 8, 12)), CONFIG, HEARING, RULES)
    assert [heard.label for heard in replayed.heard] == ["low"]
    (heard,) = replayed.heard
    assert heard.start == pytest.approx(8, abs=1)
    assert heard.stop == pytest.approx(12, abs=1)
    assert 8 < heard.known_at <= 10


def test_there_is_a_window_for_every_hop(tmp_path):
    replayed = replay(write(tmp_path / "a.wav", 20), CONFIG, HEARING, RULES)
    assert replayed.seconds == 20
    assert [window.stop for window in replayed.scores] == list(range(LENGTH, 20 * RATE + 1, HOP))


def test_the_detector_alone_gives_the_same_reports_on_the_same_scores(tmp_path):
    path = write(tmp_path / "a.wav", 40, ("low", 5, 8), ("high", 15, 17), ("low", 30, 40))
    replayed = replay(path, CONFIG, HEARING, RULES)
    assert len(replayed.heard) == 3
    assert detect(replayed.scores, RULES, RATE) == replayed.heard


def test_a_recording_shorter_than_a_window_is_heard_only_when_filled(tmp_path):
    path = write(tmp_path / "a.wav", 0.4, ("high", 0, 0.4))
    assert replay(path, CONFIG, HEARING, RULES).scores == ()
    (window,) = replay(path, CONFIG, HEARING, RULES, fill=True).scores
    assert window.labels[window.values.argmax()] == "high"


def test_a_long_recording_is_not_changed_by_filling(tmp_path):
    path = write(tmp_path / "a.wav", 5, ("low", 2, 4))
    plain, filled = (replay(path, CONFIG, HEARING, RULES, fill=fill) for fill in (False, True))
    assert [s.values.tolist() for s in plain.scores] == [s.values.tolist() for s in filled.scores]


def test_a_file_that_is_no_audio_is_said_so(tmp_path):
    (tmp_path / "a.wav").write_text("not audio")
    with pytest.raises(NotAudioError):
        replay(tmp_path / "a.wav", CONFIG, HEARING, RULES)
