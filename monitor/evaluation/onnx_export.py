"""ONNX export: exports a checkpoint, and keeps the result only if its embeddings agree with torch.

Both engines embed the same windows of the calibration kit and the sentences of its labels.  Everything is
written into a temporary directory first, and the manifest is put in place last.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.evaluation.calibration_kit import Kit, read_kit
from monitor.evaluation.kit_windows import clip_windows
from monitor.model.checkpoint import FILES, WEIGHTS, Checkpoint, read
from monitor.model.engine_choice import ONNX_NEEDS, TORCH_NEEDS, installed
from monitor.model.log_mel import log_mel
from monitor.model.onnx_manifest import MANIFEST, Manifest, Measured, exported_file
from monitor.model.towers import AudioTower, TextPlace
from monitor.system.atomic_file import sync
from monitor.system.boundary import explain
from monitor.types import Embeddings, ModelError, OutputError

Progress = Callable[[int, int], None]
"""Takes how many windows are done, and of how many."""

LEAST_COSINE = 0.99999
"""Between the embeddings of both engines."""

LEAST_INT8_COSINE = 0.9
"""Between those in int8 and torch's: what is further away is not rounded but broken."""

_SECONDS = 20.0
"""Time for the windows, if they are many."""
_LEAST_WINDOWS = 32
_BATCHES = (1, 3)
"""Windows at once, in turn: an export must take any number."""
_TIMED = 5
"""Windows whose time is taken."""

SHARED = WEIGHTS[0]
"""Weights to which an export in the same directory refers."""

_BELONGING = (*FILES, "detection.json", "repertoire.json", "qualification.safetensors")
"""Files that an export in a directory of its own takes along."""


@dataclass(frozen=True, slots=True)
class Export:
    """What was exported."""

    directory: Path
    manifest: Manifest
    windows: int
    """Windows of the kit that were compared."""

    @property
    def megabytes(self) -> float:
        """Size of the files that were written."""
        return sum(file.size for file in self.manifest.files.values()) / 1e6


def export(
    files: Checkpoint,
    directory: Path,
    *,
    progress: Progress = lambda _done, _of: None,
    kit: Kit | None = None,
    least_cosine: float = LEAST_COSINE,
    int8: bool = False,
) -> Export:
    """Export a checkpoint into its own directory, or into one that is new, empty or an older export.

    Parameters
    ----------
    files : Checkpoint
    directory : Path
    progress : callable
    kit : Kit or None
        None for the whole calibration kit.
    least_cosine : float
        To the embeddings of torch.
    int8 : bool
        Write a second audio encoder, with products in int8.

    Raises
    ------
    ModelError
        torch, onnx or another package is missing, the checkpoint cannot be loaded, or the export does not
        give the embeddings of torch; nothing has been changed then.
    OutputError
        The directory holds other files, or cannot be written.
    """
    _refuse_missing_packages()
    beside = directory.exists() and files.path.exists() and directory.samefile(files.path)
    if not beside:
        _refuse_foreign(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=directory) as place:
            draft = Path(place)
            manifest, own = _draft(files, draft, beside=beside, int8=int8)
            made = _compared(files, draft, manifest, kit or read_kit(), progress)
            if not made.manifest.cosine >= least_cosine:
                raise ModelError(
                    f"{files.path}: the ONNX export differs from torch: lowest cosine "
                    f"{made.manifest.cosine:.7f}, but {least_cosine:g} is needed: it was not written"
                )
            rounded = made.manifest.int8
            if rounded is not None and not rounded.cosine >= LEAST_INT8_COSINE:
                raise ModelError(
                    f"{files.path}: the export in int8 differs too much from torch: lowest cosine "
                    f"{rounded.cosine:.4f}, but {LEAST_INT8_COSINE:g} is needed: nothing was written"
                )
            belonging = [] if beside else [name for name in _BELONGING if (draft / name).is_file()]
            _put(draft, directory, made.manifest, [*belonging, *own])
    except OSError as error:
        raise OutputError(f"{directory}: cannot be written: {explain(error)}") from error
    return replace(made, directory=directory)


def _draft(files: Checkpoint, draft: Path, *, beside: bool, int8: bool) -> tuple[Manifest, Sequence[str]]:
    """Export into a temporary directory, with all that belongs to a checkpoint; return what is new, too."""
    from monitor.model.onnx_exporter import export_encoders, versions

    weights = files.torch_weights
    for name in _BELONGING:
        if (files.path / name).is_file():
            shutil.copyfile(files.path / name, draft / name)
    if beside and weights.name == SHARED and not weights.is_symlink():
        _link(weights, draft / weights.name)
    made = export_encoders(files, draft, int8=int8)
    manifest = Manifest(
        identity=files.identity,
        files={name: exported_file(draft / name) for name in sorted({*made.files, made.tokenizer})},
        tokenizer=made.tokenizer,
        logit_scale=made.logit_scale,
        longest_prompt=made.longest_prompt,
        padding_token=made.padding_token,
        cosine=0.0,
        seconds={"onnx": 1.0, "torch": 1.0},
        versions=versions(),
        int8=Measured(0.0, 1.0) if int8 else None,
    )
    (draft / MANIFEST).write_bytes(manifest.as_json())
    return manifest, made.files


def _compared(files: Checkpoint, draft: Path, manifest: Manifest, kit: Kit, progress: Progress) -> Export:
    """Compare the export with torch, and take the time of both."""
    from monitor.model.onnx_encoders import OnnxAudioEncoder, OnnxTextEncoder
    from monitor.model.torch_towers import TorchAudioEncoder, placement_of, text_encoder

    drafted, name = read(draft), str(files.path)
    texts = [label.sentence for label in kit.labels]
    reads = OnnxTextEncoder(drafted, name).embed(texts)
    cosine = _least_cosine(reads, text_encoder(files, TextPlace("torch"), name).embed(texts))
    ours = OnnxAudioEncoder(drafted, manifest)
    reference = TorchAudioEncoder(files, placement_of(files, "cpu", "float32"))
    rounded = [] if manifest.int8 is None else [OnnxAudioEncoder(drafted, manifest, int8=True)]
    spectrograms = list(_spectrograms(files, kit, _TIMED))
    count = _affordable(len(kit.cohort), _in_turn(spectrograms, ours, reference, *rounded))
    done, int8_cosine = 0, 1.0
    for batch in _batches(_spectrograms(files, kit, count)):
        theirs = reference.embed(batch)
        cosine = min(cosine, _least_cosine(ours.embed(batch), theirs))
        int8_cosine = min([int8_cosine, *(_least_cosine(each.embed(batch), theirs) for each in rounded)])
        done += len(batch)
        progress(done, count)
    usual = TorchAudioEncoder(files, placement_of(files, "cpu", "auto"))
    onnx, torch, *int8 = _in_turn(spectrograms, ours, usual, *rounded)
    measured = replace(
        manifest,
        cosine=cosine,
        seconds={"onnx": onnx, "torch": torch},
        int8=Measured(int8_cosine, int8[0]) if int8 else None,
    )
    return Export(draft, measured, done)


def _put(draft: Path, directory: Path, manifest: Manifest, new: Sequence[str]) -> None:
    """Move an export from its temporary directory to its place, the manifest last."""
    (draft / MANIFEST).write_bytes(manifest.as_json())
    for name in (*new, MANIFEST):
        sync(draft / name)
    (directory / MANIFEST).unlink(missing_ok=True)
    for name in (*new, MANIFEST):
        (draft / name).replace(directory / name)


def _spectrograms(files: Checkpoint, kit: Kit, count: int) -> Iterator[NDArray[np.float32]]:
    """Yield the spectrograms of this many windows of the kit, evenly spread."""
    places = np.linspace(0, len(kit.cohort) - 1, count).round().astype(int)
    clips = [kit.cohort[place] for place in places]
    mel_config = files.mel_config
    for window in clip_windows(clips, kit.beds, mel_config.rate, mel_config.usual_window):
        yield log_mel(window, mel_config)


def _batches(spectrograms: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    for size in cycle(_BATCHES):
        batch = list(islice(spectrograms, size))
        if not batch:
            return
        yield np.stack(batch)


def _in_turn(spectrograms: Sequence[NDArray[np.float32]], *towers: AudioTower) -> tuple[float, ...]:
    """Least processor time of each engine for one window, in seconds; other load affects both equally."""
    least = [float("inf")] * len(towers)
    for spectrogram in spectrograms:
        for number, tower in enumerate(towers):
            begin = time.process_time()
            tower.embed(spectrogram[None])
            least[number] = min(least[number], time.process_time() - begin)
    return tuple(least)


def _affordable(clips: int, seconds: Sequence[float]) -> int:
    return min(clips, max(_LEAST_WINDOWS, int(_SECONDS / sum(seconds))))


def _least_cosine(ours: Embeddings, theirs: Embeddings) -> float:
    return float((ours.astype(np.float64) * theirs).sum(axis=-1).min())


def _link(source: Path, target: Path) -> None:
    """Link or copy the weights, so that the export can refer to them."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _refuse_missing_packages() -> None:
    needed = (*TORCH_NEEDS, *ONNX_NEEDS, "onnx", "onnxscript")
    missing = [name for name in needed if not installed((name,))]
    if missing:
        raise ModelError(
            f"the export needs {', '.join(missing)}, not installed here: pip install 'clap-monitor[onnx]'"
        )


def _refuse_foreign(directory: Path) -> None:
    """Raise OutputError for a directory that holds anything but an export."""
    try:
        names = {path.name for path in directory.iterdir()} if directory.exists() else set()
    except OSError as error:
        raise OutputError(f"{directory}: {explain(error)}: choose a directory") from error
    if names and MANIFEST not in names:
        raise OutputError(f"{directory}: is not empty and holds no export: choose another directory")
