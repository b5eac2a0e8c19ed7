"""The tokenizer: whole common words, and MiniLM's word pieces for the others."""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from training.minilm import model_folder
from training.tower import LONGEST_TOKENS

HOUSEHOLD = Path(__file__).with_name("household.txt")
"""Words that are whole in any case: what people at home may ask for."""

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""In RoBERTa's order: the text tower takes 1 for padding."""

VOCABULARY = 9_000
"""Entries; with 384 numbers each a fifth of the checkpoint."""

WORDS = 7_200
"""How many of them are whole words.  MiniLM itself has "blender" and
"faucet" in pieces: such a word starts where its meaning leads (`text.word_table`)."""

KNOWN = 8
"""Occurrences that it is worth to be one of MiniLM's whole words: a sign of common use."""


def make_tokenizer(phrases: Sequence[str], everyday: set[str]) -> PreTrainedTokenizerFast:
    """A lower-casing tokenizer: common words whole, the others in MiniLM's pieces.

    It must stay a plain `PreTrainedTokenizerFast`: saved as a RobertaTokenizer it loses its
    normaliser, and "Dog" becomes another word than "dog" (REPORT of the prototypes).
    """
    teacher = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    teacher.no_padding()
    teacher.no_truncation()
    words = Counter(word for phrase in phrases for word in re.findall("[a-z]+", phrase))
    known = everyday & set(teacher.get_vocab())
    worth = words + Counter(dict.fromkeys(known, KNOWN))
    worth += Counter(dict.fromkeys(HOUSEHOLD.read_text().split(), len(phrases)))
    whole = [word for word, _ in worth.most_common(WORDS)]
    rest = sorted(set(words) - set(whole))
    pieces: Counter[str] = Counter()
    for word, encoding in zip(rest, teacher.encode_batch(rest, add_special_tokens=False), strict=True):
        pieces.update(dict.fromkeys(encoding.tokens, words[word]))
    return wrap(choose(whole, pieces, VOCABULARY))


def choose(words: Sequence[str], pieces: Counter[str], size: int) -> list[str]:
    """Special tokens, every letter (so that no word is unknown), words, common pieces."""
    letters = [mark + letter for letter in string.ascii_lowercase + string.digits for mark in ("", "##")]
    common = [piece for piece, _ in pieces.most_common()]
    return list(dict.fromkeys([*SPECIAL, *letters, *string.punctuation, *words, *common]))[:size]


def wrap(vocabulary: Sequence[str]) -> PreTrainedTokenizerFast:
    """The tokenizer of a vocabulary."""
    index = {token: i for i, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(WordPiece(index, unk_token="<unk>"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=LONGEST_TOKENS,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    )


def save_vocabulary(path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Keep the word pieces, in order, as JSON."""
    index = tokenizer.get_vocab()
    path.write_text(json.dumps(sorted(index, key=index.__getitem__)))


def load_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a kept vocabulary."""
    return wrap(json.loads(path.read_text()))
