import numpy as np
import pytest
import torch

from training import geometry as g
from training import mine as m
from training import yamnet
from training.crops import Drawer
from training.places import Places
from training.store import Clip, load_clips
from training.yamnet import Heard

COUGH, BELL, SPEECH = 42, 195, 0


def heard(*rows):
    """What the teacher makes of seconds, each with the score of some classes."""
    scores = np.zeros((len(rows), g.CLASSES), np.float16)
    for row, others in zip(scores, rows, strict=True):
        for kind, value in others.items():
            row[kind] = value
    return Heard(scores, np.zeros((len(rows), g.FEATURES), np.float16))


def found(generation=0, size=1_000):
    return m.Found(np.full(g.RATE, size, np.int16), generation)


@pytest.fixture
def pool():
    return m.Pool(np.array([COUGH, BELL]))


def test_a_sound_is_kept_as_the_rarest_kind_that_it_is(pool):
    assert pool.offer(found(), heard({COUGH: 0.9}))
    assert pool.offer(found(), heard({COUGH: 0.9}, {BELL: 0.4}))
    assert {kind: len(own) for kind, own in pool.kept.items()} == {COUGH: 1, BELL: 1}


def test_what_nobody_asked_for_or_is_sure_of_is_not_kept(pool):
    assert not pool.offer(found(), heard({SPEECH: 1.0}))
    assert not pool.offer(found(), heard({COUGH: 0.2, BELL: 0.2}))
    assert not pool.kept


def test_of_a_kind_there_are_enough_some_time(pool):
    kept = [pool.offer(found(), heard({COUGH: 0.9})) for _ in range(m.MOST + 5)]
    assert kept == [True] * m.MOST + [False] * 5
    assert pool.parents(np.random.default_rng(0)) is None


class Pupil:
    """Errs in one second."""

    def __init__(self, row):
        self._row = row

    def errs(self, wave, heard, row):
        assert len(wave) == g.RATE
        assert len(heard.scores) == 2
        return row == self._row


def test_what_the_pupil_hears_rightly_is_not_kept(pool):
    seconds = heard({COUGH: 0.4}, {COUGH: 0.9})
    assert not pool.offer(found(), seconds, Pupil(0))
    assert not pool.kept
    assert pool.offer(found(), seconds, Pupil(1))
    assert len(pool.kept[COUGH]) == 1


class Tower:
    """Hears one thing in noise, another in silence."""

    def __call__(self, mel):
        assert mel.shape == (1, 1, g.FRAMES, g.MELS)
        return torch.tensor([[1.0, 0.0]]) if mel.std() > 0.1 else torch.tensor([[0.0, 1.0]])


class Teacher:
    def sound(self, features):
        assert features.shape == (1, g.FEATURES)
        return torch.tensor([[1.0, 0.0]])


def test_a_pupil_errs_where_it_hears_another_thing_than_the_teacher():
    noise = np.random.default_rng(0).standard_normal(g.RATE).astype(np.float32) / 10
    wave = np.concatenate([noise, np.zeros(g.RATE, np.float32)])
    pupil = m.Pupil(Tower(), Teacher())
    seconds = heard(*[{COUGH: 0.9}] * 4)
    assert not pupil.errs(wave, seconds, 0)
    assert pupil.errs(wave, seconds, 3)


def test_parents_are_of_one_kind_and_not_changed_too_often(pool):
    rng = np.random.default_rng(0)
    for size in (1, 2):
        pool.offer(found(size=size), heard({COUGH: 0.9}))
        pool.offer(found(size=10 * size), heard({BELL: 0.9}))
    pairs = [pool.parents(rng) for _ in range(40)]
    assert all((first.wave[0] >= 10) == (other.wave[0] >= 10) for first, other in pairs)
    assert len({first.wave[0] for first, _ in pairs}) == 4
    pool.kept = {COUGH: [found(generation=m.GENERATIONS)]}
    assert pool.parents(rng) is None


def test_candidates_are_recordings_made_strange_sounds_of_nothing_and_changed_ones(pool):
    rng = np.random.default_rng(0)
    clips = [Clip("dog", "corpus", (rng.standard_normal(g.RATE) * 3_000).astype(np.int16))]
    drawer = Drawer(clips, rng)
    assert {m.candidate(pool, drawer, rng).generation for _ in range(10)} == {0}
    pool.kept = {COUGH: [found(generation=2)]}
    several = [m.candidate(pool, drawer, rng) for _ in range(30)]
    assert {one.generation for one in several} == {0, 3}
    for one in several:
        assert one.wave.dtype == np.int16
        assert 0 < len(one.wave) <= m.SECONDS[1] * g.RATE
        assert np.abs(one.samples).max() <= 1


class Listener:
    """Takes everything for a cough."""

    def __init__(self, path):
        pass

    def __call__(self, wave, *, leveled, hop):
        assert leveled
        assert len(wave) > 0
        assert hop > 0
        return heard({COUGH: 0.5}, {COUGH: 0.1, BELL: 0.2})


def test_what_was_found_can_be_drawn_from(tmp_path, monkeypatch):
    places = Places(tmp_path, tmp_path)
    places.mined.mkdir()
    rng = np.random.default_rng(0)
    clips = [Clip("dog", "corpus", (rng.standard_normal(g.RATE) * 3_000).astype(np.int16))]
    monkeypatch.setattr(m, "Yamnet", Listener)
    monkeypatch.setattr(m, "load_clips", lambda _folder: clips)
    monkeypatch.setattr(m, "wanted_kinds", lambda _places: np.array([COUGH, BELL]))
    monkeypatch.setattr(m, "MOST", 3)
    monkeypatch.setattr(m.os, "setsid", lambda: None)
    m.write_part(places, 0, minutes=0.02)
    mined = load_clips(places.mined)
    assert [(clip.label, clip.source, clip.heard) for clip in mined] == [("", "mined", COUGH)] * 3
    m.write_part(places, 12, minutes=0.02)
    assert len(load_clips(places.mined)) == 6
    clip, wave = Drawer(mined, rng).draw(g.RATE // 10)
    assert clip.heard == COUGH
    assert len(wave) == g.RATE // 10


def test_the_teacher_hears_a_sound_at_every_hop_and_its_end():
    sound = np.arange(3 * g.TEACHER_RATE, dtype=np.float32)
    for hop in (g.TEACHER_HOP, 2 * g.TEACHER_HOP):
        frames = list(yamnet._frames(sound, hop))
        assert [frame[0] for frame in frames] == list(range(0, hop * len(frames), hop))
        assert {len(frame) for frame in frames} == {g.TEACHER_WINDOW}
        end = hop * (len(frames) - 1) + g.TEACHER_WINDOW
        assert abs(end - len(sound)) <= hop / 2
