"""systemd unit of the service, adapted to this machine and installed.

The text comes from ``systemd/``; only the program and its configuration file are filled in.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.config import example, load
from monitor.system.atomic_file import write_atomic
from monitor.types import ConfigError, OutputError

UNIT = "clap-monitor.service"

_HERE = Path(__file__).parents[1]
_PACKAGED = _HERE / "units" if (_HERE / "units").is_dir() else _HERE.parent / "systemd"
"""A wheel contains the directory as ``units``; a checkout has only ``systemd/``."""

_HEADER = (
    "# Written by `clap-monitor install-service`, which overwrites it.  Put changes into a drop-in:\n"
    "# systemctl {scope}edit clap-monitor\n"
)
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - named, not used
"""Directories that ProtectHome and PrivateTmp of the system unit hide from the service."""


@dataclass(frozen=True, slots=True)
class Place:
    """Absolute paths of the service on this machine."""

    program: tuple[str, ...]
    """Command without arguments."""
    config: Path
    units: Path
    """Directory of the unit."""
    user: bool
    """A user service instead of a system service."""
    seen: tuple[Path, ...] = ()
    """Directories that the service must be able to read: the package and its Python."""

    @property
    def unit(self) -> Path:
        """File of the unit."""
        return self.units / UNIT

    @property
    def systemctl(self) -> tuple[str, ...]:
        """Command for the service manager of the system or of the user."""
        return ("systemctl", "--user") if self.user else ("systemctl",)


def place(*, user: bool, config: Path | None = None, environment: Mapping[str, str] = os.environ) -> Place:
    """Return where the service of this installation belongs, by ``HOME`` and ``XDG_CONFIG_HOME``.

    The configuration is by default ``/etc/clap-monitor/monitor.yaml``, or for a user service, which can use
    PipeWire or PulseAudio, below ``~/.config``.
    """
    home = Path(environment.get("HOME") or Path.home())
    settings = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") if user else Path("/etc")
    script = Path(sys.executable).with_name("clap-monitor")
    return Place(
        program=(str(script),) if script.exists() else (sys.executable, "-m", "monitor"),
        config=(config or settings / "clap-monitor/monitor.yaml").absolute(),
        units=settings / ("systemd/user" if user else "systemd/system"),
        user=user,
        seen=(Path(sys.prefix), Path(sys.base_prefix), _HERE.resolve()),
    )


def unit_text(where: Place) -> str:
    """Return the text of the unit for this machine."""
    packaged = _PACKAGED / ("user" if where.user else "") / UNIT
    lines = packaged.read_text(encoding="utf-8").splitlines(keepends=True)
    ours = {
        f"{key}=": " ".join(map(_quoted, [*where.program, word, "--config", str(where.config)]))
        for key, word in (("ExecStart", "run"), ("ExecReload", "reload"))
    }
    body = [
        next((f"{key}{command}\n" for key, command in ours.items() if line.startswith(key)), line)
        for line in lines[lines.index("\n") :]
    ]
    return _HEADER.format(scope="--user " if where.user else "") + "".join(body)


def install(
    where: Place,
    *,
    gpu: bool = False,
    report: Callable[[str], None] = print,
    run: Callable[[Sequence[str]], None] | None = None,
) -> None:
    """Write the unit and reload systemd; every step is printed before it is taken.

    Files that are up to date and existing drop-ins are kept.  With ``gpu`` also the drop-in for NVIDIA GPUs
    is written; a user service does not need it.  ``report`` takes one line.  ``run`` runs a command; None
    prints it instead, where systemd is not running.

    Raises
    ------
    ConfigError
        The configuration cannot be used.
    OutputError
        A file cannot be written, or the service would not be able to read its files.
    """
    _check_visible(where)
    text = unit_text(where)
    if _read(where.config, where) is not None:
        load(where.config)
        _check_readable(where)
        report(f"{where.config}: valid, kept")
    else:
        _write(where.config, example(), where, report)
    _write(where.unit, text, where, report)
    drop_ins = where.unit.with_name(f"{UNIT}.d")
    if gpu and where.user:
        report("a user service can use every device of the user: it needs no drop-in for the GPU")
    elif gpu:
        drop_in, rules = drop_ins / "gpu.conf", (_PACKAGED / "clap-monitor-gpu.conf").read_text("utf-8")
        if _read(drop_in, where) in {None, rules}:
            _write(drop_in, rules, where, report)
        else:
            report(f"{drop_in}: exists and differs, kept")
    for path in sorted(drop_ins.glob("*.conf")):
        report(f"{path}: applies too")
    reload_units = [*where.systemctl, "daemon-reload"]
    if run is not None:
        report(f"running: {' '.join(reload_units)}")
        run(reload_units)
    else:
        report(f"systemd is not running here; run this where it is:  {' '.join(reload_units)}")
    report(f"to start it now and at every boot:  {' '.join(where.systemctl)} enable --now clap-monitor")
    report(f"if it is already running:  {' '.join(where.systemctl)} restart clap-monitor")
    if where.user:
        report("to keep it running while no user is logged in:  loginctl enable-linger")


def systemctl(*, user: bool) -> Callable[[Sequence[str]], None] | None:
    """Return what runs commands for `install`; None where systemd is not running, see sd_booted(3)."""
    if not Path("/run/systemd/system").is_dir() or shutil.which("systemctl") is None:
        return None
    if user and "XDG_RUNTIME_DIR" not in os.environ:
        return None  # without a session there is no service manager of the user
    return _run


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - no user input
    if done.returncode:
        raise OutputError(f"{' '.join(command)}: failed: {' '.join(done.stderr.split())}")


def _quoted(word: str) -> str:
    """Quote a word for ``ExecStart=``; see systemd.service(5), "Command lines"."""
    if any(character < " " or character == "\x7f" for character in word):
        raise ConfigError(f"{word!r}: a unit cannot contain a path with control characters")
    if any("\ud800" <= character <= "\udfff" for character in word):
        raise ConfigError(f"{word!a}: a unit cannot contain a path that is not UTF-8")
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"' if any(character in " ';" for character in word) or plain != word else word


def _check_visible(where: Place) -> None:
    if where.user:
        return
    for path in (Path(where.program[0]), where.config, *where.seen):
        hidden = next((place for place in _HIDDEN if path.is_relative_to(place)), None)
        if hidden is not None:
            raise OutputError(
                f"{path}: hidden from a system service, like all of {hidden}; install clap-monitor below "
                "/opt with the system's Python and its configuration below /etc, or use --user"
            )


def _check_readable(where: Place) -> None:
    """Require a configuration that DynamicUser, a member of no group, can read."""
    if not where.user and not where.config.stat().st_mode & 0o004:
        raise OutputError(
            f"{where.config}: not readable for the user of the service (it holds no secrets): "
            f"chmod o+r {where.config}"
        )


def _write(path: Path, text: str, where: Place, report: Callable[[str], None]) -> None:
    if _read(path, where) == text:
        report(f"{path}: up to date")
        return
    report(f"writing: {path}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode(), mode=0o644)
    except PermissionError as error:
        raise _not_permitted(path, where) from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _read(path: Path, where: Place) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise _not_permitted(path, where) from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _not_permitted(path: Path, where: Place) -> OutputError:
    way = "use --user without sudo" if where.user else "run it with sudo, or use --user"
    return OutputError(f"{path}: permission denied: {way}")
