"""``python -m training STEP --data FOLDER [--work FOLDER]``: one step of the training."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
from pathlib import Path

from training.places import DEFAULT_WORK, Places

STEPS = {
    "fetch": "download and unpack the Debian packages",
    "prepare": "decode every recording",
    "mine": "look for sounds of rare kinds among those that nobody recorded",
    "mix": "compose soundscapes and listen to them with the audio teacher",
    "phrases": "collect phrases and their sentence embeddings",
    "teach": "train the teacher CLAP on cached vectors",
    "text": "train the text tower",
    "train": "train the audio tower",
    "directions": "measure where sentences have to point",
    "refine": "train the text tower of a checkpoint to point there",
    "export": "write the checkpoint directory",
    "report": "measure the checkpoint",
    "kit": "make the calibration kit of the package",
}


def main() -> None:
    """Run one step; each resumes what an earlier run of it left."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    for name, summary in STEPS.items():
        step = steps.add_parser(name, help=summary)
        step.add_argument("--data", type=Path, required=True, help="the given data, read only")
        step.add_argument("--work", type=Path, default=DEFAULT_WORK, help="our own folder")
        if name == "mix":
            step.add_argument("--hours", type=float, default=28.0, help="of soundscapes, 0.1 GB each")
        if name == "mine":
            step.add_argument("--minutes", type=float, default=10.0, help="look for so long")
            step.add_argument("--start", type=Path, help="a checkpoint: keep only what it gets wrong")
        if name in ("text", "train"):
            step.add_argument("--minutes", type=float, required=True, help="stop after this long")
            step.add_argument("--start", type=Path, help="a checkpoint of ours to begin with, not nothing")
            step.add_argument(
                "--fall", type=float, default=argparse.SUPPRESS, help="share in which the rate falls, 0 to 1"
            )
        if name in ("directions", "refine"):
            step.add_argument("--start", type=Path, required=True, help="the checkpoint to begin with")
        if name == "refine":
            step.add_argument("--minutes", type=float, required=True, help="stop after this long")
        if name == "export":
            step.add_argument("--start", type=Path, help="the checkpoint that the training began with")
            step.add_argument("--share", type=float, default=1.0, help="of the way from it, 0 to 1")
        if name == "train":
            step.add_argument("--processes", type=int, default=2, help="one thread each")
            step.add_argument(
                "--beside", type=Path, nargs="+", default=(), help="checkpoints that teach beside the teacher"
            )
    arguments = vars(parser.parse_args())
    name = arguments.pop("step")
    places = Places(arguments.pop("data").resolve(), arguments.pop("work").expanduser().resolve())
    places.work.mkdir(parents=True, exist_ok=True)
    _log_to(places.work / "log.txt")
    os.nice(10)
    step = getattr(importlib.import_module(f"training.{name}"), name)
    step(places, **arguments)


def _log_to(path: Path) -> None:
    shape = "%(asctime)s %(name)s: %(message)s"
    handlers: list[logging.Handler] = [logging.StreamHandler(), logging.FileHandler(path)]
    logging.basicConfig(level=logging.INFO, format=shape, handlers=handlers)


if __name__ == "__main__":
    main()
