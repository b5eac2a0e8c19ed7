import tomllib
from pathlib import PurePosixPath

import numpy as np
import pytest

from monitor.evaluation.calibration_kit import decode_clips, read_kit
from training import geometry as g
from training.kit import TABLE, Label, find, lengthened, looped, write
from training.kit_choose import PER_GROUP, candidates, choose
from training.kit_licences import Terms, terms_of
from training.kit_listen import Heard, correlation
from training.kit_sounds import BEDS, EVENTS
from training.kit_sources import Source
from training.kit_write import Clip
from training.soundfont import read_soundfont

COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2001 A. Author
License: GPL-2+

Files: media/sounds/* media/extra.ogg
Copyright: 2002 B. Author
 2003 C. Author
License: CC-BY-3.0

Files: media/sounds/bark.ogg
Copyright: none
License: CC0-1.0
"""


@pytest.fixture
def package(tmp_path):
    file = tmp_path / "usr" / "share" / "doc" / "game" / "copyright"
    file.parent.mkdir(parents=True)
    file.write_text(COPYRIGHT)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "licence", "attribution"),
    [
        ("usr/share/games/game/media/sounds/bark.ogg", "CC0-1.0", "none"),
        ("usr/share/games/game/media/sounds/meow.ogg", "CC-BY-3.0", "2002 B. Author 2003 C. Author"),
        ("usr/share/games/game/extra.ogg", "CC-BY-3.0", "2002 B. Author 2003 C. Author"),
        ("usr/share/games/game/music/song.ogg", "GPL-2+", "2001 A. Author"),
    ],
)
def test_the_most_exact_pattern_of_a_copyright_file_decides(package, path, licence, attribution):
    assert terms_of(package, "game", PurePosixPath(path)) == Terms(licence, attribution)


def test_a_package_without_a_copyright_file_has_no_terms(tmp_path):
    assert terms_of(tmp_path, "game", PurePosixPath("a.ogg")) is None


@pytest.mark.parametrize(
    ("licence", "rank"),
    [
        ("CC0-1.0", 0),
        ("CC-BY-4.0", 0),
        ("Expat", 0),
        ("public-domain", 0),
        ("GPL-2+ or CC-BY-3.0", 0),
        ("CC-BY-SA-3.0", 1),
        ("GPL-3+", 1),
        ("CC0-1.0 and GPL-3+", 1),
        ("CC-BY-NC-3.0", 2),
        ("CC-sampling-plus-1.0", 2),
        ("see copyright", 2),
        ("something-else", 2),
    ],
)
def test_licences_are_ranked_by_what_they_ask_for(licence, rank):
    assert Terms(licence, "").rank == rank


def source(path, licence="CC0-1.0", label=""):
    return Source(PurePosixPath(path), "game", "1", path, Terms(licence, "someone"), label, "")


def heard(path, features, licence="CC0-1.0", kind=0):
    vector = np.array(features, dtype=np.float32)
    scores = np.zeros(521, dtype=np.float32)
    scores[kind] = 1
    return Heard(source(path, licence), np.zeros(4), vector / np.linalg.norm(vector), scores)


def test_the_sound_least_like_those_chosen_comes_next():
    sounds = [heard("a/x.ogg", [1, 0, 0]), heard("b/y.ogg", [5, 1, 0]), heard("c/z.ogg", [0, 0, 1])]
    assert [one.source.path for one in choose(sounds, 2)] == ["a/x.ogg", "c/z.ogg"]


def test_few_variants_of_one_original_are_chosen():
    sounds = [heard(f"a/bark{n}.ogg", np.eye(8)[n]) for n in range(8)]
    assert len(choose(sounds, 8)) == PER_GROUP


def test_a_share_alike_licence_is_taken_only_for_a_rare_kind():
    free = [heard(f"{name}/a.ogg", np.eye(8)[n]) for n, name in enumerate("xyz")]
    common = heard("d/b.ogg", np.eye(8)[4], "GPL-2+", kind=0)
    rare = heard("e/c.ogg", np.eye(8)[5], "GPL-2+", kind=7)
    assert choose([*free, common, rare], 8) == [*free, rare]


def test_candidates_keep_few_of_a_group_and_no_speech_under_share_alike():
    barks = [source(f"a/bark{n}.ogg") for n in range(9)]
    talk = source("b/talk.ogg", "GPL-2+", "speech")
    assert candidates([*barks, talk]) == barks[:3]


def test_a_recording_is_named_by_the_end_of_its_path():
    sources = [source("sounds/a/bark.ogg"), source("sounds/b/bark.ogg")]
    assert find("game: a/bark.ogg", sources) is sources[0]
    with pytest.raises(ValueError, match=r"game: bark\.ogg: 2 recordings have this name"):
        find("game: bark.ogg", sources)


def test_a_part_of_a_recording_is_recognised_at_another_level():
    random = np.random.default_rng(1)
    whole = random.standard_normal(40_000).astype(np.float32)
    other = random.standard_normal(9_000).astype(np.float32)
    assert correlation(whole, 0.1 * whole[12_345:21_345]) > 0.99
    assert correlation(whole, other) < 0.1


def test_a_texture_is_lengthened_and_ends_where_it_begins():
    random = np.random.default_rng(1)
    noise = 0.1 * random.standard_normal(3 * g.RATE).astype(np.float32)
    bed = looped(lengthened(noise, random, seconds=8.0))
    assert len(bed) == 8 * g.RATE
    levels = [float(np.std(bed[i : i + g.RATE // 4])) for i in range(0, len(bed) - g.RATE // 4, g.RATE // 4)]
    assert min(levels) > 0.07
    assert max(levels) < 0.13


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_a_synthesised_event_is_finite_heard_and_drawn_from_its_seed(name):
    first, again, other = (EVENTS[name](np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.isfinite(first).all()
    assert np.abs(first).max() > 0
    assert g.RATE // 2 < len(first) < 6 * g.RATE
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_table_has_a_sentence_for_every_label_and_a_maker_for_what_is_synthesised():
    table = tomllib.loads(TABLE.read_text())
    for entry in table["label"]:
        label = Label(**entry)
        assert label.sentence
        assert label.recordings or label.synthesised
        assert label.name in EVENTS or not label.synthesised
    assert all("recording" in bed or bed["name"] in BEDS for bed in table["bed"])


def test_a_written_kit_is_read_back_and_the_same_sounds_give_the_same_bytes(tmp_path):
    t = np.arange(g.RATE) / g.RATE
    terms = Terms("CC0-1.0", "someone")
    tones = [(0.5 * np.sin(2 * np.pi * hertz * t)).astype(np.float32) for hertz in (300, 700, 1500)]
    clips = [Clip("beep", tone, "game", "1", f"{n}.ogg", terms) for n, tone in enumerate(tones)]
    event = Clip("beep", tones[0], "game", "1", "event.ogg", terms, 0.1, 0.9)
    labels = [Label("beep", "a beep")]
    for folder in (tmp_path / "one", tmp_path / "two"):
        write(folder, labels, clips[:2], clips[2:], [event])
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["bed-beep.opus", "cohort-00.opus", "event-beep-00.opus", "manifest.json"]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    kit = read_kit(tmp_path / "one")
    assert [(e.label, e.onset, e.offset) for e in kit.events] == [("beep", 0.1, 0.9)]
    assert kit.cohort[0].origin.licence == "CC0-1.0"
    for clip, tone in zip(decode_clips([*kit.cohort, *kit.beds], g.RATE), tones, strict=True):
        assert correlation(clip[1], tone) > 0.99


def test_something_else_is_no_soundfont():
    with pytest.raises(ValueError, match="no SoundFont"):
        list(read_soundfont(b"RIFF and nothing else"))
