"""The scenes: no clip in both halves, SNRs as asked for, beds of any length without a period."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.scene_beds import SYNTHESISED, bed
from benchmarks.scene_mix import SNRS_DB, as_recorded, mix, plan
from benchmarks.scene_sources import COUNTED, DISTRACTING, RATE, Clip, load, split
from benchmarks.trial import LABELS
from monitor.config import load as load_config


def clips_of(folder: Path, label: str, count: int) -> list[Clip]:
    clips = []
    for index in range(count):
        path = folder / f"{label}{index}.wav"
        random = np.random.default_rng(index)
        tone = np.sin(np.arange(RATE) * random.uniform(0.05, 0.3)) * np.hanning(RATE)
        soundfile.write(path, 0.5 * tone + 0.02 * random.standard_normal(RATE), RATE, subtype="PCM_16")
        clips.append(Clip(path, label, f"a {label}", f"{label}{index // 2}", "a sound"))
    return clips


def test_no_recording_is_in_both_halves_and_none_is_lost(tmp_path):
    clips = [
        Clip(tmp_path, label, "", f"{label}{i // 2}", "") for label in ("rain", "cough") for i in range(8)
    ]
    tuning, test = (split(clips, half, seed=1) for half in ("tuning", "test"))
    for label in ("rain", "cough", "bed rain"):
        one, other = ({clip.recording for clip in half[label]} for half in (tuning, test))
        assert len(one) == len(other) == 2
        assert not one & other


def test_a_bed_and_a_clip_cut_from_one_file_are_in_one_half(tmp_path):
    clips = [Clip(tmp_path, "bed_wind", "", "Wind.ogg", ""), Clip(tmp_path, "wind", "", "Wind.ogg", "")]
    clips += [Clip(tmp_path, "wind", "", f"{i}.ogg", "") for i in range(3)]
    for half in ("tuning", "test"):
        chosen = split(clips, half, seed=1)
        assert ("bed_wind" in chosen) == any(clip.recording == "Wind.ogg" for clip in chosen.get("wind", []))


def test_ringtones_are_not_music(tmp_path):
    clips = [
        Clip(tmp_path, "music", "", "a", "a melodic ringtone"),
        Clip(tmp_path, "music", "", "b", "a song"),
    ]
    found = [
        c.caption for half in ("tuning", "test") for c in split(clips, half, seed=1).get("bed music", [])
    ]
    assert found == ["a song"]


def test_every_label_occurs_equally_often_at_every_snr():
    events = plan(2 * 5 * len(COUNTED) * len(SNRS_DB) // 4, np.random.default_rng(0))
    counted = [event for event in events if event[0] in COUNTED]
    assert {counted.count((label, snr)) for label in COUNTED for snr in SNRS_DB} <= {2, 3}
    assert sum(label in DISTRACTING for label, _ in events) == len(events) // 5


@pytest.mark.parametrize("snr", SNRS_DB)
def test_an_event_has_the_snr_asked_for_between_its_annotated_ends(tmp_path, snr):
    clips = {"siren": clips_of(tmp_path, "siren", 2)}
    background = bed("white", [], 40.0, np.random.default_rng(1))
    scene, placed = mix(
        background, [("siren", snr)], clips, [np.ones(1, np.float32)], np.random.default_rng(2)
    )
    (event,) = placed
    inside = slice(round(event.onset * RATE), round(event.offset * RATE))
    added = scene[inside] - background[inside]
    assert 10 * np.log10(np.mean(added**2) / np.mean(background[inside] ** 2)) == pytest.approx(snr, abs=0.1)
    assert not np.any(scene[: inside.start] - background[: inside.start])


def test_a_texture_of_a_short_clip_never_repeats(tmp_path):
    samples = bed("rain", clips_of(tmp_path, "rain", 1), 20.0, np.random.default_rng(0))
    assert len(samples) == 20 * RATE
    spectrum = np.fft.rfft(samples, 2 * len(samples))
    likeness = np.fft.irfft(np.abs(spectrum) ** 2)[: len(samples)]
    assert np.abs(likeness[RATE:]).max() < 0.5 * likeness[0]


@pytest.mark.parametrize("kind", sorted(SYNTHESISED))
def test_the_same_seed_gives_the_same_bed_and_another_gives_another(kind):
    one, same, other = (bed(kind, [], 2.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.sqrt(np.mean(one**2)) == pytest.approx(0.1, rel=0.01)


def test_a_recorded_scene_does_not_clip_and_its_gain_changes():
    scene = bed("white", [], 20.0, np.random.default_rng(0))
    recorded = as_recorded(scene, np.random.default_rng(3))
    assert np.abs(recorded).max() < 1.0
    gains = 20 * np.log10(
        np.abs(recorded).reshape(20, -1).mean(axis=1) / np.abs(scene).reshape(20, -1).mean(axis=1)
    )
    assert gains.max() - gains.min() > 1.0


def test_near_silence_at_the_ends_of_a_clip_is_cut(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.r_[np.zeros(RATE), 0.5 * np.ones(RATE // 2), np.zeros(RATE)], RATE)
    assert len(load(Clip(path, "door", "", "", ""))) == RATE // 2


def test_the_label_set_of_the_scenes_is_what_is_counted_in_them():
    assert tuple(label.id for label in load_config(LABELS).labels) == COUNTED
