"""More than one PortAudio in one process.

PortAudio is one library with one frozen list of devices.  A copy of its file, loaded beside it, is another
library with a list of its own, which can be made anew while streams of the first one go on.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType


def another() -> ModuleType | None:
    """Load sounddevice and PortAudio once more, not initialised; None where the system does not let us."""
    path = _loaded_from(Path("/proc/self/maps"))
    spec = importlib.util.find_spec("sounddevice")
    if path is None or spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module._terminate()  # noqa: SLF001 - what it initialised is the first one
    module._lib = module._ffi.dlopen(_copied(path))  # type: ignore[attr-defined]  # noqa: SLF001
    return module


def _loaded_from(maps: Path) -> Path | None:
    """File of the PortAudio that this process has."""
    try:
        lines = maps.read_text().splitlines()
    except OSError:
        return None
    return next((Path(line[line.index("/") :]) for line in lines if "libportaudio" in line), None)


def _copied(path: Path) -> str:
    """Return the name of a copy in memory, which stays open: the same name would be the same library."""
    file = os.memfd_create("portaudio")
    with os.fdopen(os.dup(file), "wb") as copy:
        copy.write(path.read_bytes())
    return f"/proc/self/fd/{file}"
