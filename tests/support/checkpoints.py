"""Checkpoints with random weights and the exact configurations of the published ones.

The weights are stored in half precision to spare the disk.  Random weights map all sounds to nearly
one point: judge an error of an embedding against the distance between two sounds.
"""

import json
import math
from pathlib import Path

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

from monitor.model import loader
from monitor.model.hub import STARTER
from monitor.model.self_test import sounds

# laion/larger_clap_general@ada0c23 names nothing but what differs from the defaults of the classes.
LARGER_CLAP_GENERAL = {
    "architectures": ["ClapModel"],
    "audio_config": {
        "depths": [2, 2, 12, 2],
        "hidden_size": 1024,
        "model_type": "clap_audio_model",
        "patch_embeds_hidden_size": 128,
    },
    "hidden_size": 768,
    "initializer_factor": 1.0,
    "logit_scale_init_value": 1 / 0.07,
    "model_type": "clap",
    "num_hidden_layers": 16,
    "projection_dim": 512,
    "projection_hidden_act": "relu",
    "text_config": {"model_type": "clap_text_model"},
    "torch_dtype": "float32",
}

# As laion/clap-htsat-fused's, which is published word for word, but for enable_fusion.
CLAP_HTSAT_UNFUSED = {
    "architectures": ["ClapModel"],
    "audio_config": {
        "aff_block_r": 4,
        "attention_probs_dropout_prob": 0.0,
        "depths": [2, 2, 6, 2],
        "drop_path_rate": 0.0,
        "enable_fusion": False,
        "enable_patch_layer_norm": True,
        "flatten_patch_embeds": True,
        "fusion_type": None,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 768,
        "initializer_factor": 1.0,
        "layer_norm_eps": 1e-05,
        "mlp_ratio": 4.0,
        "model_type": "clap_audio_model",
        "num_attention_heads": [4, 8, 16, 32],
        "num_classes": 527,
        "num_hidden_layers": 4,
        "num_mel_bins": 64,
        "patch_embed_input_channels": 1,
        "patch_embeds_hidden_size": 96,
        "patch_size": 4,
        "patch_stride": [4, 4],
        "projection_dim": 512,
        "projection_hidden_act": "relu",
        "projection_hidden_size": 768,
        "qkv_bias": True,
        "spec_size": 256,
        "window_size": 8,
    },
    "hidden_size": 768,
    "initializer_factor": 1.0,
    "logit_scale_init_value": 1 / 0.07,
    "model_type": "clap",
    "num_hidden_layers": 16,
    "projection_dim": 512,
    "projection_hidden_act": "relu",
    "text_config": {
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 768,
        "initializer_factor": 1.0,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 514,
        "model_type": "clap_text_model",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "pad_token_id": 1,
        "projection_dim": 512,
        "projection_hidden_act": "relu",
        "projection_hidden_size": 768,
        "type_vocab_size": 1,
        "vocab_size": 50265,
    },
    "torch_dtype": "float32",
}

# A fused checkpoint small enough to be made in every test that needs one.
TINY_FUSED = {
    "audio_config": {
        "depths": [2, 2],
        "enable_fusion": True,
        "enable_patch_fusion": True,
        "hidden_size": 32,
        "model_type": "clap_audio_model",
        "num_attention_heads": [2, 4],
        "patch_embeds_hidden_size": 16,
        "projection_dim": 32,
        "spec_size": 256,
    },
    "model_type": "clap",
    "projection_dim": 32,
    "text_config": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
        "model_type": "clap_text_model",
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "projection_dim": 32,
        "vocab_size": 4096,
    },
}

PREPROCESSOR = {
    "chunk_length_s": 10,
    "feature_extractor_type": "ClapFeatureExtractor",
    "feature_size": 64,
    "fft_window_size": 1024,
    "frequency_max": 14000,
    "frequency_min": 50,
    "hop_length": 480,
    "max_length_s": 10,
    "n_fft": 1024,
    "nb_frequency_bins": 513,
    "nb_max_frames": 1000,
    "nb_max_samples": 480000,
    "padding": "repeatpad",
    "padding_side": "right",
    "padding_value": 0.0,
    "processor_class": "ClapProcessor",
    "return_attention_mask": False,
    "sampling_rate": 48000,
    "top_db": None,
    "truncation": "rand_trunc",
}

PARAMETERS = {"larger_clap_general": 193_913_882, "clap-htsat-unfused": 153_492_890}
"""Of the published checkpoints (clap.md, section 1)."""


def build(
    directory: Path,
    config: dict,
    *,
    truncation: str = "rand_trunc",
    preprocessor: dict | None = None,
    pickled: bool = False,
) -> int:
    """Write a checkpoint with random weights; the number of its parameters.

    ``pickled``: in the form that ``laion/larger_clap_general`` has on the hub, a .bin and the
    vocabulary in two files.
    """
    directory.mkdir()
    keys = PREPROCESSOR | {"truncation": truncation} | (preprocessor or {})
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    (directory / "preprocessor_config.json").write_text(json.dumps(keys))
    loader.quiet()
    torch.manual_seed(0)
    model = ClapModel(ClapConfig.from_dict(config))
    with torch.no_grad():
        model.logit_scale_a.fill_(math.log(18.0))
    if pickled:
        torch.save(
            {name: tensor.half() for name, tensor in model.state_dict().items()},
            directory / "pytorch_model.bin",
        )
        _split_vocabulary(directory)
    else:
        model.half().save_pretrained(directory)
        (directory / "config.json").write_text(json.dumps(config, indent=2))
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (directory / name).write_bytes((STARTER / name).read_bytes())
    return sum(parameter.numel() for parameter in model.parameters())


def _split_vocabulary(directory: Path) -> None:
    """Make a vocabulary as vocab.json and merges.txt, which a RobertaTokenizer reads."""
    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(
        ["a dog barking in the rain", "glass breaking"], 400, 1, special_tokens=special
    )
    tokenizer.save_model(str(directory))
    (directory / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "RobertaTokenizer", "model_max_length": 512, "trim_offsets": True})
    )


@pytest.fixture(scope="session")
def larger_clap_general(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("checkpoints") / "larger_clap_general"
    assert build(directory, LARGER_CLAP_GENERAL, pickled=True) == PARAMETERS[directory.name]
    return directory


@pytest.fixture(scope="session")
def clap_htsat_unfused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("checkpoints") / "clap-htsat-unfused"
    assert build(directory, CLAP_HTSAT_UNFUSED) == PARAMETERS[directory.name]
    return directory


@pytest.fixture(scope="session")
def tiny_fused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("checkpoints") / "tiny-fused"
    build(directory, TINY_FUSED, truncation="fusion")
    return directory


TINY = TINY_FUSED | {
    "audio_config": TINY_FUSED["audio_config"] | {"enable_fusion": False, "enable_patch_fusion": False},
    "text_config": TINY_FUSED["text_config"] | {"vocab_size": 9_000},
}
"""A checkpoint without fusion, as small, which the starter's tokenizer fits."""


@torch.inference_mode()
def centre(directory: Path, config: dict) -> Path:
    """Take the mean over some sounds away from what a checkpoint with random weights gives.

    They map all sounds to nearly one point, which is refused before anything is measured.
    """
    model = ClapModel.from_pretrained(directory, dtype=torch.float32)
    extractor = ClapFeatureExtractor.from_pretrained(directory)
    waves = list(sounds(5 * extractor.sampling_rate, extractor.sampling_rate))
    features = extractor(waves, sampling_rate=extractor.sampling_rate, return_tensors="pt")
    pooled = model.audio_model(input_features=features["input_features"]).pooler_output
    model.audio_projection.linear2.bias.sub_(model.audio_projection(pooled).mean(0))
    model.half().save_pretrained(directory)
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    return directory
