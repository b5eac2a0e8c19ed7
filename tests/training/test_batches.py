import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from training import geometry as g
from training.augment import leveled
from training.batches import AUDIBLE_DB, JITTER, NAMED, SURE, Batches, Choice, audible, likened
from training.batches import weights as drawing
from training.crops import STEP, Drawer, loud_steps, weights
from training.judge import Judge
from training.sounds import Sound
from training.soundscape import NO_LEAD
from training.store import Clip, Soundscapes, load_clips, load_soundscapes, to_bytes, to_decibels

LABELS = [
    Sound("dog", ("a dog",), (10, 11)),
    Sound("wolf", ("a wolf",), (11,)),
    Sound("bell", ("a bell",), (20,)),
    Sound("kazoo", ("a kazoo",), ()),
]
DOG, WOLF, BELL, KAZOO = (g.CLASSES + i for i in range(4))


def clip(seconds=2.0, label="dog", source="corpus", loud_at=None):
    wave = np.full(int(seconds * g.RATE), 30, np.int16)
    wave[slice(None) if loud_at is None else loud_at] = 10_000
    return Clip(label, source, wave)


def scores(**high):
    row = np.zeros((1, g.CLASSES), np.float16)
    for name, value in high.items():
        row[0, int(name[1:])] = value
    return row


def judge(label, row):
    return Judge(LABELS)(np.array([label], np.int16), row)


def test_crops_hold_something_loud():
    loud = slice(5 * g.RATE, 5 * g.RATE + 2_000)
    drawer = Drawer([clip(10, loud_at=loud)], np.random.default_rng(0))
    for _ in range(50):
        found, wave = drawer.draw(g.WINDOW)
        assert found.label == "dog"
        assert len(wave) == g.WINDOW
        assert wave.max() > 0.3


def test_a_short_clip_is_drawn_whole():
    _, wave = Drawer([clip(0.12)], np.random.default_rng(0)).draw(g.WINDOW)
    assert len(wave) == int(0.12 * g.RATE)


def test_loud_steps_are_where_the_sound_is():
    wave = clip(4, loud_at=slice(g.RATE, g.RATE + 4 * STEP)).wave
    assert loud_steps(wave) == pytest.approx([20, 21, 22, 23], abs=1)


def test_shares_do_not_depend_on_how_many_clips_there_are():
    clips = [clip(source="esc10")] * 3 + [clip(label="speech")] * 50 + [clip(label="bell")]
    shares = weights(clips)
    assert shares.sum() == pytest.approx(1)
    assert shares[:3].sum() / shares[3:53].sum() == pytest.approx(0.14 / 0.07)


def test_a_label_is_certain_and_its_relatives_are_left_open():
    truth = judge(0, scores(c11=0.6, c20=0.8))
    assert truth.named == [DOG]
    assert (truth.present[0, DOG], truth.weight[0, DOG]) == (1, 1)
    assert truth.weight[0, WOLF] == 0
    assert truth.present[0, BELL] == pytest.approx(0.4, abs=0.01)
    assert truth.present[0, 20] == pytest.approx(0.8, abs=0.01)


def test_without_a_label_the_teacher_is_believed():
    truth = judge(-1, scores(c11=0.6))
    assert truth.named == [-1]
    assert truth.present[0, [DOG, WOLF]] == pytest.approx([0.6, 0.6], abs=0.01)


def test_a_label_that_the_teacher_has_no_class_for_is_absent_unless_named():
    assert judge(-1, scores(c520=0.9)).present[0, KAZOO] == 0
    assert judge(3, scores(c520=0.9)).present[0, KAZOO] == 1


def test_windows_are_judged_one_by_one():
    several = Judge(LABELS)(np.array([-1, 2], np.int16), np.concatenate([scores(c11=0.6), scores()]))
    assert several.named.tolist() == [-1, BELL]
    np.testing.assert_array_equal(several.present[0], judge(-1, scores(c11=0.6)).present[0])
    np.testing.assert_array_equal(several.weight[1], judge(2, scores()).weight[0])


def test_log_mel_as_bytes_and_back():
    values = np.array([g.FLOOR_DB, -33.3, 0, 27], np.float32)
    np.testing.assert_allclose(to_decibels(to_bytes(values)), values, atol=0.25)


def soundscapes(labels):
    """Seconds one after the other; scores and features of each tell its number."""
    rows = len(labels)
    starts = np.arange(rows) * (g.FRAMES + JITTER)
    frame = np.repeat(np.arange(rows) % 50 * 2 + 140, g.FRAMES + JITTER)
    grain = np.tile(np.arange(g.MELS, dtype=np.uint8) % 7, (len(frame), 1))
    table = np.arange(rows, dtype=np.float16)
    return Soundscapes(
        (frame[:, None] + grain).astype(np.uint8), starts,
        np.tile((table / 100)[:, None], (1, g.CLASSES)), np.tile(table[:, None], (1, g.FEATURES)),
        labels, np.full(rows, NO_LEAD, np.float32),
        np.full((rows, g.CLASSES), 0.5, np.float16), np.ones((rows, g.FEATURES), np.float16),
    )  # fmt: skip


def test_a_batch_holds_what_was_heard_at_that_place():
    part = soundscapes(np.full(30, -1, np.int16))
    batch = Batches([part], Judge(LABELS), np.random.default_rng(0)).draw(16)
    assert batch.mel.shape == (16, 1, g.FRAMES, g.MELS)
    assert batch.present.shape == batch.weight.shape == (16, g.CLASSES + len(LABELS))
    np.testing.assert_allclose(batch.present[:, 0], batch.features[:, 0] / 100, atol=1e-3)


def test_an_event_is_asked_for_as_far_as_it_can_be_heard():
    faint, clear = AUDIBLE_DB
    levels = np.array([NO_LEAD, faint, (faint + clear) / 2, clear, 20.0], np.float32)
    assert audible(levels).tolist() == [0, 0, 0.5, 1, 1]


def test_what_was_heard_of_an_event_alone_is_asked_for_beside_the_mixture():
    part = replace(soundscapes(np.full(30, -1, np.int16)), leads=np.zeros(30, np.float32))
    batch = Batches([part], Judge(LABELS), np.random.default_rng(0)).draw(16)
    assert batch.audible.tolist() == [1] * 16
    assert (batch.alone == 1).all()
    np.testing.assert_allclose(batch.present[:, 0], (batch.features[:, 0] / 100).clamp_min(0.5), atol=1e-3)


def test_named_windows_are_drawn_more_often_and_rare_labels_more_evenly():
    labels = np.array([-1] * 60 + [0] * 36 + [1] * 4, np.int16)
    share = drawing(labels[labels >= 0])
    assert share.sum() == pytest.approx(1)
    assert share[-4:].sum() / share[:36].sum() == pytest.approx(np.sqrt(4 / 36))
    many = Batches([soundscapes(labels)], Judge(LABELS), np.random.default_rng(0)).draw(2000)
    assert float((many.named >= 0).float().mean()) == pytest.approx(NAMED + (1 - NAMED) * 0.4, abs=0.08)


def test_windows_are_drawn_by_what_the_teacher_takes_them_for():
    sure = np.concatenate([scores(c3=0.9)] * 90 + [scores(c7=0.4)] * 10 + [scores(c7=SURE / 2)])
    groups = likened(sure)
    assert groups.tolist() == [3] * 90 + [7] * 10 + [-1]
    rows = Choice(groups).draw(4000, np.random.default_rng(0))
    assert rows.max() < 100
    assert np.mean(rows >= 90) == pytest.approx(1 / (1 + 3), abs=0.03)


def test_nothing_is_drawn_where_there_is_nothing():
    assert Choice(np.full(5, -1, np.int16)).draw(3, np.random.default_rng(0)).tolist() == [-1] * 3


def test_windows_that_are_not_hardened_are_at_one_level():
    part = soundscapes(np.full(30, -1, np.int16))
    mel = Batches([part], Judge(LABELS), np.random.default_rng(0)).draw(8, hardened=False).mel[:, 0]
    torch.testing.assert_close(mel, leveled(mel), atol=1e-3, rtol=0)


def test_clips_come_back_as_they_were_prepared(tmp_path):
    np.save(tmp_path / "wave0.npy", np.arange(5, dtype=np.int16))
    entries = [{"label": name, "source": "corpus", "samples": n} for name, n in (("dog", 2), ("", 3))]
    entries[1]["heard"] = 7
    (tmp_path / "0.json").write_text(json.dumps(entries))
    dog, other = load_clips(tmp_path)
    assert (dog.label, dog.wave.tolist()) == ("dog", [0, 1])
    assert (other.label, other.wave.tolist()) == ("", [2, 3, 4])
    assert (dog.heard, other.heard) == (-1, 7)


def test_parts_of_soundscapes_are_found_in_order(tmp_path):
    for part in (0, 10, 3):
        for field in fields(Soundscapes):
            np.save(tmp_path / f"{field.name}{part}.npy", np.full(3, part))
    np.save(tmp_path / "mel2.npy", np.zeros(3))  # not finished: its labels are written last
    assert [part.labels[0] for part in load_soundscapes(tmp_path)] == [0, 3, 10]
