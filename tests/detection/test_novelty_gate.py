"""Novelty gate: which windows are unchanged, and when the last embedding is used again."""

from dataclasses import replace

import numpy as np
import pytest

from monitor.audio.source_status import SourceStatus
from monitor.detection.novelty_gate import NoveltyGate
from monitor.detection.scorer import Scorer
from monitor.model.mel_config import mel_config_of
from monitor.model.spectrogram_cache import SpectrogramCache
from monitor.types import Window
from tests.support.engines import ARMED, engine_of, prototypes_of

RATE, LENGTH, HOP = 8000, 16_000, 8000
GEOMETRY = mel_config_of(
    {"sampling_rate": RATE, "hop_length": 80, "fft_window_size": 256, "feature_size": 32, "max_length_s": 2}
    | {"frequency_min": 50, "frequency_max": 4000, "truncation": "rand_trunc"}
)
PROTOTYPES = prototypes_of(("beep",), [np.array([1.0, 0.0], np.float32)])


def room(seconds, seed=0):
    return 0.01 * np.random.default_rng(seed).standard_normal(seconds * RATE).astype(np.float32)


def beep(audio, second, *, level=0.02, hertz=1000):
    """Add a soft tone of a quarter of a second, as loud as the whole room or less."""
    at = int(second * RATE)
    audio[at : at + RATE // 4] += level * np.sin(2 * np.pi * hertz / RATE * np.arange(RATE // 4)).astype(
        np.float32
    )
    return audio


def windows(audio, source="mic", length=LENGTH):
    return [
        Window(source, start, audio[start : start + length], (start + length) / RATE)
        for start in range(0, len(audio) - length + 1, HOP)
    ]


def gate():
    """Return a gate that takes windows only, and says which are unchanged."""
    gate, spectrograms = NoveltyGate(GEOMETRY, lambda _: HOP, 60.0), SpectrogramCache(GEOMETRY)
    return lambda window: not gate.observe(window, spectrograms.inner(window), window.stop - HOP)


def settled(audio):
    """Seconds at which windows end that are unchanged."""
    observe = gate()
    return [window.stop // RATE for window in windows(audio) if observe(window)]


def test_a_soft_beep_passes_the_gate_when_it_comes_and_when_it_has_gone():
    quiet = settled(room(30))
    assert set(range(16, 31)) <= set(quiet)
    assert 10 <= quiet[0] <= 14
    heard = settled(beep(room(30), 20.3))
    assert sorted(set(quiet) - set(heard)) == [21, 23]


def test_a_second_that_is_one_decibel_louder_passes_the_gate():
    quiet = settled(room(30))
    audio = room(30)
    audio[20 * RATE : 21 * RATE] *= 1.15  # 1.2 dB
    assert sorted(set(quiet) - set(settled(audio))) == [21, 23]


def test_a_louder_room_passes_the_gate_until_it_is_usual():
    audio = room(60)
    quiet = settled(audio)
    audio[30 * RATE :] *= 4
    passed = sorted(set(quiet) - set(settled(audio)))
    assert passed[:2] == [31, 33]
    assert passed[-1] <= 45


def test_what_comes_after_a_gap_is_news_at_first():
    observe = gate()
    row = windows(room(40))
    before, behind = row[:20], row[25:]
    assert observe(before[-1]) is False
    results = [observe(window) for window in before]
    assert results[-1]
    assert [observe(window) for window in behind[:4]] == [False, True, False, True]


def passing(audio, *, heard=(), forgotten=None):
    """Seconds at which windows end that pass; in some a label is heard, and at one all is forgotten."""
    gate, power, found = NoveltyGate(GEOMETRY, lambda _: HOP, 60.0), SpectrogramCache(GEOMETRY), []
    for window in windows(audio):
        second = window.stop // RATE
        if second == forgotten:
            gate.forget()
        if gate.observe(window, power.inner(window), window.stop - HOP):
            found.append(second)
            if second in heard:
                gate.heard(window)
    return found


def test_a_sound_that_comes_again_passes_if_a_label_was_heard_in_it():
    audio = beep(room(60), 20.3, level=0.05)
    audio[40 * RATE : 41 * RATE] = audio[20 * RATE : 21 * RATE]
    assert 21 in passing(audio)
    assert 41 not in passing(audio)
    assert 41 in passing(audio, heard=(21,))


def test_after_a_change_of_the_labels_every_window_passes_until_the_room_is_known_again():
    assert set(range(25, 35)) <= set(passing(room(60), forgotten=25))


class Listener:
    """A scorer whose model counts how often it is asked."""

    def __init__(self, answer, *, reuse=30, active=(), length=LENGTH):
        self.asked, self.answer, self.active, self.length = 0, answer, frozenset(active), length
        mel_config = replace(GEOMETRY, length=length)
        self.status = {name: SourceStatus(name) for name in ("mic", "porch")}
        self.scorer = Scorer(
            engine_of(self.embed, PROTOTYPES, mel_config=mel_config, length=length, hop=HOP),
            ARMED,
            self.status,
            gate=NoveltyGate(mel_config, lambda _: HOP, reuse) if reuse else None,
        )
        self.shape = (mel_config.frames, mel_config.mel_bins)

    def embed(self, spectrograms):
        assert spectrograms.shape[1:] == self.shape
        self.asked += len(spectrograms)
        near = self.answer
        return np.tile(np.array([near, np.sqrt(1 - near**2)], np.float32), (len(spectrograms), 1))

    def hear(self, audio, source="mic"):
        return [
            scores
            for window in windows(audio, source, self.length)
            for scores in self.scorer.score([window], lambda _: self.active)
        ]


def test_unchanged_windows_have_the_last_embedding_until_it_is_old():
    listener, every = Listener(answer=0.1, reuse=5), Listener(answer=0.1, reuse=0)
    scores = listener.hear(room(60))
    assert [window.stop for window in scores] == [(2 + i) * RATE for i in range(59)]
    expected = every.hear(room(60))  # whose model always answers the same
    assert [window.values[0] for window in scores] == [window.values[0] for window in expected]
    assert all(np.array_equal(window.embedding, expected[0].embedding) for window in scores)
    unchanged = listener.status["mic"].gated["unchanged"]
    assert unchanged == sum(window.gated == "unchanged" for window in scores)
    assert unchanged + listener.status["mic"].scored == 59
    assert unchanged + listener.asked == 59
    assert 30 <= unchanged <= 41  # five of six, once the room is known, but for a few that stand out


@pytest.mark.parametrize(
    "options",
    [{"answer": 0.4}, {"answer": 0.1, "active": ["beep"]}, {"answer": 0.1, "reuse": 0}],
    ids=["a score is not calm", "an event goes on", "switched off"],
)
def test_every_window_is_scored_if(options):
    listener = Listener(**options)
    listener.hear(room(40))
    assert (listener.asked, listener.status["mic"].gated) == (39, {})


def test_a_new_watchlist_is_answered_at_once():
    listener = Listener(answer=0.1)
    listener.hear(room(20))
    asked = listener.asked
    listener.scorer.apply(ARMED, replace(PROTOTYPES, fingerprints=("y",)))
    listener.scorer.score([windows(room(23))[-1]], lambda _: frozenset())
    assert listener.asked == asked + 1


def test_sources_are_settled_each_on_its_own():
    listener = Listener(answer=0.1)
    listener.hear(room(20))
    asked = listener.asked
    listener.hear(room(8, seed=1), source="porch")
    assert listener.asked == asked + 7


LONG = 5 * RATE
LOUD_DB = 20.0
"""Above the median of a spectrogram; the beep is 39 dB above it, noise 10."""


def taken(listener, audio, source="mic"):
    """Seconds at which windows end that the model ran on."""
    return [scores.stop // RATE for scores in listener.hear(audio, source) if scores.gated is None]


@pytest.mark.parametrize(("level", "expected"), [(0.05, [41, 44, 48]), (0.0032, [43, 48])])
def test_a_sound_like_no_label_is_in_few_of_the_long_windows_that_are_taken(level, expected):
    """A clear one is taken at once, another when it is in the middle; the last window is without it."""
    audio = beep(room(60), 40.3, level=level)
    quiet, heard = (taken(Listener(answer=0.1, length=LONG), samples) for samples in (room(60), audio))
    assert [second for second in quiet if 40 <= second <= 50] == []
    assert [second for second in heard if 40 <= second <= 50] == expected


def test_of_long_windows_one_in_three_is_taken_while_it_becomes_louder():
    audio = room(60)
    audio[20 * RATE :] *= np.repeat(np.float32(1.2) ** np.arange(40), RATE)
    louder = taken(Listener(answer=0.1, length=LONG), audio)
    assert set(np.diff([second for second in louder if second > 24])) == {3}


@pytest.mark.parametrize("at", np.arange(40.0, 43.0, 0.25))
def test_whenever_a_short_sound_comes_a_window_with_the_whole_of_it_is_taken_within_four_seconds(at):
    audio = beep(beep(room(60), 38.6, level=0.05), at, level=0.05)
    heard = taken(Listener(answer=0.1, length=LONG), audio)
    whole = [second for second in heard if second - 5 <= at and at + 0.25 <= second]
    assert whole[0] <= at + 4


def test_of_long_windows_every_one_is_taken_from_the_first_in_which_a_label_may_be_heard():
    class Ear(Listener):
        def embed(self, spectrograms):
            self.answer = 0.5 if np.ptp(np.quantile(spectrograms, (0.5, 1.0))) > LOUD_DB else 0.1
            return super().embed(spectrograms)

    audio = beep(room(60), 40.3, level=0.2)
    heard = taken(Ear(answer=0.1, length=LONG), audio)
    assert [second for second in heard if 41 <= second <= 46] == [41, 42, 43, 44, 45, 46]
