"""The unit of the service, made for this machine and put where systemd looks for it.

The text is the one of ``systemd/``; only who is started, and with which configuration, is filled in.
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
"""A wheel brings the directory along as ``units``; in a checkout there is only the one."""

_HEADER = (
    "# Written by `clap-monitor install-service`, which writes it again.  Changes belong into a drop-in:\n"
    "# systemctl {scope}edit clap-monitor\n"
)
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - named, not used
"""What ProtectHome and PrivateTmp of the system unit hide from it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything belongs on this machine; absolute paths."""

    program: tuple[str, ...]
    """The command, without its arguments."""
    config: Path
    units: Path
    """Directory of the unit."""
    user: bool
    """A service of one user, not of the system."""
    seen: tuple[Path, ...] = ()
    """What the service must be able to read: the package and its Python."""

    @property
    def unit(self) -> Path:
        """The file."""
        return self.units / UNIT

    @property
    def systemctl(self) -> tuple[str, ...]:
        """The command that speaks with the right service manager."""
        return ("systemctl", "--user") if self.user else ("systemctl",)


def place(*, user: bool, config: Path | None = None, environment: Mapping[str, str] = os.environ) -> Place:
    """Where the service of this installation belongs.

    Parameters
    ----------
    user : bool
        A service of the user, whose PipeWire or PulseAudio it hears.
    config : Path or None
        None is the usual place: ``/etc/clap-monitor/monitor.yaml``, or below ``~/.config``.
    environment : mapping of str to str
        ``HOME`` and ``XDG_CONFIG_HOME`` are asked for.
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
    """Text of the unit for this machine."""
    packaged = _PACKAGED / ("user" if where.user else "") / UNIT
    lines = packaged.read_text(encoding="utf-8").splitlines(keepends=True)
    ours = {
        f"{key}=": _command(where, word) for key, word in (("ExecStart", "run"), ("ExecReload", "reload"))
    }
    body = [
        next((f"{key}{command}\n" for key, command in ours.items() if line.startswith(key)), line)
        for line in lines[lines.index("\n") :]
    ]
    return _HEADER.format(scope="--user " if where.user else "") + "".join(body)


def _command(where: Place, word: str) -> str:
    return " ".join(map(_quoted, [*where.program, word, "--config", str(where.config)]))


def gpu_text() -> str:
    """Text of the drop-in for NVIDIA cards."""
    return (_PACKAGED / "clap-monitor-gpu.conf").read_text(encoding="utf-8")


def install(
    where: Place,
    *,
    gpu: bool = False,
    say: Callable[[str], None] = print,
    run: Callable[[Sequence[str]], None] | None = None,
) -> None:
    """Write the unit, and tell systemd; every step is said before it is taken.

    What is there already and equal is left alone, and so is every drop-in.

    Parameters
    ----------
    where : Place
        From `place`.
    gpu : bool
        Also write the drop-in for NVIDIA cards; not for a user's service, from which nothing is hidden.
    say : callable
        Takes one line.
    run : callable or None
        Runs a command; None says what is to be run by hand, where no systemd runs.

    Raises
    ------
    ConfigError
        The configuration cannot be used.
    OutputError
        A file cannot be written, or the service could not read what it needs.
    """
    _refuse_what_the_service_cannot_see(where)
    text = unit_text(where)
    if _read(where.config, where) is not None:
        load(where.config)
        _refuse_what_only_root_reads(where)
        say(f"{where.config}: is good, kept as it is")
    else:
        _write(where.config, example(), where, say)
    _write(where.unit, text, where, say)
    drop_ins = where.unit.with_name(f"{UNIT}.d")
    if gpu and where.user:
        say("a service of the user is kept from no device: no drop-in is needed for the card")
    elif gpu:
        _write_drop_in(drop_ins / "gpu.conf", gpu_text(), where, say)
    for path in sorted(drop_ins.glob("*.conf")):
        say(f"{path}: holds as well")
    reload_units = [*where.systemctl, "daemon-reload"]
    if run is not None:
        say(f"running: {' '.join(reload_units)}")
        run(reload_units)
    else:
        say(f"systemd does not run here; where it does:  {' '.join(reload_units)}")
    say(f"to start it now and at every boot:  {' '.join(where.systemctl)} enable --now clap-monitor")
    say(f"if it runs already:  {' '.join(where.systemctl)} restart clap-monitor")
    if where.user:
        say("to listen also while nobody is logged in:  loginctl enable-linger")


def systemctl(*, user: bool) -> Callable[[Sequence[str]], None] | None:
    """What runs commands for `install`; None where systemd does not run, see sd_booted(3)."""
    if not Path("/run/systemd/system").is_dir() or shutil.which("systemctl") is None:
        return None
    if user and "XDG_RUNTIME_DIR" not in os.environ:
        return None  # no session, and so no service manager of the user
    return _run


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own words
    if done.returncode:
        raise OutputError(f"{' '.join(command)}: failed: {' '.join(done.stderr.split())}")


def _quoted(word: str) -> str:
    """Return a word as it stands in ``ExecStart=``; see systemd.service(5), "Command lines"."""
    if any(character < " " or character == "\x7f" for character in word):
        raise ConfigError(f"{word!r}: a unit can hold no path with control characters")
    if any("\ud800" <= character <= "\udfff" for character in word):
        raise ConfigError(f"{word!a}: a unit can hold no path that is not UTF-8")
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"' if any(character in " ';" for character in word) or plain != word else word


def _refuse_what_the_service_cannot_see(where: Place) -> None:
    if where.user:
        return
    for path in (Path(where.program[0]), where.config, *where.seen):
        hidden = next((place for place in _HIDDEN if path.is_relative_to(place)), None)
        if hidden is not None:
            raise OutputError(
                f"{path}: a system service sees nothing of {hidden}; install clap-monitor below /opt "
                "with the system's Python, keep its configuration below /etc, or use --user"
            )


def _refuse_what_only_root_reads(where: Place) -> None:
    """Whom DynamicUser makes up is nobody's group."""
    if not where.user and not where.config.stat().st_mode & 0o004:
        raise OutputError(
            f"{where.config}: the service's own user cannot read it (no secret stands in it): "
            f"chmod o+r {where.config}"
        )


def _write_drop_in(path: Path, text: str, where: Place, say: Callable[[str], None]) -> None:
    if _read(path, where) not in {None, text}:
        say(f"{path}: is there and differs, kept as it is")
    else:
        _write(path, text, where, say)


def _write(path: Path, text: str, where: Place, say: Callable[[str], None]) -> None:
    """Write a file whole or not at all, unless it is there already and equal."""
    if _read(path, where) == text:
        say(f"{path}: is up to date")
        return
    say(f"writing: {path}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode(), mode=0o644)
    except PermissionError as error:
        raise _not_permitted(path, "written", where) from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _read(path: Path, where: Place) -> str | None:
    """Text of a file; None if there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise _not_permitted(path, "read", where) from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _not_permitted(path: Path, what: str, where: Place) -> OutputError:
    way = "use --user without sudo" if where.user else "run it with sudo, or use --user"
    return OutputError(f"{path}: may not be {what}: {way}")
