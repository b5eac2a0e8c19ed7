import json
from collections import Counter

import numpy as np
import pytest

from monitor.evaluation.calibration_kit import KIT, SYNTHESISED, decode_clips, read_kit
from monitor.types import SourceError


@pytest.fixture(scope="module")
def kit():
    return read_kit()


@pytest.fixture
def damaged(tmp_path):
    """A copy of the manifest that a test may spoil, and how it is written."""

    def write(change):
        manifest = json.loads((KIT / "manifest.json").read_text())
        change(manifest)
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        return tmp_path

    return write


def clips_of(kit):
    return [*kit.cohort, *kit.beds, *(event.clip for event in kit.events)]


def test_every_clip_names_its_origin_licence_and_authors(kit):
    for clip in clips_of(kit):
        assert all([clip.origin.package, clip.origin.version, clip.origin.licence, clip.path])
        assert clip.origin.attribution


def test_every_file_of_the_folder_is_in_the_manifest(kit):
    assert {clip.file for clip in clips_of(kit)} == set(KIT.glob("*.opus"))


def test_the_kit_is_at_most_eight_megabytes():
    assert sum(file.stat().st_size for file in KIT.iterdir()) < 8_000_000


def test_every_clip_decodes_to_its_length_and_is_heard(kit):
    for clip, samples in decode_clips(clips_of(kit), 16_000):
        assert len(samples) == round(clip.seconds * 16_000)
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() > 0.01, clip


def test_clips_of_a_file_do_not_overlap(kit):
    ends = {}
    for clip in clips_of(kit):
        assert clip.start >= ends.get(clip.file, 0.0)
        ends[clip.file] = clip.start + clip.seconds


def test_the_kit_is_large_enough_to_calibrate_with(kit):
    assert len(kit.cohort) >= 1_000
    assert len(kit.beds) >= 8
    assert sum(clip.seconds for clip in kit.beds) >= 8 * 15.0


def test_few_sounds_of_the_cohort_are_of_one_package_or_one_kind(kit):
    recorded = [clip for clip in kit.cohort if clip.origin.package != SYNTHESISED]
    packages = Counter(clip.origin.package for clip in recorded)
    kinds = Counter(clip.name for clip in recorded if clip.name)
    assert max(packages.values()) <= len(kit.cohort) // 10
    assert max(kinds.values()) <= len(kit.cohort) // 10
    assert len(kinds) >= 100


def test_no_original_is_in_the_kit_twice(kit):
    originals = Counter((clip.origin.package, clip.path) for clip in clips_of(kit))
    assert set(originals.values()) == {1}


def test_every_label_has_a_sentence_and_events_within_their_clips(kit):
    names = [label.name for label in kit.labels]
    assert len(set(names)) == len(names)
    assert all(label.sentence for label in kit.labels)
    counts = Counter(event.label for event in kit.events)
    assert set(counts) == set(names)
    assert len(names) >= 40
    assert min(counts.values()) >= 2
    for event in kit.events:
        assert 0.0 <= event.onset < event.offset <= event.clip.seconds + 0.001


def test_a_bed_repeats_without_a_click(kit):
    for _, samples in decode_clips(kit.beds, 48_000):
        steps = np.abs(np.diff(samples))
        seam = abs(float(samples[0] - samples[-1]))
        assert seam <= 1.5 * steps.max()
        for side in (samples[: 48_000 // 20], samples[-48_000 // 20 :]):
            assert 0.05 < np.std(side) / np.std(samples) < 5.0


def test_decoding_one_clip_gives_the_same_samples_as_decoding_all(kit):
    clips = kit.cohort[:5]
    together = [samples for _, samples in decode_clips(clips, 48_000)]
    for clip, samples in zip(clips, together, strict=True):
        [(_, alone)] = decode_clips([clip], 48_000)
        assert np.array_equal(alone, samples)


def test_a_missing_kit_is_named(tmp_path):
    with pytest.raises(
        SourceError, match=r"manifest\.json: No such file or directory; install clap-monitor again"
    ):
        read_kit(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.pop("beds"),
        lambda manifest: manifest["cohort"][0].update(origin=100_000),
        lambda manifest: manifest["cohort"][0].update(start=None),
        lambda manifest: manifest.update(version="new"),
    ],
    ids=["a section is missing", "an unknown origin", "no number", "a version that is none"],
)
def test_a_damaged_manifest_is_named(damaged, change):
    with pytest.raises(SourceError, match=r"manifest\.json: is damaged .*; install clap-monitor again"):
        read_kit(damaged(change))


def test_a_manifest_that_is_no_list_of_clips_is_named(tmp_path):
    (tmp_path / "manifest.json").write_text("[1, 2")
    with pytest.raises(SourceError, match=r"manifest\.json: is damaged"):
        read_kit(tmp_path)


def test_a_missing_file_of_sound_is_named(damaged):
    clip = read_kit(damaged(dict.copy)).cohort[0]
    with pytest.raises(SourceError, match=r"cohort-00\.opus: No such file"):
        list(decode_clips([clip], 48_000))


def test_a_file_that_is_shorter_than_the_manifest_says_is_named(kit):
    clip = kit.cohort[0]
    longer = type(clip)(clip.file, 1e4, clip.seconds, clip.name, clip.origin, clip.path)
    with pytest.raises(SourceError, match="shorter than its manifest says"):
        list(decode_clips([longer], 48_000))
