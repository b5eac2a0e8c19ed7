"""Engine choice: torch or ONNX Runtime; only the libraries of the chosen one are imported."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from safetensors import SafetensorError, safe_open

from monitor.config import ModelConfig
from monitor.model.checkpoint import Checkpoint
from monitor.model.onnx_manifest import MANIFEST, Manifest, manifest_of
from monitor.model.text_subprocess import SubprocessTextEncoder
from monitor.model.text_worker import local_text_encoder
from monitor.model.towers import AudioTower, TextPlace, Towers
from monitor.system.boundary import explain
from monitor.types import ModelError

log = logging.getLogger(__name__)

ONNX_NEEDS = ("onnxruntime", "tokenizers")
TORCH_NEEDS = ("torch", "transformers")

_FORMATS = ("auto", "float32")
"""Number formats in which ``engine: auto`` compares both engines."""

_ONNX_FORMATS = (*_FORMATS, "int8")
"""Number formats that the ONNX engine has."""

_EXACT_PROMPTS = ("auto", "float32", "int8")
"""Number formats of the audio encoder with which prompts are embedded in float32."""

_GPU = ("/dev/nvidiactl", "/dev/kfd")
"""Device files of the drivers of NVIDIA and AMD: whoever has one wants ``device: auto`` to use it."""


def load_towers(settings: ModelConfig, files: Checkpoint, *, apart: bool) -> Towers:
    """Load the audio encoder in the engine of choice, and prepare the text encoder.

    Parameters
    ----------
    settings : ModelConfig
    files : Checkpoint
    apart : bool
        Whether a child process embeds prompts.

    Raises
    ------
    ModelError
        The checkpoint cannot be loaded, or the engine is not installed or not possible.
    """
    _refuse_cut(files.weights)
    manifest = usable_export(settings, files)
    if settings.engine != "onnx" and not installed(TORCH_NEEDS) and manifest is None:
        raise ModelError(_without_torch(settings, files))
    audio = _audio(settings, files, manifest)
    exact = manifest is not None and settings.dtype in _EXACT_PROMPTS
    place = TextPlace("onnx") if exact else _torch_text_place(settings)
    kind = SubprocessTextEncoder if apart else local_text_encoder
    return Towers(audio, kind(files, place, settings.checkpoint), place)


def _refuse_cut(weights: Path | None) -> None:
    """Refuse a file of weights that is not whole, whichever engine would read it."""
    if weights is None or weights.suffix != ".safetensors":
        return
    try:
        # Other errors are said better by who reads all of it.
        with suppress(OSError, MemoryError), safe_open(weights, framework="numpy"):
            pass
    except SafetensorError as error:
        raise ModelError(f"{weights}: cannot be loaded: {explain(error)}") from error


def usable_export(settings: ModelConfig, files: Checkpoint) -> Manifest | None:
    """Export that may be used for a checkpoint; None for torch.

    Raises
    ------
    ModelError
        ``engine: onnx``, but it is not possible: says why.
    """
    if settings.engine == "torch":
        return None
    try:
        return _export(settings, files)
    except ModelError as error:
        if settings.engine == "onnx" or files.weights is None:
            raise
        log.warning("%s; torch is used", error)
        return None


def installed(packages: tuple[str, ...]) -> bool:
    """Return whether packages are installed, without importing them."""
    return all(find_spec(name) is not None for name in packages)


def _export(settings: ModelConfig, files: Checkpoint) -> Manifest | None:
    """Export of this checkpoint; None if ``auto`` finds none, or a setting asks for more than it can."""
    why = _obstacle(settings, files)
    if why is None and (settings.engine == "onnx" or (files.path / MANIFEST).exists()):
        return manifest_of(files.path, files.identity)
    if why is not None and (settings.engine == "onnx" or files.weights is None):
        raise ModelError(why)
    return None


def _obstacle(settings: ModelConfig, files: Checkpoint) -> str | None:
    """Return why the ONNX engine is not possible; None if it is."""
    if settings.device not in ("auto", "cpu"):
        return f"model.device: {settings.device}: the ONNX engine runs on the CPU only: use cpu or auto"
    if settings.dtype not in _ONNX_FORMATS and (settings.engine == "onnx" or files.weights is None):
        return (
            f"model.dtype: {settings.dtype}: the ONNX engine has float32 and int8: use one of them, or auto"
        )
    missing = [name for name in ONNX_NEEDS if not installed((name,))]
    if missing:
        return f"model.engine: onnx needs {' and '.join(missing)}, not installed here: pip install it"
    return None


def _audio(settings: ModelConfig, files: Checkpoint, manifest: Manifest | None) -> AudioTower:
    threads = settings.threads or 1
    if manifest is not None and _onnx_hears(settings, files, manifest):
        from monitor.model.onnx_encoders import OnnxAudioEncoder  # noqa: PLC0415

        int8 = settings.dtype == "int8"
        if int8 and manifest.int8 is None:
            raise ModelError(
                f"{files.path}: is not exported in int8: run "
                f"`clap-monitor export {settings.checkpoint} --int8`"
            )
        return OnnxAudioEncoder(files, manifest, threads, int8=int8)
    from monitor.model import torch_towers  # noqa: PLC0415

    place = torch_towers.placement_of(files, settings.device, settings.dtype)
    return torch_towers.TorchAudioEncoder(files, place, threads)


def _onnx_hears(settings: ModelConfig, files: Checkpoint, manifest: Manifest) -> bool:
    """Return whether the audio encoder runs in ONNX Runtime: what is faster, and then what is smaller."""
    if settings.engine == "onnx" or files.weights is None or not installed(TORCH_NEEDS):
        return True
    gpu = settings.device == "auto" and (sys.platform == "darwin" or any(Path(f).exists() for f in _GPU))
    return settings.dtype in _FORMATS and not gpu and manifest.onnx_pays


def _torch_text_place(settings: ModelConfig) -> TextPlace:
    from monitor.model import torch_towers  # noqa: PLC0415

    return torch_towers.text_place(settings.device, settings.dtype)


def _without_torch(settings: ModelConfig, files: Checkpoint) -> str:
    if settings.engine == "torch":
        return (
            "model.engine: torch is not installed here: pip install torch transformers, or use engine: auto"
        )
    return (
        f"{files.path}: has no ONNX export, and torch is not installed here: install it, or export the "
        f"checkpoint where it is (`clap-monitor export {settings.checkpoint} --onnx DIR`)"
    )
