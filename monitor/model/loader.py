"""Loader: the audio and the text encoder of a checkpoint, into torch, on a device and in a number format.

Every error becomes one line.  No network is used, and only tensors are unpickled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from safetensors import SafetensorError

from monitor.model.audio_encoder import int8_linear
from monitor.model.audio_encoder.htsat import AudioEncoder
from monitor.model.audio_encoder.linear import Linear
from monitor.model.audio_encoder.weights import needed_tensors, opened
from monitor.model.checkpoint import Checkpoint
from monitor.model.towers import Sandbox
from monitor.system.boundary import boundary, explain
from monitor.types import Embeddings, ModelError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_LARGEST_LOGIT_SCALE = 20.0
"""Absolute value of the logarithm that a checkpoint stores."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Device and precision of an encoder."""

    device: torch.device
    dtype: torch.dtype
    int8: bool = False
    """The audio encoder has matrix products in int8; everything else is in `dtype`."""

    @property
    def precision(self) -> str:
        """Name in the configuration."""
        return "int8" if self.int8 else name_of(self.dtype)

    def __str__(self) -> str:
        return f"{self.precision} on {self.device}"


def name_of(dtype: torch.dtype) -> str:
    """Name of a number format in the configuration."""
    return str(dtype).removeprefix("torch.")


def placement_of(device: str, dtype: str) -> Placement:
    """Device and precision that the configuration names; raises ModelError if one is not available.

    Parameters
    ----------
    device : str
        ``auto`` (the first available of CUDA, MPS, CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    dtype : str
        ``auto`` (float16 on CUDA, else float32), ``float32``, ``bfloat16``, ``float16`` or ``int8``.
    """
    return placement_on(_device(device), dtype)


def placement_on(where: torch.device, dtype: str, steps: Callable[[], int] = int8_linear.steps) -> Placement:
    """Precision on an available device; ``steps`` returns 0 if the CPU has no int8 products."""
    if dtype == "int8":
        if where.type != "cpu":
            raise ModelError(
                f"model.dtype: int8 runs on the CPU only, not on {where}: use auto, or `model.device: cpu`"
            )
        if not steps():
            raise ModelError(
                "model.dtype: int8 does not work with this processor and this torch: use auto or float32"
            )
        return Placement(where, torch.float32, int8=True)
    if dtype == "auto":
        # Half the memory; float16 is closer to float32 than bfloat16 is (cosine 1.0 against 0.997).
        return Placement(where, torch.float16 if where.type == "cuda" else torch.float32)
    return Placement(where, dtype_of(dtype))


def dtype_of(name: str) -> torch.dtype:
    """Number format of a name; raises ModelError for an unknown one."""
    if name not in _DTYPES:
        raise ModelError(f"model.dtype: {name!r} is none of auto, {', '.join(_DTYPES)}, int8")
    return _DTYPES[name]


def unit(embeddings: torch.Tensor) -> Embeddings:
    """Normalise in float32: in bfloat16 the norm would be 1.0016 [measured]."""
    rows: Embeddings = torch.nn.functional.normalize(embeddings.float(), dim=-1).cpu().numpy()
    return rows


def quiet() -> None:
    """Stop transformers from writing to stderr; its progress bars would also start a thread."""
    import transformers  # noqa: PLC0415 - as in `load_text_encoder`

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def load_audio_encoder(files: Checkpoint, place: Placement) -> tuple[AudioEncoder, float]:
    """Load the audio encoder with its projection, and the factor from cosine to logit."""
    needed = needed_tensors(files.audio_config) | {"logit_scale_a": ()}
    with _readable(files, place), opened(files.torch_weights) as weights:
        _check_names(files, sorted(set(needed) - set(weights.names)))
        for name, expected in needed.items():
            if not weights.is_real(name):
                raise ModelError(f"{files.torch_weights}: {name}: is not a tensor of floating-point numbers")
            if weights.shape(name) != expected:
                raise ModelError(
                    f"{files.path / 'config.json'}: audio_config: makes {name} {list(expected)}, but the "
                    f"weights have {list(weights.shape(name))}"
                )
        scale = float(weights.copy("logit_scale_a", torch.device("cpu"), torch.float32))
        if not abs(scale) < _LARGEST_LOGIT_SCALE:
            raise ModelError(f"{files.torch_weights}: logit_scale_a: {scale:g} is not between -20 and 20")
        product = partial(int8_linear.QuantisedLinear, steps=int8_linear.steps()) if place.int8 else Linear
        encoder = AudioEncoder(
            files.audio_config,
            weights,
            place.device,
            place.dtype,
            frames=files.mel_config.frames,
            product=product,
        )
        return encoder, math.exp(scale)


def load_text_encoder(
    files: Checkpoint, place: Placement, sandbox: Sandbox = nullcontext
) -> tuple[Any, Any, Any]:
    """Load the tokenizer, the text encoder with its projection in evaluation mode, and its configuration.

    ``sandbox`` makes the context manager within which the tokenizer is loaded.
    """
    # A late import: it takes 130 MB, and prompts in the cache do not need it.
    from transformers import AutoTokenizer, ClapConfig, ClapTextModelWithProjection  # noqa: PLC0415

    quiet()
    with _readable(files, place):
        config: Any = ClapConfig.from_pretrained(files.path, local_files_only=True)
        with sandbox():
            # Without trust_remote_code=False, transformers asks on standard input whether it may run code.
            tokenizer = AutoTokenizer.from_pretrained(
                files.path, local_files_only=True, trust_remote_code=False
            )
        kind: Any = ClapTextModelWithProjection
        encoder, loading = kind.from_pretrained(
            files.path,
            config=config.text_config,
            dtype=place.dtype,
            local_files_only=True,
            use_safetensors=files.torch_weights.suffix == ".safetensors",
            weights_only=True,
            output_loading_info=True,
        )
        _check_names(files, sorted(loading["missing_keys"]))
        encoder = encoder.eval().requires_grad_(requires_grad=False).to(place.device)
        return tokenizer, encoder, config.text_config


@contextmanager
def enough_memory(files: Checkpoint, place: Placement) -> Iterator[None]:
    """Turn out-of-memory errors into one line; other errors pass."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_memory(error):
            raise
        raise _too_large(files, place) from error


def _check_names(files: Checkpoint, lacking: list[str]) -> None:
    if lacking:
        what = f"{len(lacking)} tensors are missing, the first {lacking[0]}"
        if len(lacking) == 1:
            what = f"{lacking[0]} is missing"
        raise ModelError(f"{files.torch_weights}: {what}: incomplete CLAP model")


def _device(name: str) -> torch.device:
    mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"model.device: {name!r} is none of auto, cpu, cuda, cuda:N, mps") from error
    available = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(mps)}
    if (device.index or 0) >= available.get(device.type, 0):
        raise ModelError(f"model.device: {name} is not available on this machine: use cpu or auto")
    return device


@contextmanager
def _readable(files: Checkpoint, place: Placement) -> Iterator[None]:
    """Turn every exception that a broken file causes into one line that names the directory."""
    with boundary(ModelError, f"{files.path}: cannot be loaded"):
        try:
            yield
        except SafetensorError as error:
            raise ModelError(f"{files.torch_weights}: cannot be loaded: {explain(error)}") from error
        except (MemoryError, RuntimeError) as error:
            if _is_memory(error):
                raise _too_large(files, place) from error
            raise


def _is_memory(error: Exception) -> bool:
    words = ("out of memory", "allocate memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def _too_large(files: Checkpoint, place: Placement) -> ModelError:
    size = files.torch_weights.stat().st_size / 1e6
    return ModelError(
        f"{files.path}: not enough memory ({place}) for {size:.0f} MB of weights: "
        "use a smaller checkpoint or `model.dtype: bfloat16`"
    )
