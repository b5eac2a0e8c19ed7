"""Step `train`: distil the teacher CLAP into the audio tower.

One-thread processes that average gradients: two threads in one process were 40 times
slower beside other work (REPORT of the prototypes).  The rate is constant after the warm-up
and falls at the end of a run; a later run resumes from the state before it fell.
"""

from __future__ import annotations

import copy
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from training import geometry as g
from training import runlog
from training.bank import load_bank
from training.batches import Batches
from training.clips import test_tower
from training.judge import Judge
from training.losses import Losses, Memory, compare, disorder, lesson, unlikeness
from training.optimisers import optimisers, rate_at, set_rate
from training.places import Places
from training.sounds import find_sounds
from training.store import load_held_back, load_soundscapes
from training.teacher import load_teacher
from training.tower import AudioTower, ears_of, frozen

LOG = logging.getLogger(__name__)
BATCH = 64
"""Windows of each process and step."""

TOP_RATE = 2.4e-3
GENTLE_RATE = 8e-4
"""Where a finished tower goes on: the first rate would undo what was learnt while it fell."""

WARM_STEPS = 200
FALL = 0.4
"""Share of a run in which the rate falls linearly to nothing, unless it is told."""

AVERAGE = 0.999
"""Decay of the averaged weights, which are what is tested and exported."""

UNHEARD = 512
"""Windows of the part that is kept back, the last one."""

SAVE_S, TEST_S, SAY_S = 240, 300, 30
SAID = ("presence", "naming", "likeness", "order")
"""Losses in the log."""

STOPPED = 9.0
"""Part of a run that is over because somebody wished so."""


def train(
    places: Places,
    minutes: float,
    processes: int,
    start: Path | None,
    fall: float = FALL,
    beside: Sequence[Path] = (),
) -> None:
    """Train for ``minutes``, from the last saved state, else from a checkpoint, else from nothing.

    A run whose rate does not ``fall``, or that is stopped before, leaves a state to go on from.
    The towers of the checkpoints ``beside`` have their say in what is taught, see `losses.lesson`.
    """
    if processes == 1:
        _work(0, 1, places, minutes, start, fall, beside)
    else:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29411"}
        spawn(_work, (processes, places, minutes, start, fall, beside), nprocs=processes)


def _work(
    rank: int,
    processes: int,
    places: Places,
    minutes: float,
    start: Path | None,
    fall: float,
    beside: Sequence[Path],
) -> None:
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if processes > 1:
        os.setsid()  # Linux shares the cores out by session: two of them, two shares
        dist.init_process_group("gloo", rank=rank, world_size=processes)
    run = Run(places, rank, processes, beside)
    run.resume(start)
    run.go(minutes, fall)
    if processes > 1:
        dist.destroy_process_group()


class Run:
    """The state of one process: weights, optimiser, counters."""

    def __init__(self, places: Places, rank: int, processes: int, beside: Sequence[Path] = ()) -> None:
        self._folder = places.runs
        self._rank, self._processes = rank, processes
        self._bank = load_bank(places.phrases)
        _, self._labels = find_sounds(places.class_map)
        self._teacher = load_teacher(places.runs / "teacher.pt")
        vectors = torch.from_numpy(self._bank.vectors.astype(np.float32))
        self._sentences = self._teacher.text(vectors)
        self._tune = load_held_back(places.audio)
        parts = load_soundscapes(places.soundscapes)
        if len(parts) < 2:  # noqa: PLR2004 - one is kept back
            raise ValueError(f"{places.soundscapes}: {len(parts)} parts: mix 2 hours or more")
        *self._soundscapes, unheard = parts
        kept_back = Batches([unheard], Judge(self._labels), np.random.default_rng(0))
        self._unheard = kept_back.draw(UNHEARD, hardened=False)
        torch.manual_seed(0)
        self._tower = AudioTower()
        self._beside = [frozen(ears_of(path)) for path in beside]
        self._seed(0)
        frames = torch.cat([self._batches.draw(BATCH).mel.flatten(0, 2) for _ in range(20)])
        self._tower.fix_normalisation(frames[frames.mean(1) > g.FLOOR_DB + 15])
        self._average = copy.deepcopy(self._tower).eval().requires_grad_(False)
        self._optimisers = optimisers(self._tower, "bias_table", matrix_decay=0.05, rest_decay=0.0)
        self._top_rate = TOP_RATE
        self._step = self._passes = 0

    def resume(self, start: Path | None) -> None:
        """Load the state before the rate last fell, with new random draws; else a checkpoint's weights."""
        path = self._folder / "audio.pt"
        if path.exists():
            state = torch.load(path, weights_only=True)
            refuse_other(path, state["tower"], self._tower)
            self._tower.load_state_dict(state["tower"])
            self._average.load_state_dict(state["average"])
            for optimiser, kept in zip(self._optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(kept)
            self._step, self._passes = state["step"], state["passes"]
            self._top_rate = state["top_rate"]
            LOG.info("resumed after %d windows", self._passes)
        elif start is not None:
            weights = ears_of(start)
            self._tower.load_state_dict(weights)
            self._average.load_state_dict(weights)
            self._top_rate = GENTLE_RATE
        self._seed(self._step)

    def go(self, minutes: float, fall: float) -> None:
        """Train for ``minutes``; save and test now and then."""
        begun = said = saved = tested = time.monotonic()
        seconds, since, first = 60 * minutes, 0, self._passes
        sums = np.zeros(len(SAID))
        self._tower.train()
        while (part := self._agree(self._part(begun, seconds))) < 1:
            losses = self._learn(self._top_rate * rate_at(part, fall, self._step, WARM_STEPS))
            sums += [float(getattr(losses, name).detach()) for name in SAID]
            since += 1
            now = time.monotonic()
            if self._rank:
                continue
            if now - said > SAY_S:
                means = dict(zip(SAID, sums / since, strict=True))
                speed = (self._passes - first) / (now - begun)
                self._say(part, speed, means)
                said, since, sums = now, 0, np.zeros(len(SAID))
            if part < 1 - fall and now - saved > SAVE_S:
                self._save("audio.pt")
                saved = now
            if now - tested > TEST_S:
                self._test()
                tested = time.monotonic()
        if not self._rank:
            self._test()
            self._save("audio.pt" if part == STOPPED or not fall else "audio-final.pt")

    def _seed(self, extra: int) -> None:
        seed = 1 + self._rank + 1000 * extra
        self._rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self._batches = Batches(self._soundscapes, Judge(self._labels), self._rng)
        self._memory = Memory(BATCH)

    def _learn(self, rate: float) -> Losses:
        set_rate(self._optimisers, rate)
        batch = self._batches.draw(BATCH)
        with torch.autocast("cpu", torch.bfloat16):
            sounds = self._tower(batch.mel)
            others = [tower(batch.mel) for tower in self._beside]
        words = self._sentences[torch.from_numpy(self._bank.draw(self._rng))]
        taught = lesson(batch, self._teacher, others)
        losses = compare(sounds, words, batch, taught, self._memory)
        self._tower.zero_grad()
        (losses.agreement if others else losses.total).backward()
        parameters = [p for p in self._tower.parameters() if p.grad is not None]
        if self._processes > 1:
            average_gradients(parameters, self._processes)
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        for optimiser in self._optimisers:
            optimiser.step()
        self._step += 1
        self._passes += BATCH * self._processes
        follow(self._average, self._tower, min(AVERAGE, 1 - 1 / (self._step + 1) ** 0.8))
        return losses

    def _part(self, begun: float, seconds: float) -> float:
        """How much of the run is over; `STOPPED` once somebody writes a file ``stop``."""
        stop = self._folder / "stop"
        if not self._rank and stop.exists():
            stop.unlink()
            return STOPPED
        return (time.monotonic() - begun) / seconds

    def _agree(self, part: float) -> float:
        """The first process' clock, so that all stop at the same step."""
        if self._processes == 1:
            return part
        shared = torch.tensor(part)
        dist.broadcast(shared, 0)
        return float(shared)

    def _say(self, part: float, speed: float, means: dict[str, float]) -> None:
        text = " ".join(f"{name} {value:.3f}" for name, value in means.items())
        LOG.info("%3.0f %% %d windows, %.0f/s, %s", 100 * part, self._passes, speed, text)
        runlog.append(
            self._folder / "audio.jsonl",
            time=time.time(), passes=self._passes, speed=speed, **means,
        )  # fmt: skip

    def _test(self) -> None:
        light = test_tower(self._average, self._tune, self._sentences.numpy(), self._bank, self._labels)
        unheard, order = self._kept_back()
        LOG.info(
            "after %d windows: %s, in mixtures kept back likeness %.4f, order %.4f",
            self._passes, light, unheard, order,
        )  # fmt: skip
        runlog.append(
            self._folder / "audio.jsonl",
            passes=self._passes, unheard=unheard, unheard_order=order, **asdict(light),
        )  # fmt: skip

    @torch.inference_mode()
    def _kept_back(self) -> tuple[float, float]:
        """The losses `likeness` and `order` in soundscapes kept back: mixtures are learnt by heart, too."""
        sounds = torch.cat([self._average(mel) for mel in self._unheard.mel.split(BATCH)])
        taught = lesson(self._unheard, self._teacher)
        words = self._sentences[torch.from_numpy(np.array([group[0] for group in self._bank.groups]))]
        return float(unlikeness(sounds, taught)), float(disorder(sounds @ words.T, taught @ words.T))

    def _save(self, name: str) -> None:
        state = {
            "tower": self._tower.state_dict(),
            "average": self._average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "step": self._step,
            "passes": self._passes,
            "top_rate": self._top_rate,
        }
        part = self._folder / (name + ".part")
        torch.save(state, part)
        part.replace(self._folder / name)


def refuse_other(path: Path, weights: dict[str, Tensor], tower: AudioTower) -> None:
    """Raise `ValueError` for a state whose tower has other blocks: its optimiser is of no use here."""
    if weights.keys() != tower.state_dict().keys():
        raise ValueError(f"{path}: of a tower with other blocks: move it away, begin with --start CHECKPOINT")


def average_gradients(parameters: list[torch.nn.Parameter], processes: int) -> None:
    """Replace each gradient by its mean over all processes, in one message."""
    flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
    dist.all_reduce(flat)
    flat /= processes
    for p, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        p.grad = part.view_as(p)


@torch.no_grad()
def follow(average: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    """Move the averaged weights towards the model's."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
