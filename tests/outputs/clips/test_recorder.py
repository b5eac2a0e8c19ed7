"""Clips: the audio around an event, when its tail is over, and none in which people speak."""

import json
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
import soundfile

from monitor.outputs.clips.encoding import encode
from monitor.outputs.clips.paths import clip_path, read_name
from monitor.system.directories import make_writable
from monitor.types import OutputError
from tests.support.broker import eventually
from tests.support.clip_events import DOG, ID, cutting, event, ring, second, window
from tests.support.events import RATE, ended

PATH = f"2026-11-23/20261123T120003Z_mic_dog_{ID}.flac"


def keep(directory, buffer, start=None, seconds=2.0, **settings):
    """Let an event start and end; return the cutter once it is decided, and the path promised."""
    with cutting(directory, buffer, **settings) as cutter:
        start = start or event()
        cutter.clips.begin_clip(start, DOG)
        promised = cutter.clips.finish_clip(ended(start, seconds))
        eventually(lambda: start.id in cutter.outcomes)
    return cutter, promised


def test_a_clip_holds_the_event_and_the_seconds_around_it(tmp_path):
    cutter, promised = keep(tmp_path, ring(), before_seconds=3, after_seconds=2)
    samples, rate = soundfile.read(tmp_path / PATH)
    assert (rate, len(samples)) == (RATE, 7 * RATE)
    assert samples[::RATE] == pytest.approx([i / 100 for i in range(5, 12)], abs=1e-4)
    assert promised == PATH
    assert cutter.outcomes == {ID: (PATH, "kept")}


@pytest.mark.parametrize(("kind", "form"), [("flac", "FLAC"), ("wav", "WAV"), ("opus", "OGG")])
def test_a_clip_can_have_another_format(tmp_path, kind, form):
    _, promised = keep(tmp_path, ring(), format=kind)
    known = soundfile.info(tmp_path / promised)
    assert (known.format, known.samplerate, round(known.duration)) == (form, RATE, 12)
    assert promised.endswith(f".{kind}")


def test_opus_has_a_rate_of_its_own(tmp_path):
    tone = np.sin(np.arange(32_000) * 2 * np.pi * 440 / 32_000).astype(np.float32) / 2
    (tmp_path / "tone.opus").write_bytes(encode(tone, 32_000, "opus"))
    samples, rate = soundfile.read(tmp_path / "tone.opus")
    assert (rate, len(samples)) == (48_000, 48_000)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert spectrum.argmax() == 440


def test_samples_that_are_no_numbers_are_silent_in_it(tmp_path):
    buffer = ring(8)
    buffer.append(replace(second(8), samples=np.full(RATE, np.nan, np.float32)))
    buffer.append(replace(second(9), samples=np.full(RATE, np.inf, np.float32)))
    for i in range(10, 20):
        buffer.append(second(i))
    keep(tmp_path, buffer, before_seconds=0, after_seconds=0)
    samples, _ = soundfile.read(tmp_path / PATH)
    assert set(samples[:RATE]) == {0.0}
    assert samples[RATE:].max() == pytest.approx(1.0, abs=1e-4)


def test_the_tail_is_waited_for(tmp_path):
    buffer = ring(11)
    with cutting(tmp_path, buffer, after_seconds=3) as cutter:
        start = event()
        cutter.clips.begin_clip(start, DOG)
        assert cutter.clips.finish_clip(ended(start)) == PATH
        buffer.append(second(11))
        assert cutter.outcomes == {}
        buffer.append(second(12))
        eventually(lambda: cutter.outcomes == {ID: (PATH, "kept")})
    assert soundfile.info(tmp_path / PATH).duration == 10.0


def test_a_long_event_is_cut_at_the_longest_clip_while_it_still_lasts(tmp_path):
    with cutting(tmp_path, ring(), before_seconds=2, max_seconds=4) as cutter:
        start = event()
        cutter.clips.begin_clip(start, DOG)
        eventually(lambda: cutter.outcomes == {ID: (PATH, "kept")})
        assert cutter.clips.finish_clip(ended(start, 9)) == PATH
    assert soundfile.info(tmp_path / PATH).duration == 4.0


def test_a_clip_at_the_end_of_a_source_is_shorter(tmp_path):
    buffer = ring(9)
    buffer.close()
    keep(tmp_path, buffer, seconds=1, before_seconds=3)
    assert soundfile.info(tmp_path / PATH).duration == 4.0


def test_what_is_still_waited_for_is_cut_when_the_monitor_ends(tmp_path):
    with cutting(tmp_path, ring(9)) as cutter:
        start = event()
        cutter.clips.begin_clip(start, DOG)
        cutter.clips.finish_clip(ended(start))
    assert cutter.outcomes == {ID: (PATH, "kept")}
    assert cutter.clips.waiting == 0


def test_an_event_whose_audio_is_gone_has_no_clip(tmp_path):
    cutter, _ = keep(tmp_path, ring(seconds=30, capacity=10))
    assert cutter.outcomes == {ID: (None, "missed")}
    assert not list(tmp_path.rglob("*.flac"))


def test_beside_a_clip_stands_what_is_known_of_it(tmp_path):
    keep(tmp_path, ring(), before_seconds=3, after_seconds=2)
    known = json.loads((tmp_path / PATH).with_suffix(".json").read_text())
    assert (known["schema"], known["locked"], known["model"]) == (1, False, "starter")
    assert known["event"]["event_id"] == ID
    assert known["event"]["reason"] == "quiet"
    assert known["audio"]["duration_seconds"] == 7.0
    assert known["audio"]["before_onset_seconds"] == 3.0
    assert (tmp_path / PATH).with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_a_gap_in_a_clip_is_noted(tmp_path):
    buffer = ring(9)
    buffer.append(replace(second(9), gap=True))
    for i in range(10, 20):
        buffer.append(second(i))
    keep(tmp_path, buffer)
    assert json.loads((tmp_path / PATH).with_suffix(".json").read_text())["audio"]["gap"]


GUARDED = {"speech_filter": True, "before_seconds": 2, "after_seconds": 1}


class TestSpeechGuard:
    """Windows of one second, one a second; the event lasts from 8 s to 10 s, the clip from 6 s to 11 s."""

    def fate(self, directory, *spoken):
        with cutting(directory, ring(), **GUARDED) as cutter:
            start = event()
            cutter.clips.begin_clip(start, DOG)
            promised = None
            for i in range(15):
                cutter.clips.on_scores(window(i, speech=i in spoken))
                if i == 11:
                    promised = cutter.clips.finish_clip(ended(start))
            eventually(lambda: ID in cutter.outcomes)
        assert (promised is None) == (cutter.outcomes[ID][1] == "speech")
        return cutter.outcomes[ID][1]

    def test_without_speech_the_clip_is_kept(self, tmp_path):
        assert self.fate(tmp_path) == "kept"
        assert soundfile.info(tmp_path / PATH).duration == 5.0

    @pytest.mark.parametrize("second", [6, 8, 9, 10])
    def test_speech_in_the_clip_leaves_nothing_of_it(self, tmp_path, second):
        assert self.fate(tmp_path, second) == "speech"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("second", [0, 4, 12])
    def test_speech_elsewhere_does_not_matter(self, tmp_path, second):
        assert self.fate(tmp_path, second) == "kept"

    def test_a_window_that_reaches_into_the_clip_counts(self, tmp_path):
        assert self.fate(tmp_path, 10) == "speech"
        assert self.fate(tmp_path, 5) == "kept"

    def test_what_nobody_has_listened_to_is_not_kept(self, tmp_path):
        with cutting(tmp_path, ring(), **GUARDED) as cutter:
            start = event()
            cutter.clips.begin_clip(start, DOG)
            for i in range(10):
                cutter.clips.on_scores(window(i))
            cutter.clips.finish_clip(ended(start))
        assert cutter.outcomes[ID][1] == "kept"
        assert soundfile.info(tmp_path / PATH).duration == 4.0

    def test_without_any_window_there_is_no_clip(self, tmp_path):
        with cutting(tmp_path, ring(), **GUARDED) as cutter:
            cutter.clips.begin_clip(event(), DOG)
            cutter.clips.finish_clip(ended(event()))
        assert cutter.outcomes[ID] == (None, "missed")

    def test_a_user_may_do_without_it(self, tmp_path):
        with cutting(tmp_path, ring(), speech_filter=False) as cutter:
            for i in range(15):
                cutter.clips.on_scores(window(i, speech=True))
            cutter.clips.begin_clip(event(), DOG)
            cutter.clips.finish_clip(ended(event()))
        assert cutter.outcomes[ID][1] == "kept"

    def test_what_could_not_be_judged_counts_as_speech(self, tmp_path):
        with cutting(tmp_path, ring(), **GUARDED) as cutter:
            cutter.clips.begin_clip(event(), DOG)
            for i in range(15):
                cutter.clips.on_scores(window(i, gated="non_finite" if i == 9 else None))
            cutter.clips.finish_clip(ended(event()))
        assert cutter.outcomes[ID] == (None, "speech")


@pytest.mark.parametrize("guarded", [True, False])
class TestSwitchedOff:
    """Of the time in which listening is switched off nothing is in any clip."""

    SETTINGS = MappingProxyType({"before_seconds": 4, "after_seconds": 4})

    def test_a_clip_ends_where_listening_was_switched_off(self, tmp_path, guarded):
        with cutting(tmp_path, ring(), speech_filter=guarded, **self.SETTINGS) as cutter:
            for i in range(10):
                cutter.clips.on_scores(window(i))
            cutter.clips.begin_clip(event(), DOG)
            for i in range(10, 16):
                cutter.clips.on_scores(window(i, gated="disarmed"))
            cutter.clips.finish_clip(replace(ended(event()), reason="quiet"))
        assert soundfile.info(tmp_path / PATH).duration == 6.0

    def test_an_event_that_ends_by_it_has_no_tail(self, tmp_path, guarded):
        with cutting(tmp_path, ring(), speech_filter=guarded, **self.SETTINGS) as cutter:
            for i in range(16):
                cutter.clips.on_scores(window(i))
            cutter.clips.begin_clip(event(), DOG)
            cutter.clips.finish_clip(replace(ended(event()), reason="disarmed"))
        assert soundfile.info(tmp_path / PATH).duration == 6.0

    def test_a_clip_does_not_reach_back_into_it(self, tmp_path, guarded):
        with cutting(tmp_path, ring(), speech_filter=guarded, **self.SETTINGS) as cutter:
            for i in range(16):
                cutter.clips.on_scores(window(i, gated="disarmed" if i < 7 else None))
            cutter.clips.begin_clip(event(), DOG)
            cutter.clips.finish_clip(ended(event()))
        samples, _ = soundfile.read(tmp_path / PATH)
        assert samples[0] == pytest.approx(0.07, abs=1e-4)


def test_a_full_disk_costs_the_clip_and_is_said_once(caplog, full_disk):
    make_writable(full_disk, "recordings")
    assert caplog.text.count("cannot be written: No space left on device") == 1
    ids = [ID, ID[:-1] + "Y"]
    with cutting(full_disk, ring(), free_megabytes=0) as cutter:
        for ident in ids:
            cutter.clips.begin_clip(event(id=ident), DOG)
            cutter.clips.finish_clip(ended(event(id=ident)))
        eventually(lambda: len(cutter.outcomes) == 2)
        assert cutter.clips.trouble == "No space left on device"
        assert cutter.outcomes == dict.fromkeys(ids, (None, "disk_error"))
        assert caplog.text.count("clips: No space left on device: none can be written") == 1
        assert not [*full_disk.rglob("*.part"), *full_disk.rglob("*.json"), *full_disk.rglob("*.png")]
        start = event()
        cutter.clips.begin_clip(start, DOG)
        assert cutter.clips.finish_clip(ended(start)) is None


def test_below_the_floor_of_free_space_nothing_is_written(tmp_path, caplog):
    cutter, _ = keep(tmp_path, ring(), free=500_000_000, free_megabytes=500)
    assert cutter.outcomes == {ID: (None, "disk_full")}
    assert "clips: less than 500 MB are free: none can be written" in caplog.text
    assert not list(tmp_path.rglob("*.flac"))


def test_a_directory_that_cannot_be_written_is_an_error_that_names_the_key(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file/below: cannot be written: Not a directory; set `recordings`"):
        make_writable(tmp_path / "file" / "below", "recordings")


def test_the_path_tells_when_where_and_what():
    assert clip_path(event()) == PATH
    assert read_name(PATH).event_id == ID
    assert read_name(PATH).at == int(event().started_at)


@pytest.mark.parametrize("word", ["../../etc", "a/b", "a\\b", "Ä\n", "", "x" * 200, "con", "a:b", "..", " "])
def test_whatever_a_source_or_label_is_called_the_path_is_safe(word):
    path = clip_path(replace(event(), source=word, label=word))
    assert read_name(path).event_id == ID
    assert len(path.encode()) < 200
    assert ".." not in path


@pytest.mark.parametrize(
    "path",
    [
        "../" + PATH,
        "/" + PATH,
        PATH.replace("2026-11-23/", ""),
        PATH + "/..",
        PATH.replace(".flac", ".exe"),
        PATH.replace("mic", "m/c"),
        PATH.replace("mic", "m c"),
        PATH.replace("20261123", "20261399"),
        PATH + "\n",
        "",
        "2026-11-23/holiday.flac",
    ],
)
def test_a_path_that_is_none_of_ours_is_known(path):
    assert read_name(path) is None


def test_names_sort_by_time():
    paths = [clip_path(event(at=at)) for at in (0.0, 59.0, 86_400.0, 1e9, 1_795_435_203.4)]
    assert paths == sorted(paths)
