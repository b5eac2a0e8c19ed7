import logging
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel
from transformers.pipelines import ZeroShotAudioClassificationPipeline

from monitor.config import ModelConfig
from monitor.evaluation.zero_shot import classify
from monitor.model import loader
from monitor.model.clap import Clap
from monitor.model.hub import STARTER
from monitor.model.self_test import sounds
from monitor.types import ModelError

SENTENCES = ("a dog barking", "rain", "This is a sound of glass that breaks on a stone floor.")
LABELS = ("dog", "rain", "a crying baby")


@dataclass
class Reference:
    """What transformers itself makes of a checkpoint."""

    path: Path
    window: np.ndarray
    audio: np.ndarray
    text: np.ndarray
    scale: float
    scores: dict


def reference_of(path: Path) -> Reference:
    loader.quiet()
    model = ClapModel.from_pretrained(path, dtype=torch.float32, local_files_only=True)
    extractor = ClapFeatureExtractor.from_pretrained(path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    rate = extractor.sampling_rate
    windows = sounds(min(5 * rate, extractor.nb_max_samples), rate)
    with torch.inference_mode():
        features = extractor(list(windows), sampling_rate=rate, return_tensors="pt")
        features["is_longer"][:] = False  # at random for fused checkpoints, else False as it is
        audio = model.get_audio_features(**features).pooler_output
        text = model.get_text_features(**tokenizer(list(SENTENCES), padding=True, return_tensors="pt"))
    pipeline = ZeroShotAudioClassificationPipeline(
        model=model, feature_extractor=extractor, tokenizer=tokenizer
    )
    scores = pipeline(windows[0], candidate_labels=list(LABELS))
    return Reference(
        path,
        windows,
        audio.numpy(),
        text.pooler_output.numpy(),
        float(model.logit_scale_a.detach().exp()),
        {result["label"]: result["score"] for result in scores},
    )


@pytest.fixture(scope="session", params=["starter", "clap_htsat_unfused", "larger_clap_general"])
def reference(request: pytest.FixtureRequest) -> Reference:
    return reference_of(STARTER if request.param == "starter" else request.getfixturevalue(request.param))


@pytest.fixture(scope="session")
def starter() -> Clap:
    return Clap.load("starter")


def distances(ours, theirs):
    return np.linalg.norm(ours - theirs, axis=1)


def nearest(vectors):
    """Distance between the two that are nearest to each other."""
    return min(np.linalg.norm(vectors[i] - vectors[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_embeddings_and_scores_are_those_of_transformers(reference, engine):
    if engine == "onnx" and reference.path != STARTER:
        return  # tests/evaluation/test_onnx_export.py exports another checkpoint
    clap = Clap.load(str(reference.path), engine=engine)
    assert clap.engine == engine
    audio, text = clap.embed_audio(reference.window), clap.embed_text(SENTENCES)
    assert (audio * reference.audio).sum(axis=1).min() >= 0.9999
    assert (text * reference.text).sum(axis=1).min() >= 0.9999
    assert distances(audio, reference.audio).max() <= 0.01 * nearest(reference.audio)
    assert distances(text, reference.text).max() <= 0.01 * nearest(reference.text)
    assert clap.logit_scale == pytest.approx(reference.scale, rel=1e-5)
    assert clap.dimension == audio.shape[1]
    assert np.abs(np.linalg.norm(audio, axis=1) - 1).max() < 1e-6
    del clap
    ((_, scores),) = classify(
        [Path("a")], LABELS, checkpoint=str(reference.path), read=lambda _path, _rate: reference.window[0]
    )
    assert dict(scores) == pytest.approx(reference.scores, abs=1e-4)


def test_a_fused_checkpoint_never_hears_a_window_as_longer(tiny_fused):
    reference = reference_of(tiny_fused)
    clap = Clap.load(str(tiny_fused))
    assert clap.mel_config.channels == 4
    for _ in range(3):
        assert distances(clap.embed_audio(reference.window), reference.audio).max() < 1e-5
    assert distances(clap.embed_text(SENTENCES), reference.text).max() < 1e-5


ENGINES = [("onnx", "float32"), ("torch", "float32"), ("torch", "int8")]


@pytest.mark.parametrize(("engine", "dtype"), ENGINES)
def test_a_window_is_embedded_the_same_in_any_batch(engine, dtype):
    starter = Clap.load("starter", engine=engine, dtype=dtype)
    windows = sounds(starter.mel_config.length, starter.mel_config.rate)
    alone = np.concatenate([starter.embed_audio(window[None]) for window in windows])
    assert np.abs(starter.embed_audio(windows) - alone).max() < 1e-5


def test_no_window_gives_no_embedding(starter):
    assert starter.embed_audio(np.empty((0, starter.mel_config.length), dtype=np.float32)).shape == (0, 256)
    assert starter.embed_text([]).shape == (0, 256)


def test_a_sentence_is_embedded_the_same_beside_longer_ones():
    alone = Clap.load("starter").embed_text(["rain"])
    beside = Clap.load("starter").embed_text(["rain", "a long sentence about dogs that bark at night " * 3])
    assert np.abs(alone - beside[:1]).max() < 1e-5


@pytest.mark.parametrize(("engine", "dtype"), ENGINES)
def test_a_broken_sample_spoils_its_own_window_only(engine, dtype):
    starter = Clap.load("starter", engine=engine, dtype=dtype)
    windows = sounds(starter.mel_config.length, starter.mel_config.rate)
    clean = starter.embed_audio(windows)
    windows[1, 1000] = np.nan
    spoilt = starter.embed_audio(windows)
    assert np.isnan(spoilt[1]).all()
    assert np.abs(spoilt[[0, 2]] - clean[[0, 2]]).max() < 1e-5


def test_a_sentence_too_long_for_the_text_tower_is_cut_and_that_is_said(starter, caplog):
    text = "dog " * 200
    with caplog.at_level(logging.WARNING):
        vector = starter.embed_text([text])
    assert np.isfinite(vector).all()
    assert "prompt truncated to 77 of " in caplog.text
    assert np.array_equal(starter.embed_text([text]), vector)


def test_known_sentences_need_no_text_tower(tmp_path):
    first = Clap.load("starter", cache=tmp_path)
    vectors = first.embed_text(SENTENCES)
    first.forget_text()
    assert np.array_equal(first.embed_text(SENTENCES), vectors)
    second = Clap.load("starter", cache=tmp_path)
    assert np.array_equal(second.embed_text(SENTENCES), vectors)
    assert first._towers.text._loaded is second._towers.text._loaded is None


def test_the_text_tower_comes_back_when_it_must(starter):
    starter.forget_text()
    assert starter.embed_text(["a sentence that nobody has asked for yet"]).shape == (1, 256)


def test_a_text_tower_that_has_changed_on_disk_is_not_mixed_with_the_audio_tower(tmp_path):
    copy = shutil.copytree(STARTER, tmp_path / "copy")
    clap = Clap.load(str(copy))
    (copy / "tokenizer_config.json").write_text((copy / "tokenizer_config.json").read_text() + "\n")
    with pytest.raises(ModelError, match="has changed since it was loaded"):
        clap.embed_text(["rain"])


def test_embeddings_of_one_dtype_are_not_taken_for_those_of_another(tmp_path):
    exact = Clap.load("starter", cache=tmp_path).embed_text(SENTENCES)
    coarse = Clap.load("starter", cache=tmp_path, dtype="bfloat16").embed_text(SENTENCES)
    assert 0 < np.abs(exact - coarse).max() < 0.1
    assert np.abs(np.linalg.norm(coarse, axis=1) - 1).max() < 1e-6


@pytest.mark.parametrize("apart", [False, True])
def test_in_int8_sentences_are_those_of_float32(apart, tmp_path):
    exact = Clap.load("starter", cache=tmp_path / "exact", dtype="float32").embed_text(SENTENCES)
    settings = ModelConfig(device="cpu", dtype="int8")
    clap = Clap.configured(settings, tmp_path / "int8", apart=apart)
    assert clap.dtype == "int8"
    assert clap.embed_text(SENTENCES).tolist() == exact.tolist()
    clap.forget_text()
    kept = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("exact", "int8")]
    assert len(kept[0]) == len(SENTENCES)
    assert kept[0] == kept[1]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8"])
def test_less_precision_hears_nearly_the_same(starter, dtype):
    windows = sounds(starter.mel_config.length, starter.mel_config.rate)
    vectors = Clap.load("starter", dtype=dtype).embed_audio(windows)
    assert vectors.dtype == np.float32
    assert (vectors * starter.embed_audio(windows)).sum(axis=1).min() > 0.99


def test_the_starter_passes_the_self_test(starter):
    starter.warm_up(starter.mel_config.length)
    starter.self_test()


def test_untrained_weights_fail_the_self_test_and_embed_nevertheless(tiny_fused):
    clap = Clap.load(str(tiny_fused))
    assert clap.embed_audio(sounds(480_000, 48_000)).shape == (3, 32)
    with pytest.raises(ModelError, match="cannot tell sounds apart"):
        clap.self_test()


def test_loading_starts_no_thread_and_writes_nothing(capfd, tmp_path):
    before = threading.enumerate()
    clap = Clap.load("starter", cache=tmp_path)
    clap.embed_text(SENTENCES)
    assert set(threading.enumerate()) <= set(before)  # one of an earlier test may end
    assert capfd.readouterr() == ("", "")


def test_torch_uses_as_many_threads_as_it_is_told():
    clap = Clap.configured(ModelConfig(engine="torch", threads=2), apart=False)
    assert torch.get_num_threads() == 2
    clap.use_threads(3)
    assert torch.get_num_threads() == 3
    Clap.load("starter", engine="torch")
    assert torch.get_num_threads() == 1


def test_sentences_may_be_embedded_in_another_thread_than_audio(tmp_path):
    clap = Clap.load("starter", cache=tmp_path / "one")
    window = sounds(clap.mel_config.usual_window, clap.mel_config.rate)[1:2]
    alone = clap.embed_audio(window)
    sentences = [f"{what} {where}" for what in ("a dog", "rain", "glass") for where in ("near", "far")]
    texts = Clap.load("starter", cache=tmp_path / "two").embed_text(sentences)
    over, differing = threading.Event(), []

    def listen():
        while not over.is_set():
            differing.append(not np.array_equal(clap.embed_audio(window), alone))

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        rows = []
        for sentence in sentences:
            rows.append(clap.embed_text([sentence])[0])
            clap.forget_text()
    finally:
        over.set()
        thread.join(60)
    assert differing
    assert not any(differing)
    assert np.allclose(rows, texts, atol=1e-5)
