"""The two halves of a checkpoint, from a directory into torch; every fault becomes one line.

Nothing here asks a network, and nothing but tensors is unpickled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from safetensors import SafetensorError

from monitor.model.audio_config import Shape, shape_of, tensors_of
from monitor.model.audio_encoder import int8_linear
from monitor.model.audio_encoder.htsat import AudioTower
from monitor.model.audio_encoder.linear import Linear
from monitor.model.audio_encoder.weights import opened
from monitor.model.checkpoint import Checkpoint
from monitor.system.boundary import boundary, explain
from monitor.types import Embeddings, ModelError

Confined = Callable[[], AbstractContextManager[None]]
"""What the tokenizer runs within."""

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


_LARGEST_LOGARITHM = 20.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where and in what precision a tower runs."""

    device: torch.device
    dtype: torch.dtype
    int8: bool = False
    """The audio tower's products are in int8; everything else, and all of the text tower, is in ``dtype``."""

    @property
    def precision(self) -> str:
        """What it is called in the configuration."""
        return "int8" if self.int8 else name_of(self.dtype)

    def __str__(self) -> str:
        return f"{self.precision} on {self.device}"


def name_of(dtype: torch.dtype) -> str:
    """What a number format is called in the configuration."""
    return str(dtype).removeprefix("torch.")


def place_of(device: str, dtype: str) -> Place:
    """Choose where to run; raises ModelError for what is not there.

    Parameters
    ----------
    device : str
        ``auto`` (the first there is of CUDA, MPS, CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    dtype : str
        ``auto`` (float16 on CUDA, else float32), ``float32``, ``bfloat16``, ``float16`` or ``int8``.
    """
    return place_on(_device(device), dtype)


def place_on(where: torch.device, dtype: str, steps: Callable[[], int] = int8_linear.steps) -> Place:
    """Choose the precision on a device that is there; ``steps`` says whether the CPU can do int8."""
    if dtype == "int8":
        if where.type != "cpu":
            raise ModelError(
                f"model.dtype: int8 runs on the CPU only, not on {where}: use auto, or `model.device: cpu`"
            )
        if not steps():
            raise ModelError(
                "model.dtype: int8 does not work with this processor and this torch: use auto or float32"
            )
        return Place(where, torch.float32, int8=True)
    if dtype == "auto":
        # Half the memory; float16 is nearer to float32 than bfloat16 (cosine 1.0 and 0.997).
        return Place(where, torch.float16 if where.type == "cuda" else torch.float32)
    return Place(where, dtype_of(dtype))


def dtype_of(name: str) -> torch.dtype:
    """The number format of a name; raises ModelError for one that cannot be used."""
    if name not in _DTYPES:
        raise ModelError(f"model.dtype: {name!r} is none of auto, {', '.join(_DTYPES)}, int8")
    return _DTYPES[name]


def unit(embeddings: torch.Tensor) -> Embeddings:
    """Normalise in float32: in bfloat16 the norm comes out as 1.0016 [measured]."""
    rows: Embeddings = torch.nn.functional.normalize(embeddings.float(), dim=-1).cpu().numpy()
    return rows


def quiet() -> None:
    """Keep transformers from writing to stderr; its progress bars would also start a thread."""
    import transformers  # noqa: PLC0415 - as in `text_tower`

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def shape(files: Checkpoint) -> Shape:
    """What its configuration says of a checkpoint's audio tower."""
    return shape_of(files.config, str(files.path / "config.json"))


def audio_tower(files: Checkpoint, place: Place) -> tuple[AudioTower, Shape, float]:
    """Load the audio tower with its projection; its shape; the factor from cosine to logit."""
    form = shape(files)
    needed = tensors_of(form) | {"logit_scale_a": ()}
    with _readable(files, place), opened(files.weights) as weights:
        _check_names(files, sorted(set(needed) - set(weights.names)))

        for name, expected in needed.items():
            if not weights.is_real(name):
                raise ModelError(f"{files.weights}: {name}: is no tensor of floating-point numbers")
            if weights.shape(name) != expected:
                raise ModelError(
                    f"{files.path / 'config.json'}: audio_config: makes {name} {list(expected)}, but the "
                    f"weights have {list(weights.shape(name))}"
                )
        frames = files.mel_config.frames
        product = partial(int8_linear.QuantisedLinear, steps=int8_linear.steps()) if place.int8 else Linear
        tower = AudioTower(form, weights, place.device, place.dtype, frames=frames, product=product)
        scale = weights.copy("logit_scale_a", torch.device("cpu"), torch.float32)
        return tower, form, _factor(float(scale), files)


def _factor(logarithm: float, files: Checkpoint) -> float:
    if not abs(logarithm) < _LARGEST_LOGARITHM:
        raise ModelError(f"{files.weights}: logit_scale_a: {logarithm:g} is not between -20 and 20")
    return math.exp(logarithm)


def text_tower(files: Checkpoint, place: Place, confined: Confined = nullcontext) -> tuple[Any, Any, Any]:
    """Load the tokenizer, the text tower with its projection in evaluation mode, and its configuration.

    Parameters
    ----------
    files : Checkpoint
    place : Place
    confined : callable
        Makes what the tokenizer is loaded within.
    """
    # Imported only here: it takes 130 MB, and sentences that are known do not need it.
    from transformers import AutoTokenizer, ClapConfig, ClapTextModelWithProjection  # noqa: PLC0415

    quiet()
    with _readable(files, place):
        config: Any = ClapConfig.from_pretrained(files.path, local_files_only=True)
        with confined():
            # Said, or transformers would ask standard input whether it may run what a checkpoint brings.
            tokenizer = AutoTokenizer.from_pretrained(
                files.path, local_files_only=True, trust_remote_code=False
            )
        kind: Any = ClapTextModelWithProjection
        tower, loading = kind.from_pretrained(
            files.path,
            config=config.text_config,
            dtype=place.dtype,
            local_files_only=True,
            use_safetensors=files.weights.suffix == ".safetensors",
            weights_only=True,
            output_loading_info=True,
        )
        _check_names(files, sorted(loading["missing_keys"]))
        tower = tower.eval().requires_grad_(requires_grad=False).to(place.device)
        return tokenizer, tower, config.text_config


@contextmanager
def enough_memory(files: Checkpoint, place: Place) -> Iterator[None]:
    """Say in one line that the memory is too small; other errors pass."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_memory(error):
            raise
        raise _too_large(files, place) from error


def first_line(error: Exception) -> str:
    """Kind of an error and the first line of its message, which may be a page."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _check_names(files: Checkpoint, lacking: list[str]) -> None:
    if lacking:
        what = f"{len(lacking)} tensors are missing, the first {lacking[0]}"
        if len(lacking) == 1:
            what = f"{lacking[0]} is missing"
        raise ModelError(f"{files.weights}: {what}: not all of a CLAP model")


def _device(name: str) -> torch.device:
    mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"model.device: {name!r} is none of auto, cpu, cuda, cuda:N, mps") from error
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(mps)}
    if (device.index or 0) >= there.get(device.type, 0):
        raise ModelError(f"model.device: {name} is not there on this machine: use cpu or auto")
    return device


@contextmanager
def _readable(files: Checkpoint, place: Place | None = None) -> Iterator[None]:
    """Turn whatever a broken file makes the libraries raise into one line that names the directory."""
    with boundary(ModelError, f"{files.path}: cannot be loaded"):
        try:
            yield
        except SafetensorError as error:
            raise ModelError(f"{files.weights}: cannot be loaded: {explain(error)}") from error
        except (MemoryError, RuntimeError) as error:
            if _is_memory(error):
                raise _too_large(files, place) from error
            raise


def _is_memory(error: Exception) -> bool:
    words = ("out of memory", "allocate memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def _too_large(files: Checkpoint, place: Place | None) -> ModelError:
    size = files.weights.stat().st_size / 1e6
    where = f" ({place})" if place else ""
    return ModelError(
        f"{files.path}: not enough memory{where} for {size:.0f} MB of weights: use a smaller checkpoint or "
        "`model.dtype: bfloat16`"
    )
