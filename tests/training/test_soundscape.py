import numpy as np
import pytest

from training import geometry as g
from training import soundscape as s
from training.crops import Drawer
from training.store import Clip


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def placed(start_s, seconds, size):
    wave = np.zeros(s.LENGTH, np.float32)
    start = int(start_s * g.RATE)
    wave[start : start + int(seconds * g.RATE)] = size
    return wave


def test_a_second_is_named_by_what_leads_in_it():
    dog, bell = placed(2, 3, 0.1), placed(6, 1, 0.1)
    total = dog + bell + np.full(s.LENGTH, 0.01, np.float32)
    labels = s.name_rows(["dog", "bell"], s.lead(total, [dog, bell]))
    at = [row * s.ROW / g.RATE for row in range(s.ROWS)]
    assert {label for second, label in zip(at, labels, strict=True) if 2 <= second <= 4} == {"dog"}
    assert {label for second, label in zip(at, labels, strict=True) if 5.3 <= second <= 6.7} == {"bell"}
    assert {label for second, label in zip(at, labels, strict=True) if second > 7.1} == {""}


def test_equals_have_no_name():
    rng = np.random.default_rng(0)
    both = [rng.standard_normal(s.LENGTH).astype(np.float32) for _ in range(2)]
    assert set(s.name_rows(["dog", "bell"], s.lead(sum(both), both))) == {""}


def test_the_faded_end_of_an_event_has_no_name():
    event = placed(1, 1, 0.5) + placed(4, 1, 0.01)
    labels = s.name_rows(["dog"], s.lead(event, [event]))
    assert labels[round(1.0 * g.RATE / s.ROW)] == "dog"
    assert labels[round(4.0 * g.RATE / s.ROW)] == ""


def test_the_loudest_event_of_a_second_leads_by_its_power_over_the_rest():
    dog, bell = placed(2, 2, 0.1), placed(3, 3, 0.2)
    leads = s.lead(dog + bell + np.full(s.LENGTH, 0.01, np.float32), [dog, bell])
    at = np.arange(s.ROWS) * s.ROW / g.RATE
    assert set(leads.events[at < 1]) == {-1}
    assert set(leads.events[(at >= 1.2) & (at < 2)]) == {0}
    assert set(leads.events[(at >= 3) & (at < 5)]) == {1}
    np.testing.assert_array_equal(leads.decibels == s.NO_LEAD, leads.events < 0)
    only_dog = round(2 * g.RATE / s.ROW)
    assert leads.decibels[only_dog] == pytest.approx(20 * np.log10(0.1 / 0.0458), abs=1)


def test_the_faded_end_of_an_event_does_not_lead():
    event = placed(1, 1, 0.5) + placed(4, 1, 0.01)
    leads = s.lead(event, [event])
    assert leads.events[round(1.0 * g.RATE / s.ROW)] == 0
    assert leads.events[round(4.0 * g.RATE / s.ROW)] == -1


def test_rows_are_powers_of_their_second(rng):
    wave = rng.standard_normal(s.LENGTH).astype(np.float32)
    powers = s.row_powers(wave)
    assert len(powers) == s.ROWS
    row = s.ROWS - 1
    part = wave[row * s.ROW : row * s.ROW + g.WINDOW]
    assert powers[row] == pytest.approx(np.mean(part.astype(float) ** 2))


def test_a_room_adds_a_tail_that_dies_away(rng):
    click = np.zeros(g.RATE // 10, np.float32)
    click[0] = 1
    wet = s.reverberate(click, rng)
    assert wet[0] == pytest.approx(1, abs=0.3)
    third = len(wet) // 3
    assert s.rms(wet[1:third]) > 5 * s.rms(wet[-third:]) > 0


@pytest.mark.parametrize("kind", [s.noise(48_000, np.random.default_rng(1))])
def test_noise_and_hum_have_power_one(kind, rng):
    assert s.rms(kind) == pytest.approx(1, rel=1e-3)
    assert s.rms(s.hum(kind, rng)) == pytest.approx(1, rel=1e-3)


def test_soundscapes_are_whole_named_and_repeatable():
    rng = np.random.default_rng(5)
    bark = (rng.standard_normal(g.RATE) * 3_000).astype(np.int16)
    clips = [Clip("dog", "corpus", bark), Clip("", "corpus", np.tile(bark // 4, 12))]
    mined = [Clip("", "mined", bark[::-1], heard=7)]

    def composed():
        rng = np.random.default_rng(3)
        composer = s.Composer(Drawer(clips, rng), Drawer(mined, rng), rng)
        return [composer.compose() for _ in range(6)]

    several = composed()
    for one in several:
        assert one.wave.shape == (s.LENGTH,)
        assert one.wave.dtype == np.float32
        assert len(one.labels) == s.ROWS
        assert all(wave.shape == (s.LENGTH,) for wave in one.events)
        assert one.leads.events.max() < len(one.events)
        assert np.abs(one.wave).max() <= 1
    assert {label for one in several for label in one.labels} == {"", "dog"}
    for one, again in zip(several, composed(), strict=True):
        np.testing.assert_array_equal(one.wave, again.wave)


class Always:
    """Draws the same clip, with samples of one size."""

    def __init__(self, label, size):
        self._label, self._size = label, size

    def draw(self, length):
        wave = np.full(length, self._size, np.float32)
        return Clip(self._label, "corpus", wave.astype(np.int16)), wave


def test_events_are_made_mined_or_recordings_strange_or_with_their_name(monkeypatch, rng):
    composer = s.Composer(Always("dog", 0.1), Always("", 0.2), rng)
    monkeypatch.setattr(s, "synthesise", lambda _rng, _seconds: np.full(9, 0.3, np.float32))
    monkeypatch.setattr(s, "strange", lambda _wave, _other, _rng: np.full(9, 0.4, np.float32))
    drawn = [composer._draw(0.01) for _ in range(1_000)]
    kinds = [(label, round(float(wave[0]), 1)) for label, wave in drawn]
    expected = {
        ("", 0.3): s.MADE,
        ("", 0.2): s.MINED,
        ("", 0.4): s.STRANGE,
        ("dog", 0.1): 1 - s.MADE - s.MINED - s.STRANGE,
    }
    assert set(kinds) == set(expected)
    for kind, share in expected.items():
        assert kinds.count(kind) / len(kinds) == pytest.approx(share, abs=0.05)
