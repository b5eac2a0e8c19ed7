"""The change gate: what is settled, and when the last scores are used again."""

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


def windows(audio, source="mic"):
    return [
        Window(source, start, audio[start : start + LENGTH], (start + LENGTH) / RATE)
        for start in range(0, len(audio) - LENGTH + 1, HOP)
    ]


def gate():
    """Return a gate that takes windows only."""
    gate, spectrograms = NoveltyGate(GEOMETRY, lambda _: HOP, 60.0), SpectrogramCache(GEOMETRY)
    return lambda window: gate.observe(window, spectrograms.inner(window))


def settled(audio):
    """Seconds at which windows end that are unchanged."""
    observe = gate()
    return [window.stop // RATE for window in windows(audio) if observe(window)]


def test_after_the_room_has_settled_a_soft_beep_passes_the_gate_while_a_window_holds_it():
    quiet = settled(room(30))
    assert quiet == list(range(quiet[0], 31))
    assert 10 <= quiet[0] <= 14
    heard = settled(beep(room(30), 20.3))
    assert sorted(set(quiet) - set(heard)) == [21, 22]


def test_what_stands_out_of_no_tenth_of_a_second_may_stand_out_of_a_whole_one():
    quiet = settled(room(30))
    audio = room(30)
    audio[20 * RATE : 21 * RATE] *= 1.15  # 1.2 dB
    assert sorted(set(quiet) - set(settled(audio))) == [21, 22]


def test_a_louder_room_is_news_until_it_is_usual():
    audio = room(60)
    audio[30 * RATE :] *= 4
    heard = settled(audio)
    assert not {31, 35, 40} & set(heard)
    assert {58, 59, 60} <= set(heard)


def test_what_comes_after_a_gap_is_news_at_first():
    observe = gate()
    row = windows(room(40))
    before, behind = row[:20], row[25:]
    assert observe(before[-1]) is False
    results = [observe(window) for window in before]
    assert results[-1]
    assert [observe(window) for window in behind[:4]] == [False, False, True, True]


class Listener:
    """A scorer whose model counts how often it is asked."""

    def __init__(self, answer, *, reuse=30, active=()):
        self.asked, self.answer, self.active = 0, answer, frozenset(active)
        self.status = {name: SourceStatus(name) for name in ("mic", "porch")}
        self.scorer = Scorer(
            engine_of(self.embed, PROTOTYPES, mel_config=GEOMETRY, length=LENGTH, hop=HOP),
            ARMED,
            self.status,
            gate=NoveltyGate(GEOMETRY, lambda _: HOP, reuse) if reuse else None,
        )

    def embed(self, spectrograms):
        assert spectrograms.shape[1:] == (GEOMETRY.frames, GEOMETRY.mel_bins)
        self.asked += len(spectrograms)
        near = self.answer
        return np.tile(np.array([near, np.sqrt(1 - near**2)], np.float32), (len(spectrograms), 1))

    def hear(self, audio, source="mic"):
        return [
            scores
            for window in windows(audio, source)
            for scores in self.scorer.score([window], lambda _: self.active)
        ]


def test_gated_windows_repeat_scores_and_the_model_runs_again_once_they_are_old():
    listener = Listener(answer=0.1, reuse=5)
    scores = listener.hear(room(60))
    assert [window.stop for window in scores] == [(2 + i) * RATE for i in range(59)]
    assert {window.values[0] for window in scores} == {scores[0].values[0]}
    unchanged = listener.status["mic"].gated["unchanged"]
    assert unchanged + listener.status["mic"].scored == 59
    assert unchanged + listener.asked == 59
    assert 36 <= unchanged <= 41  # five of six, once the room is known


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
