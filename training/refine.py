"""Step `refine`: train the text tower of a checkpoint to point where `directions` says.

What counts is how sentences order sounds, so the embeddings are compared by the cosines that all sounds
have with them, not only by their own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import ClapModel, ClapTextConfig, ClapTextModelWithProjection, PreTrainedTokenizerFast

from training import runlog
from training.directions import Aims, load_aims
from training.losses import divergence
from training.optimisers import optimisers, rate_at, set_rate
from training.places import Places
from training.tower import coarse, refuse_other_words, student_config, text_half

LOG = logging.getLogger(__name__)
BATCH, POOL = 192, 16
"""Sentences of a step, and batches that are drawn at once and sorted by length, so that padding is rare."""

RATE, WARM_STEPS, FALL = 3e-4, 30, 0.6

LIKENESS, AGREEMENT, ORDER, RELATION = 8.0, 10.0, 3.0, 2.0
"""Weights: cosine with the target; correlation of the cosines that all sounds have with both; the order
in which windows come for a sentence; cosines among the batch."""

SHARPNESS = 1.5
"""Of the softmax over windows, by their cosines in deviations."""

ASKED = 384
"""Windows by which a step compares the order."""

STAY = 1e-3
"""Of the least squares with which the last layer begins, in mean squares of its inputs."""

SAY_S = 60


def refine(places: Places, start: Path, minutes: float) -> None:
    """Train for ``minutes`` from the text tower of ``start``, and save ``runs/refined.pt``."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    aims = load_aims(places)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(start)
    config = student_config(len(tokenizer)).text_config
    if not isinstance(config, ClapTextConfig):
        raise TypeError(type(config))
    tower = ClapTextModelWithProjection(config)
    begun = text_half(ClapModel.from_pretrained(start, dtype=torch.float32))
    refuse_other_words(start, begun, len(tokenizer))
    tower.load_state_dict(begun)
    run = Refinement(aims, tokenizer, tower)
    run.begin()
    run.go(minutes, places.runs / "refine.jsonl")
    torch.save({"tower": tower.state_dict()}, places.runs / "refined.pt")


class Refinement:
    """The tower, its sentences as tokens, and where they have to point."""

    def __init__(
        self, aims: Aims, tokenizer: PreTrainedTokenizerFast, tower: ClapTextModelWithProjection
    ) -> None:
        self._tokens = [torch.tensor(ids) for ids in tokenizer(aims.phrases)["input_ids"]]
        self._lengths = np.array([len(ids) for ids in self._tokens])
        self._wanted, self._weights = torch.from_numpy(aims.vectors), aims.weights
        sounds = torch.from_numpy(aims.sounds)
        self._sounds = sounds - sounds.mean(0)
        self._covariance = self._sounds.T @ self._sounds / len(sounds)
        self._tower = tower
        self._optimisers = optimisers(tower, "embeddings", matrix_decay=0.02, rest_decay=0.02)

    @torch.no_grad()
    def begin(self) -> None:
        """Bring the last layer to the least squares of what it is given, near what it was."""
        last = self._tower.text_projection.linear2
        size = len(last.bias)
        old = torch.cat([last.weight.T, last.bias[None]])
        gram, lead = torch.zeros(len(old), len(old)), torch.zeros(len(old), size)
        shares = torch.from_numpy(self._weights / self._weights.sum()).float()
        for rows in np.array_split(np.argsort(self._lengths, kind="stable"), 1 + len(self._lengths) // 512):
            given = torch.cat([self._given(rows), torch.ones(len(rows), 1)], dim=1)
            was = given @ old
            missing = self._wanted[torch.from_numpy(rows)] * was.norm(dim=1, keepdim=True) - was
            share = shares[torch.from_numpy(rows)][:, None]
            gram += (share * given).T @ given
            lead += (share * given).T @ missing
        gram += STAY * gram.diagonal().mean() * torch.eye(len(gram))
        new = old + torch.linalg.solve(gram, lead)
        last.weight.data, last.bias.data = new[:-1].T.contiguous(), new[-1].contiguous()

    def go(self, minutes: float, log: Path) -> None:
        """Train for ``minutes``; the rate falls in the last part of them."""
        begun = said = time.monotonic()
        rng = np.random.default_rng(0)
        for step, rows in enumerate(self._draw(rng)):
            part = (time.monotonic() - begun) / (60 * minutes)
            if part >= 1:
                break
            set_rate(self._optimisers, RATE * rate_at(part, FALL, step, WARM_STEPS))
            likeness, agreement = self._learn(
                rows, self._sounds[torch.from_numpy(rng.integers(0, len(self._sounds), ASKED))]
            )
            if time.monotonic() - said > SAY_S:
                said = time.monotonic()
                LOG.info("step %d, cosine %.3f, agreement %.3f", step, likeness, agreement)
                runlog.append(log, step=step, likeness=likeness, agreement=agreement)

    def _learn(self, rows: np.ndarray, asked: Tensor) -> tuple[float, float]:
        wanted = self._wanted[torch.from_numpy(rows)]
        self._tower.zero_grad()
        with coarse(self._tower):
            ours = self._embed(rows)
            likeness = (ours * wanted).sum(1).mean()
            mine, right = self._scaled(ours), self._scaled(wanted)
            agreement = ((mine @ self._covariance) * right).sum(1).mean()
            order = divergence(SHARPNESS * asked @ mine.T, SHARPNESS * asked @ right.T)
            relation = (ours @ ours.T - wanted @ wanted.T).square().mean()
            whole = (
                LIKENESS * (1 - likeness) + AGREEMENT * (1 - agreement) + ORDER * order + RELATION * relation
            )
            whole.backward()
        torch.nn.utils.clip_grad_norm_(self._tower.parameters(), 1.0)
        for optimiser in self._optimisers:
            optimiser.step()
        return float(likeness.detach()), float(agreement.detach())

    def _scaled(self, vectors: Tensor) -> Tensor:
        """Vectors with a deviation of 1 over all sounds."""
        return vectors / ((vectors @ self._covariance) * vectors).sum(1, keepdim=True).clamp_min(1e-8).sqrt()

    def _given(self, rows: np.ndarray) -> Tensor:
        """What the last layer is given, shape (sentences, DIM)."""
        projection = self._tower.text_projection
        with torch.autocast("cpu", torch.bfloat16):
            pooled = self._tower.text_model(**self._inputs(rows)).pooler_output
        return projection.activation(projection.linear1(pooled.float()))

    def _embed(self, rows: np.ndarray) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            out = self._tower(**self._inputs(rows))
        return normalize(out.text_embeds.float(), dim=-1)

    def _inputs(self, rows: np.ndarray) -> dict[str, Tensor]:
        tokens = torch.nn.utils.rnn.pad_sequence(
            [self._tokens[row] for row in rows], batch_first=True, padding_value=1
        )
        return {"input_ids": tokens, "attention_mask": (tokens != 1).long()}

    def _draw(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        cumulated = np.cumsum(self._weights)
        while True:
            pool = np.searchsorted(cumulated, rng.random(BATCH * POOL) * cumulated[-1])
            pool = pool[np.argsort(self._lengths[pool], kind="stable")].reshape(POOL, BATCH)
            yield from pool[rng.permutation(POOL)]
