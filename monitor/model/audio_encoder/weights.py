"""The tensors of a checkpoint's file, mapped: what is not asked for is not read, what is copied is let go."""

from __future__ import annotations

import ctypes
import mmap
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

_DONT_NEED = 4  # MADV_DONTNEED: the pages come back from the file if they are read again


@dataclass(frozen=True, slots=True)
class Weights:
    """An open file of weights."""

    names: Collection[str]
    _view: Callable[[str], Tensor]
    _mapped: bool

    def is_real(self, name: str) -> bool:
        """Whether the tensor of a name holds floating-point numbers; a pickle may hold anything else."""
        view = self._view(name)
        return isinstance(view, Tensor) and view.is_floating_point()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of the tensor of a name."""
        return tuple(self._view(name).shape)

    def copy(self, name: str, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Copy of the tensor of a name; its pages of the file no longer count as memory of this process.

        Without that, a tower in float32 is in memory twice while it is loaded.
        """
        view = self._view(name)
        copy = view.to(device, dtype, copy=True)
        if self._mapped:
            _let_go(view)
        return copy


@contextmanager
def opened(path: Path) -> Iterator[Weights]:
    """Open a ``.safetensors``, or a ``.bin``, from which nothing but tensors is unpickled.

    Raises
    ------
    SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError
        The file is broken, or is no such file.
    """
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as tensors:
            yield Weights(frozenset(tensors.keys()), tensors.get_tensor, True)
        return
    mapped = zipfile.is_zipfile(path)  # files of torch before 1.6 cannot be mapped
    content = torch.load(path, weights_only=True, map_location="cpu", mmap=mapped)
    yield Weights(content.keys(), content.__getitem__, mapped)


def _let_go(view: Tensor) -> None:
    """Let the kernel take back the whole pages of a mapped tensor, which nobody has written."""
    advise = getattr(ctypes.CDLL(None), "madvise", None)
    first = -(-view.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    size = (view.data_ptr() + view.nbytes - first) // mmap.PAGESIZE * mmap.PAGESIZE
    if advise is not None and size > 0:
        advise(ctypes.c_void_p(first), ctypes.c_size_t(size), _DONT_NEED)
