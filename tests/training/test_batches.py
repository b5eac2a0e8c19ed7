import json

import numpy as np
import pytest

from training import geometry as g
from training.batches import NOISE_CLASSES, Batches, fill, together
from training.crops import Crop, Drawer, Judge, Truth, weights
from training.sounds import Sound
from training.store import Clip, load_clips, loud_frames

CLASSES = [Sound(name, (name,), (i,)) for i, name in enumerate([*NOISE_CLASSES, "Silence"])]
CLASSES += [Sound(f"class {i}", ("x",), (i,)) for i in range(len(CLASSES), g.CLASSES)]
LABELS = [
    Sound("dog", ("a dog",), (10, 11)),
    Sound("wolf", ("a wolf",), (11,)),
    Sound("bell", ("a bell",), (20,)),
    Sound("noise", ("noise",), (0,)),
    Sound("silence", ("silence",), (4,)),
]


def clip(frames=400, label="dog", source="corpus", loud_at=None):
    mel = np.full((frames, g.MELS), -60, np.float16)
    mel[slice(None) if loud_at is None else loud_at] = -10
    rows = max(1, frames // 29 - 3)
    scores = np.zeros((rows, g.CLASSES), np.float16)
    return Clip(
        label, source, "train", mel, scores, np.ones((rows, g.FEATURES), np.float16), loud_frames(mel)
    )


def scores(**high):
    table = np.zeros((2, g.CLASSES), np.float16)
    for index, value in high.items():
        table[1, int(index[1:])] = value
    return table


def test_teacher_rows_lie_inside_their_frames():
    assert clip(1200).rows(240, 481) == slice(8, 14)


@pytest.mark.parametrize(("start", "stop"), [(0, 10), (30, 40), (55, 60)])
def test_a_stretch_shorter_than_the_teachers_window_gets_the_nearest_row(start, stop):
    rows = clip(60).rows(start, stop)
    assert rows == slice(0, 1)


def test_crops_hold_something_loud():
    quiet_but_once = clip(2000, loud_at=slice(1200, 1210))
    drawer = Drawer([quiet_but_once], np.random.default_rng(0))
    for _ in range(50):
        crop = drawer.draw()
        assert crop.stop - crop.start == g.FRAMES
        assert crop.start < 1210
        assert crop.stop > 1200


def test_shares_do_not_depend_on_how_many_clips_there_are():
    clips = [clip(source="esc10")] * 3 + [clip(label="speech")] * 50 + [clip(label="bell")]
    shares = weights(clips)
    assert shares.sum() == pytest.approx(1)
    assert shares[:3].sum() / shares[3:53].sum() == pytest.approx(0.22 / 0.08)


def test_a_label_is_certain_and_its_relatives_are_left_open():
    truth = Judge(LABELS)("dog", scores(c11=0.6, c20=0.8))
    dog, wolf, bell = g.CLASSES, g.CLASSES + 1, g.CLASSES + 2
    assert truth.label == dog
    assert (truth.present[dog], truth.weight[dog]) == (1, 1)
    assert truth.weight[wolf] == 0
    assert truth.present[bell] == pytest.approx(0.4, abs=0.01)
    assert truth.present[20] == pytest.approx(0.8, abs=0.01)


def test_without_a_label_the_teacher_is_believed():
    truth = Judge(LABELS)("", scores(c11=0.6))
    assert truth.label == -1
    assert truth.present[g.CLASSES : g.CLASSES + 2] == pytest.approx([0.6, 0.6], abs=0.01)


def facts(present, label):
    return Truth(np.array(present, np.float32), np.ones(2, np.float32), np.array(label))


def test_a_buried_sound_counts_less():
    truth = together(facts([1, 0], 0), facts([0, 1], 1), snr_db=20)
    assert truth.present == pytest.approx([1, 0.2])
    assert truth.label == 0


def test_equals_have_no_name():
    assert together(facts([1, 0], 0), facts([0, 1], 1), snr_db=0).label == -1


@pytest.mark.parametrize("seed", range(8))
def test_a_short_sound_is_placed_in_a_silent_window(seed):
    window = np.full((g.FRAMES, g.MELS), g.FLOOR_DB, np.float16)
    short = clip(30)
    fill(window, Crop(short, 0, 30), np.random.default_rng(seed))
    assert set(np.unique(window)) <= {g.FLOOR_DB, -10.0}
    assert (window == -10).any()


def test_a_batch():
    clips = [clip(), clip(40, label="bell"), clip(600, label="", source="corpus")]
    batch = Batches(clips, CLASSES, LABELS, np.random.default_rng(0)).draw(64)
    assert batch.mel.shape == (64, 1, g.FRAMES, g.MELS)
    assert batch.present.shape == batch.weight.shape == (64, g.CLASSES + len(LABELS))
    bare = batch.taught == 0
    assert 0 < bare.sum() < 20
    assert (batch.named[bare] == -1).all()


def test_clips_come_back_as_they_were_prepared(tmp_path):
    mel = np.arange(5 * g.MELS, dtype=np.float16).reshape(5, g.MELS)
    np.save(tmp_path / "mel0.npy", mel)
    np.save(tmp_path / "scores0.npy", np.zeros((2, g.CLASSES), np.float16))
    np.save(tmp_path / "features0.npy", np.zeros((2, g.FEATURES), np.float16))
    entries = [
        {"label": "dog", "source": "corpus", "split": split, "frames": frames, "rows": 1}
        for split, frames in (("train", 2), ("tune", 3))
    ]
    (tmp_path / "0.json").write_text(json.dumps(entries))
    (found,) = load_clips(tmp_path, "tune")
    assert found.label == "dog"
    np.testing.assert_array_equal(found.mel, mel[2:])
