import json
import os
import shutil

import pytest

from monitor.model.checkpoint import lacking, names_in, read
from monitor.model.hub import STARTER
from monitor.types import ModelError


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(STARTER, tmp_path / "copy")


def change(path, **keys):
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def change_audio(directory, **keys):
    path = directory / "config.json"
    change(path, audio_config=json.loads(path.read_text())["audio_config"] | keys)


def test_the_starter_lacks_nothing():
    assert lacking(names_in(STARTER)) == []
    mel_config = read(STARTER).mel_config
    assert (mel_config.rate, mel_config.length, mel_config.frames) == (48_000, 48_000, 96)


def test_an_empty_directory_is_told_all_that_it_lacks(tmp_path):
    with pytest.raises(ModelError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: not a CLAP checkpoint: missing config.json, model.safetensors or pytorch_model.bin, "
        "processor_config.json or preprocessor_config.json, tokenizer.json or vocab.json and merges.txt"
    )


def test_half_a_tokenizer_is_none(copy):
    (copy / "tokenizer.json").unlink()
    (copy / "vocab.json").write_text("{}")
    assert lacking(names_in(copy)) == ["tokenizer.json or vocab.json and merges.txt"]


def test_safetensors_are_preferred(copy):
    (copy / "pytorch_model.bin").touch()
    assert read(copy).weights == copy / "model.safetensors"


def test_the_older_form_of_the_preprocessor_configuration_is_read(copy):
    nested = json.loads((copy / "processor_config.json").read_text())["feature_extractor"]
    expected = read(copy).mel_config
    (copy / "processor_config.json").write_text('{"processor_class": "ClapProcessor"}')
    (copy / "preprocessor_config.json").write_text(json.dumps(nested))
    assert read(copy).mel_config == expected


def test_a_processor_without_features_is_refused(copy):
    (copy / "processor_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"processor_config\.json: feature_extractor: is missing"):
        read(copy)


def test_another_kind_of_model_is_named(copy):
    change(copy / "config.json", model_type="roberta")
    with pytest.raises(ModelError, match=r"config\.json: model_type: 'roberta' is not 'clap'"):
        read(copy)


def test_broken_json_is_named_with_its_line(copy):
    (copy / "config.json").write_text('{\n"model_type": "clap",\n')
    with pytest.raises(ModelError, match=r"config\.json: is not JSON: .*\(line 3\)"):
        read(copy)


@pytest.mark.parametrize(("content", "why"), [(b"\xff\xfe", "not UTF-8 text"), (b"[]", "is not a mapping")])
def test_a_configuration_that_is_none_is_refused(copy, content, why):
    (copy / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match=why):
        read(copy)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"num_mel_bins": 32}, "num_mel_bins: 32, but the preprocessor makes 96"),
        ({"spec_size": 100}, "spec_size: 100 is not a multiple of num_mel_bins 96"),
        ({"spec_size": "128"}, "spec_size: '128' is not a whole number from 1 to 2,048"),
        ({"hidden_size": 255}, "hidden_size: 255 is not patch_embeds_hidden_size 64 doubled"),
        ({"depths": []}, r"depths: \[\] is not a list"),
    ],
)
def test_an_audio_tower_that_cannot_take_the_features_is_refused(copy, keys, why):
    change_audio(copy, **keys)
    with pytest.raises(ModelError, match=f"config.json: audio_config.{why}"):
        read(copy)


def test_more_frames_than_the_tower_holds_are_refused(copy):
    nested = json.loads((copy / "processor_config.json").read_text())["feature_extractor"]
    change(copy / "processor_config.json", feature_extractor=nested | {"hop_length": 100})
    with pytest.raises(ModelError, match="spec_size: 96 holds 96 frames of 96 bins, but 1 s are 481 frames"):
        read(copy)


def test_features_for_fusion_need_a_tower_with_fusion(copy):
    nested = json.loads((copy / "processor_config.json").read_text())["feature_extractor"]
    change(copy / "processor_config.json", feature_extractor=nested | {"truncation": "fusion"})
    with pytest.raises(ModelError, match=r"enable_fusion: False, but the preprocessor's truncation 'fusion'"):
        read(copy)


DECISIVE = ["model.safetensors", "tokenizer.json", "processor_config.json"]


@pytest.mark.parametrize("name", DECISIVE)
def test_the_identity_changes_with_the_content_of_every_file_that_decides_an_embedding(copy, name):
    before = read(copy).identity
    assert read(copy).identity == before
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(
        content.replace(b"}", b" }", 1) if name.endswith("json") else content[:-1] + b"!"
    )
    assert read(copy).identity != before
    (copy / name).write_bytes(content)
    assert read(copy).identity == before


@pytest.mark.parametrize("name", DECISIVE)
def test_the_fingerprint_changes_when_a_file_is_written(copy, name):
    before = read(copy)
    os.utime(copy / name, ns=(1, 1))
    assert read(copy).fingerprint != before.fingerprint
    assert read(copy).identity == before.identity


def test_a_copy_elsewhere_has_the_same_identity(copy, tmp_path):
    other = shutil.copytree(copy, tmp_path / "elsewhere")
    assert read(other).identity == read(copy).identity
    assert read(other).fingerprint != read(copy).fingerprint


def test_the_identity_of_a_snapshot_of_the_hub_is_its_commit(tmp_path):
    snapshot = shutil.copytree(STARTER, tmp_path / "snapshots" / ("c" * 40))
    checkpoint = read(snapshot)
    assert checkpoint.commit == checkpoint.identity == "c" * 40


HUGE = [10**9, 2**62, -1, 0, 1.5, "4", None, True, [], {}, "x" * 100_000]


def refused(directory):
    with pytest.raises(ModelError) as caught:
        read(directory)
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < 400
    return line


@pytest.mark.parametrize(
    "key",
    ["spec_size", "num_mel_bins", "window_size", "patch_embeds_hidden_size", "hidden_size", "patch_size",
     "patch_stride", "depths", "num_attention_heads", "mlp_ratio", "layer_norm_eps"],
)  # fmt: skip
def test_an_absurd_number_of_the_audio_tower_is_refused_before_anything_is_made(copy, key):
    for value in HUGE:
        if (key, value) == ("mlp_ratio", 1.5):
            continue
        change_audio(copy, **{key: value})
        line = refused(copy)
        assert f"config.json: audio_config.{key}: " in line
        assert " to " in line or "at most" in line
        change_audio(copy, **{key: json.loads((STARTER / "config.json").read_text())["audio_config"][key]})


@pytest.mark.parametrize(
    "key",
    ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
     "max_position_embeddings", "type_vocab_size", "projection_dim", "layer_norm_eps"],
)  # fmt: skip
def test_an_absurd_number_of_the_text_tower_is_refused_before_anything_is_made(copy, key):
    text = json.loads((copy / "config.json").read_text())["text_config"]
    for value in HUGE:
        change(copy / "config.json", text_config=text | {key: value})
        assert f"config.json: text_config.{key}: " in refused(copy)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"vocab_size": 1_000_000}, "make at least"),
        ({"num_hidden_layers": 128, "intermediate_size": 4_096}, "make at least"),
        ({"num_hidden_layers": 8, "intermediate_size": 131_072}, "make at least"),
        ({"num_attention_heads": 7}, "not a divisor of hidden_size 384"),
        ({"pad_token_id": 79}, "leaves no room for a prompt"),
    ],
)
def test_a_text_tower_that_the_weights_cannot_hold_is_refused(copy, keys, why):
    text = json.loads((copy / "config.json").read_text())["text_config"]
    change(copy / "config.json", text_config=text | keys)
    assert why in refused(copy)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"depths": [128, 128, 128]}, "more than 256 layers"),
        ({"spec_size": 1_920, "patch_stride": 1, "window_size": 64, "patch_size": 1}, "tokens"),
        ({"patch_stride": 13}, "more than patch_size"),
    ],
)
def test_an_audio_tower_that_would_take_all_memory_is_refused(copy, keys, why):
    change_audio(copy, **keys)
    assert why in refused(copy)


@pytest.mark.parametrize("depth", [65, 1_000, 100_000])
@pytest.mark.parametrize("name", ["config.json", "processor_config.json"])
def test_a_configuration_that_is_nested_without_end_is_refused(copy, name, depth):
    (copy / name).write_text('{"a": ' + "[" * depth + "]" * depth + "}")
    with pytest.raises(ModelError, match=rf"{name}: is (nested|not JSON)"):
        read(copy)


@pytest.mark.parametrize(
    "name", ["config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json"]
)
def test_a_file_that_is_larger_than_any_of_its_kind_is_refused_unread(copy, name):
    os.truncate(copy / name, 65 * 2**20)
    with pytest.raises(ModelError, match=rf"{name}: is larger than [0-9,]+ bytes"):
        read(copy)


def test_a_fifo_is_no_file_of_a_checkpoint(copy):
    (copy / "config.json").unlink()
    os.mkfifo(copy / "config.json")
    with pytest.raises(ModelError, match=r"not a CLAP checkpoint: missing config\.json"):
        read(copy)
