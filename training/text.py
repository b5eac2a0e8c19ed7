"""Step `text`: train the small text tower to give the teacher's text embeddings.

It starts as the first layers of MiniLM, whose sentences the teacher's linear map takes (Sanh et al. 2019,
"DistilBERT").  Targets are fixed, so this runs beside the audio tower.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize
from transformers import ClapModel, ClapTextConfig, ClapTextModelWithProjection, PreTrainedTokenizerFast

from training import minilm, runlog
from training.bank import Bank, load_bank
from training.batches import Choice, likened
from training.losses import disorder
from training.optimisers import optimisers, rate_at, set_rate
from training.places import Places
from training.store import Soundscapes, load_soundscapes
from training.teacher import Teacher, load_teacher
from training.tokens import load_tokenizer, make_tokenizer, save_vocabulary
from training.tower import coarse, refuse_other_words, student_config, text_half
from training.wordnet import everyday_words

LOG = logging.getLogger(__name__)
BATCH = 256
POOL = 16
"""Batches that are drawn at once and sorted by length, so that padding is rare."""

TOP_RATE = 1e-3
GENTLE_RATE = 3e-4
"""Where a finished tower goes on."""

WARM_STEPS = 100
FALL = 0.5
SOUND_WEIGHT = 3.0
"""How much likelier a sentence about a listed sound is drawn than general English."""

LIKENESS, RELATION, NAMING, ORDER = 10.0, 2.0, 0.1, 3.0
"""Weights: cosine to the target, cosines among the batch, finding one's own target, and the order in
which windows come for each sentence and sentences for each window.  With 10 for that one, both are learnt
slower (training/history.md, "A fifteenth sitting")."""

WINDOWS, ASKED = 20_000, 256
"""Windows that are embedded at the start, and how many of them each step asks about."""

KEPT_BACK = 50
"""One of so many general phrases is never trained on, to see what new words do."""

THEIR_NAMES = {"<s>": "[CLS]", "</s>": "[SEP]", "<unk>": "[UNK]", "<pad>": "[PAD]"}
"""What MiniLM calls the special tokens."""

RIDGE = 10.0
"""Of the map from the meaning of a word to its row in the table, among some 7,500 words."""

SAY_S, SAVE_S = 60, 180


def text(places: Places, minutes: float, start: Path | None, fall: float = FALL) -> None:
    """Train for ``minutes``, from the last saved state, else from a checkpoint, else from nothing.

    A run whose rate does not ``fall`` leaves a state to go on from.
    """
    torch.set_num_threads(1)
    bank, teacher = load_bank(places.phrases), load_teacher(places.runs / "teacher.pt")
    vocabulary = places.runs / "vocabulary.json"
    if not vocabulary.exists():
        tokenizer = (
            PreTrainedTokenizerFast.from_pretrained(start)
            if start
            else make_tokenizer(bank.phrases, everyday_words(places.wordnet))
        )
        save_vocabulary(vocabulary, tokenizer)
    tokenizer = load_tokenizer(vocabulary)
    torch.manual_seed(0)
    config = student_config(len(tokenizer)).text_config
    if not isinstance(config, ClapTextConfig):
        raise TypeError(type(config))
    tower = ClapTextModelWithProjection(config)
    if start:
        begun = text_half(ClapModel.from_pretrained(start, dtype=torch.float32))
        refuse_other_words(start, begun, len(tokenizer))
        tower.load_state_dict(begun)
    else:
        begin_as_minilm(tower, tokenizer)
    sounds = taught(load_soundscapes(places.soundscapes), teacher, np.random.default_rng(0))
    run = TextRun(places.runs, bank, teacher, sounds, tokenizer, tower)
    run.resume(GENTLE_RATE if start else TOP_RATE)
    run.go(minutes, fall)


class TextRun:
    """Weights, optimiser, the phrases as tokens and what they are to tell apart."""

    def __init__(
        self,
        folder: Path,
        bank: Bank,
        teacher: Teacher,
        sounds: Tensor,
        tokenizer: PreTrainedTokenizerFast,
        tower: ClapTextModelWithProjection,
    ) -> None:
        self._folder, self._bank, self._sounds, self._tower = folder, bank, sounds, tower
        self._tokens = [torch.tensor(ids) for ids in tokenizer(bank.phrases)["input_ids"]]
        self._lengths = np.array([len(ids) for ids in self._tokens])
        self._targets = teacher.text(torch.from_numpy(bank.vectors.astype(np.float32)))
        self._weights, self._kept_back = draw_weights(bank)
        self._optimisers = optimisers(tower, "embeddings", matrix_decay=0.02, rest_decay=0.02)
        self._step = 0

    def resume(self, top_rate: float) -> None:
        """Load the state before the rate last fell; else begin at ``top_rate``."""
        self._top_rate = top_rate
        path = self._folder / "text.pt"
        if path.exists():
            state = torch.load(path, weights_only=True)
            self._tower.load_state_dict(state["tower"])
            for optimiser, kept in zip(self._optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(kept)
            self._step, self._top_rate = state["step"], state["top_rate"]
            LOG.info("resumed after step %d", self._step)

    def go(self, minutes: float, fall: float) -> None:
        """Train for ``minutes``; save and test now and then."""
        begun = said = saved = time.monotonic()
        rng = np.random.default_rng(self._step)
        for rows in self._draw(rng):
            part = (time.monotonic() - begun) / (60 * minutes)
            if part >= 1:
                break
            rate = self._top_rate * rate_at(part, fall, self._step, WARM_STEPS)
            asked = self._sounds[torch.from_numpy(rng.integers(0, len(self._sounds), ASKED))]
            likeness = self._learn(rows, asked, rate)
            now = time.monotonic()
            if now - said > SAY_S:
                self._say(likeness)
                said = now
            if part < 1 - fall and now - saved > SAVE_S:
                self._save("text.pt")
                saved = now
        self._say(likeness)
        self._save("text-final.pt" if fall else "text.pt")

    def _learn(self, rows: np.ndarray, asked: Tensor, rate: float) -> float:
        set_rate(self._optimisers, rate)
        wanted = self._targets[torch.from_numpy(rows)]
        self._tower.zero_grad()
        with coarse(self._tower):
            ours = self._embed(rows)
            likeness = (ours * wanted).sum(1).mean()
            relation = (ours @ ours.T - wanted @ wanted.T).square().mean()
            naming = cross_entropy(20 * ours @ wanted.T, torch.arange(len(rows)))
            order = confusion(asked, ours, wanted)
            whole = LIKENESS * (1 - likeness) + RELATION * relation + NAMING * naming + ORDER * order
            whole.backward()
        torch.nn.utils.clip_grad_norm_(self._tower.parameters(), 1.0)
        for optimiser in self._optimisers:
            optimiser.step()
        self._step += 1
        return float(likeness.detach())

    def _embed(self, rows: np.ndarray) -> Tensor:
        tokens = torch.nn.utils.rnn.pad_sequence(
            [self._tokens[row] for row in rows], batch_first=True, padding_value=1
        )
        with torch.autocast("cpu", torch.bfloat16):
            out = self._tower(input_ids=tokens, attention_mask=(tokens != 1).long())
        return normalize(out.text_embeds.float(), dim=-1)

    def _draw(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        cumulated = np.cumsum(self._weights)
        while True:
            pool = np.searchsorted(cumulated, rng.random(BATCH * POOL) * cumulated[-1])
            pool = pool[np.argsort(self._lengths[pool], kind="stable")].reshape(POOL, BATCH)
            yield from pool[rng.permutation(POOL)]

    @torch.inference_mode()
    def _test(self, rows: np.ndarray) -> tuple[float, float]:
        """Cosine to the teacher and `confusion`, of phrases that are not trained on."""
        with coarse(self._tower):
            ours = torch.cat([self._embed(part) for part in np.array_split(rows, 16)])
        wanted = self._targets[torch.from_numpy(rows)]
        likeness = (ours * wanted).sum(1).mean()
        return float(likeness), float(confusion(self._sounds[:: WINDOWS // 1000], ours, wanted))

    def _say(self, trained: float) -> None:
        new, questions = self._test(self._kept_back), self._test(self._bank.held_out)
        values = {"trained": trained, "new": new[0], "questions": questions[0]}
        shown = " ".join(f"{name} {value:.3f}" for name, value in values.items())
        LOG.info("step %d, cosine to the teacher: %s", self._step, shown)
        LOG.info("confusion: new %.4f questions %.4f", new[1], questions[1])
        values |= {"confusion new": new[1], "confusion questions": questions[1]}
        runlog.append(self._folder / "text.jsonl", step=self._step, **values)

    def _save(self, name: str) -> None:
        state = {
            "tower": self._tower.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "step": self._step,
            "top_rate": self._top_rate,
        }
        torch.save(state, self._folder / name)


def taught(parts: Sequence[Soundscapes], teacher: Teacher, rng: np.random.Generator) -> Tensor:
    """Embeddings that the teacher gives about `WINDOWS` windows, rare classes more often than they come."""
    rows = [np.sort(Choice(likened(part.scores)).draw(WINDOWS // len(parts), rng)) for part in parts]
    features = np.concatenate([part.features[own] for part, own in zip(parts, rows, strict=True)])
    return teacher.sound(torch.from_numpy(features.astype(np.float32)))


def confusion(sounds: Tensor, ours: Tensor, wanted: Tensor) -> Tensor:
    """How differently embedded sentences, both (sentences, DIM), tell sounds, (windows, DIM), apart.

    Sounds fill few directions of the space (half of their variance lies in 6 of 256, 95 % in 51), sentences
    nearly all of them: the cosine alone has a small tower learn mostly what no sound will ever ask for.
    """
    mine, right = sounds @ ours.T, sounds @ wanted.T
    return disorder(mine, right) + disorder(mine.T, right.T)


def draw_weights(bank: Bank) -> tuple[np.ndarray, np.ndarray]:
    """Weight of every phrase, and the general ones kept back (weight 0)."""
    weights = np.ones(len(bank.phrases))
    weights[np.unique(np.concatenate(bank.groups))] = SOUND_WEIGHT
    general = np.flatnonzero(weights == 1)
    kept_back = np.setdiff1d(general[::KEPT_BACK], bank.held_out)
    weights[kept_back] = 0
    weights[bank.held_out] = 0
    return weights, kept_back


@torch.no_grad()
def begin_as_minilm(tower: ClapTextModelWithProjection, tokenizer: PreTrainedTokenizerFast) -> None:
    """Start as MiniLM's word embeddings and its first layers; pooler and projection as they are.

    A RoBERTa, which CLAP's text tower is, counts places from the one after the padding token; else the
    layers are the same.
    """
    theirs, ours = minilm.weights(), tower.state_dict()
    for name in ours:
        if name.startswith("text_model.encoder.") or "embeddings.LayerNorm" in name:
            ours[name] = theirs[name.removeprefix("text_model.")]
    words = "text_model.embeddings.word_embeddings.weight"
    places = "text_model.embeddings.position_embeddings.weight"
    kinds = "text_model.embeddings.token_type_embeddings.weight"
    first = tokenizer.pad_token_id + 1
    ours[words] = word_table(tokenizer, theirs["embeddings.word_embeddings.weight"])
    ours[places][first:] = theirs["embeddings.position_embeddings.weight"][: len(ours[places]) - first]
    ours[kinds] = theirs["embeddings.token_type_embeddings.weight"][:1]
    tower.load_state_dict(ours)


def word_table(tokenizer: PreTrainedTokenizerFast, theirs: Tensor) -> Tensor:
    """MiniLM's embeddings of our word pieces, shape (pieces, WIDTH).

    A word it has only in pieces starts where a word of that meaning would be: at the linear map that leads
    best from its sentence embeddings of the words it has to their rows in the table.
    """
    index, known = tokenizer.get_vocab(), minilm.word_pieces()
    pieces = sorted(index, key=index.__getitem__)
    rows = np.array([known.get(THEIR_NAMES.get(piece, piece), -1) for piece in pieces])
    there = torch.from_numpy(rows >= 0)
    table = theirs[torch.from_numpy(rows).clamp_min(0)].clone()
    alone = minilm.embed([piece.removeprefix("##") for piece in pieces])
    meanings = torch.from_numpy(alone.astype(np.float32))
    mean = table[there].mean(0)
    gram = meanings[there].T @ meanings[there] + RIDGE * torch.eye(minilm.WIDTH)
    leads = torch.linalg.solve(gram, meanings[there].T @ (table[there] - mean))
    table[~there] = mean + meanings[~there] @ leads
    table[tokenizer.pad_token_id] = 0
    return table
