"""PortAudio copies: more than one PortAudio in one process.

PortAudio has one frozen list of devices.  A copy of its file, loaded beside it, is another library with a
list of its own, which can be refreshed while streams of the first one go on.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType


def another() -> ModuleType | None:
    """Load sounddevice and PortAudio once more, not initialised; None if the system does not allow it."""
    path = _loaded_from(Path("/proc/self/maps"))
    spec = importlib.util.find_spec("sounddevice")
    if path is None or spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module._terminate()  # noqa: SLF001 - it initialised the first one
    module._lib = module._ffi.dlopen(_copied(path))  # type: ignore[attr-defined]  # noqa: SLF001
    return module


def _loaded_from(maps: Path) -> Path | None:
    """Return the file of the PortAudio that this process has loaded."""
    try:
        lines = maps.read_text().splitlines()
    except OSError:
        return None
    return next((Path(line[line.index("/") :]) for line in lines if "libportaudio" in line), None)


def _copied(path: Path) -> str:
    """Return the name of an in-memory copy; the same name would give the same library."""
    file = os.memfd_create("portaudio")
    with os.fdopen(os.dup(file), "wb") as copy:
        copy.write(path.read_bytes())
    return f"/proc/self/fd/{file}"
