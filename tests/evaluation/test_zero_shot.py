from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.audio.sources.ffmpeg import decode
from monitor.evaluation.file_embedding import window_starts
from monitor.evaluation.zero_shot import classify, embed_each, embed_prompts, save
from monitor.model.checkpoint import read
from monitor.model.clap import Clap
from monitor.model.hub import STARTER
from monitor.model.self_test import sounds
from monitor.types import ConfigError, ModelError, NotAudioError, OutputError

GEOMETRY = read(STARTER).mel_config
RATE, WINDOW = GEOMETRY.rate, GEOMETRY.length
TONE, NOISE, CLICKS = sounds(WINDOW, RATE)


def embed_files(files, **options):
    return np.stack([row for _, row in embed_each(files, **options)])


@pytest.fixture(scope="module")
def clap():
    return Clap.load("starter")


def given(*recordings):
    """Files by number, as a decoder that opens nothing."""
    return [Path(str(i)) for i in range(len(recordings))], lambda path, _rate: recordings[int(path.name)]


def embedded(*recordings):
    files, read = given(*recordings)
    return embed_files(files, read=read)


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1, [0]), (8, [0]), (9, [0, 1]), (16, [0, 8]), (17, [0, 4, 9]), (24, [0, 8, 16]), (20, [0, 6, 12])],
)
def test_windows_are_the_fewest_that_cover_a_recording_evenly_spaced(length, expected):
    assert window_starts(length, 8) == expected


def test_a_recording_of_one_window_is_that_window(clap):
    assert np.abs(embedded(TONE) - clap.embed_audio(TONE[None])).max() < 1e-6


def test_a_short_recording_is_repeated_as_the_extractor_does(clap):
    assert np.abs(embedded(NOISE[:RATE]) - clap.embed_audio(NOISE[None, :RATE])).max() < 1e-6


def test_a_long_recording_is_the_mean_of_its_windows_and_always_the_same(clap):
    windows = np.stack([TONE, NOISE, CLICKS, NOISE[::-1], TONE[::-1]])
    mean = clap.embed_audio(windows).mean(axis=0)
    expected = mean / np.linalg.norm(mean)
    first, second = (embedded(windows.ravel()) for _ in range(2))
    assert np.abs(first[0] - expected).max() < 1e-5
    assert np.array_equal(first, second)


def test_files_are_decoded_at_the_rate_of_the_model(tmp_path, clap):
    soundfile.write(tmp_path / "a.wav", TONE, RATE, subtype="FLOAT")
    expected = clap.embed_audio(decode(tmp_path / "a.wav", RATE)[None, :WINDOW])
    assert float((embed_files([tmp_path / "a.wav"]) @ expected.T)[0, 0]) > 0.9999
    soundfile.write(tmp_path / "low.wav", np.stack([TONE[::3], TONE[::3]], axis=1), RATE // 3)
    assert float((embed_files([tmp_path / "low.wav"]) @ expected.T)[0, 0]) > 0.9


def test_scores_are_the_softmax_of_the_scaled_cosines_best_first(clap):
    files, read = given(TONE, NOISE)
    labels = ["rain", "a dog", "a crying baby"]
    results = list(classify(files, labels, template="I hear {} now", read=read))
    assert [result.file for result in results] == files
    for window, result in zip((TONE, NOISE), results, strict=True):
        texts = clap.embed_text([f"I hear {label} now" for label in labels])
        logits = clap.logit_scale * (clap.embed_audio(window[None]) @ texts.T)[0].astype(np.float64)
        expected = dict(zip(labels, np.exp(logits) / np.exp(logits).sum(), strict=True))
        assert dict(result.scores) == pytest.approx(expected, abs=1e-6)
        assert sum(score for _, score in result.scores) == pytest.approx(1)


def test_a_single_label_always_fits():
    files, read = given(NOISE)
    ((_, scores),) = classify(files, ["a dog"], read=read)
    assert scores == (("a dog", 1.0),)


def test_labels_may_hold_braces():
    files, read = given(NOISE)
    ((_, scores),) = classify(files, ["a {dog}", "{}"], read=read)
    assert {label for label, _ in scores} == {"a {dog}", "{}"}


@pytest.mark.parametrize("template", ["a sound", "{0} {1}", "{name}", "{", "{{}}", ""])
def test_a_template_without_a_place_for_the_label_is_refused(template):
    with pytest.raises(ConfigError, match=r"^--template: "):
        next(classify([Path("a")], ["dog"], template=template))


def test_no_label_is_refused():
    with pytest.raises(ConfigError, match="--label"):
        next(classify([Path("a")], []))


def test_samples_that_are_no_numbers_are_counted_and_refused():
    broken = NOISE.copy()
    broken[[5, 7]] = np.nan, np.inf
    with pytest.raises(NotAudioError, match=rf"^0: 2 of {WINDOW} samples are not finite numbers$"):
        embedded(broken)


def test_sentences_are_embedded_as_the_model_does(clap):
    sentences = ["rain", "a dog barking"]
    assert np.abs(embed_prompts(sentences) - clap.embed_text(sentences)).max() < 1e-6


def test_a_checkpoint_that_is_none_is_refused(tmp_path):
    with pytest.raises(ModelError, match="not a CLAP checkpoint"):
        embed_prompts(["rain"], checkpoint=str(tmp_path))


def test_embeddings_are_saved_under_the_name_given(tmp_path):
    rows = np.eye(3, dtype=np.float32)
    save(tmp_path / "rows.out", rows)
    assert np.array_equal(np.load(tmp_path / "rows.out"), rows)
    with pytest.raises(OutputError, match=r"not there/rows\.npy: cannot be written: No such file"):
        save(tmp_path / "not there" / "rows.npy", rows)


def in_blocks(samples, size):
    return [samples[start : start + size] for start in range(0, len(samples), size)]


@pytest.mark.parametrize("windows", [0.3, 1, 2.5, 5, 65])
@pytest.mark.parametrize("size", [0.2, 1.7, 200])
def test_a_recording_read_block_by_block_is_to_the_bit_what_it_is_at_once(windows, size):
    samples = np.resize(np.concatenate([TONE, NOISE, CLICKS]), round(windows * WINDOW))
    blocks = in_blocks(samples, round(size * WINDOW))
    assert np.array_equal(embed_files([Path("0")], read=lambda _path, _rate: iter(blocks)), embedded(samples))


def test_files_that_cannot_be_used_do_not_end_the_batch(tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    soundfile.write(tmp_path / "absurd.wav", np.append(NOISE, np.float32(1e20)), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "good.wav", NOISE, RATE)
    files = [tmp_path / name for name in ("text.wav", "absurd.wav", "none.wav", "good.wav")]
    refused = []
    (found,) = classify(files, ["rain", "a dog"], refused=refused.append)
    assert found.file == files[-1]
    assert all(0.0 <= score <= 1.0 for _, score in found.scores)
    assert [str(error).partition(":")[0] for error in refused] == [str(file) for file in files[:3]]


def test_a_file_that_becomes_shorter_while_it_is_read_is_refused():
    lengths = iter([130, 10])

    def read(_path, _rate):
        return iter([NOISE] * next(lengths))

    with pytest.raises(NotAudioError, match="shorter while it was read"):
        embed_files([Path("0")], read=read)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e20, -3e38, 1e4])
def test_a_sample_that_no_sound_can_have_gives_no_scores(bad):
    broken = NOISE.copy()
    broken[7] = bad
    with pytest.raises(NotAudioError, match=f"^0: 1 of {WINDOW} samples"):
        embedded(broken)


def test_a_recording_louder_than_full_scale_is_heard():
    assert np.isfinite(embedded(TONE * np.float32(2.0))).all()


def test_a_model_that_makes_no_numbers_is_said_of_the_file(monkeypatch):
    monkeypatch.setattr(Clap, "embed_audio", lambda _, windows: np.full((len(windows), 256), np.nan, "f"))
    monkeypatch.setattr(Clap, "_try_one_window", lambda _self: None)
    with pytest.raises(ModelError, match=r"^0: starter returns no finite numbers"):
        embedded(NOISE)


@pytest.mark.parametrize("ask", [embed_prompts, lambda texts: next(classify([Path("a")], texts))])
def test_words_that_are_not_utf_8_are_one_clear_line(ask):
    with pytest.raises(ConfigError, match=r"^--(text|label): 'ca\?' is not UTF-8 text$"):
        ask([b"ca\xe9".decode("utf-8", "surrogateescape")])
