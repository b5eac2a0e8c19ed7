"""Data types that flow through the monitor, and its errors.

::

    AudioBlock -> Window or Break -> (embedding) -> Scores -> Event or NearMiss

Audio is addressed by sample index, and displayed by Unix time (``*_at``, seconds).  Ranges are half-open:
``[start, stop)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:  # numpy would be a fifth of the time that `clap-monitor check` takes
    import numpy as np
    from numpy.typing import NDArray

Samples: TypeAlias = "NDArray[np.float32]"
"""Mono audio, shape (n,), in [-1, 1]."""

Embeddings: TypeAlias = "NDArray[np.float32]"
"""Rows of L2 norm 1, shape (n, d)."""


@dataclass(frozen=True, slots=True, eq=False)
class AudioBlock:
    """Audio as it arrives from one source; read-only by contract."""

    source: str
    """Name of the source."""
    start: int
    """Index of the first sample since the source was opened; never reset."""
    samples: Samples
    """Shape (n,), mono, in [-1, 1], at the model's rate."""
    ended_at: float
    """Unix seconds when the last sample was captured."""
    gap: bool = False
    """Audio was lost just before this block."""

    @property
    def stop(self) -> int:
        """Index after the last sample."""
        return self.start + len(self.samples)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Audio that the model scores at once; never across a gap."""

    source: str
    start: int
    samples: Samples
    """Shape (window_samples,)."""
    ended_at: float
    """Unix seconds when the last sample was captured."""

    @property
    def stop(self) -> int:
        """Index after the last sample."""
        return self.start + len(self.samples)


class OfflineReason(StrEnum):
    """Why a source delivers no audio."""

    NOT_FOUND = "not_found"
    """No such device, or no such host, or nothing answers there."""
    LOGIN = "login"
    """The camera or server refuses the login."""
    NOT_OPENED = "not_opened"
    """The device, stream or file is there and cannot be opened."""
    NO_DATA = "no_data"
    """It is open and delivers nothing."""
    LOST = "lost"
    """It was open and went away, or broke off."""
    WRONG_RATE = "wrong_rate"
    """It does not deliver as many samples a second as it states."""
    LATE = "late"
    """A stream fell too far behind the clock; it is reconnected."""
    DIGITAL_SILENCE = "digital_silence"
    """Exact zeros for 8 s: it is muted or broken."""
    NON_FINITE = "non_finite"
    """For 8 s, samples that are not finite numbers, or are 60 dB above full scale."""


class BreakReason(StrEnum):
    """Why the audio of a source is interrupted."""

    GAP = "gap"
    """Audio was lost."""
    END = "end"
    """The source has ended."""


@dataclass(frozen=True, slots=True)
class Break:
    """A place where the audio of a source is interrupted; no window and no event crosses it."""

    source: str
    index: int
    """Index after the last sample before the break."""
    at: float
    """Unix seconds when that sample was captured."""
    reason: BreakReason


class GateReason(StrEnum):
    """Why a window is not scored."""

    SILENCE = "silence"
    """Below `silence_dbfs`."""
    DIGITAL_SILENCE = "digital_silence"
    """Exact zeros: the source is muted or broken."""
    NON_FINITE = "non_finite"
    """Samples that are not finite numbers, or are 60 dB above full scale."""
    NO_EMBEDDING = "no_embedding"
    """The model does not return finite numbers."""
    UNCHANGED = "unchanged"
    """The novelty gate: the sound is like that of the last minute, or overlaps the last window scored.  The
    last embedding holds."""
    DISARMED = "disarmed"
    """Detection is switched off."""
    GAP = "gap"
    """Audio is missing in the window."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of one window, by label."""

    source: str
    start: int
    stop: int
    ended_at: float
    """Unix seconds when the last sample of the window was captured."""
    labels: tuple[str, ...]
    """Identifiers of the labels."""
    values: NDArray[np.float32]
    """Shape (labels,), in [0, 1]."""
    level_dbfs: float
    """RMS of the newest hop in dB of full scale; silence is ``-inf``."""
    embedding: NDArray[np.float32] | None = None
    """Shape (d,), L2 norm 1; of an unchanged window that of an earlier one; None if it was not scored."""
    gated: GateReason | None = None
    """Why the model was not asked; None if it was."""
    without_against: NDArray[np.float32] | None = None
    """``values`` without the prompts against each label, shape (labels,); None if not scored."""
    nearest_against: tuple[str | None, ...] = ()
    """For each label, the prompt against it that is nearer than the label itself; empty if not scored."""
    speech: bool = False
    """The window contains speech."""
    patterns: frozenset[str] = frozenset()
    """Temporal patterns of alarms in the newest seconds of the source, such as ``t3``."""
    distance: float = 0.0
    """From what the source usually has at that time of day, in [0, 1]; 0 if it is not unusual."""


class EndReason(StrEnum):
    """Why an event ended."""

    QUIET = "quiet"
    """The score stayed below the release threshold for the merge gap."""
    MAX_DURATION = "max_duration"
    """The event reached `max_duration_seconds`."""
    GAP = "gap"
    """Audio was lost."""
    END = "end"
    """The source has ended."""
    DISABLED = "disabled"
    """The label was disabled or removed."""
    DISARMED = "disarmed"
    """Detection was switched off."""
    SHUTDOWN = "shutdown"
    """The monitor stopped."""
    RESTART = "restart"
    """The monitor was killed during the event; its end is unknown."""


class ClipOutcome(StrEnum):
    """What became of the clip of an event."""

    KEPT = "kept"
    """The clip is in the recordings."""
    SPEECH = "speech"
    """Not recorded: the speech filter found speech."""
    MISSED = "missed"
    """Not recorded: the audio had left the ring buffer, or too many clips waited."""
    DISK_ERROR = "disk_error"
    """Not recorded: the disk refused it."""
    DISK_FULL = "disk_full"
    """Not recorded: the disk has less free space than `clips.free_megabytes`."""
    DELETED = "deleted"
    """The monitor deleted the clip, to keep within the limits of `clips`."""
    GONE = "gone"
    """The file was removed, but not by the monitor."""


@dataclass(frozen=True, slots=True)
class Event:
    """Event: one occurrence of a label, passed on when it starts and again when it ends."""

    id: str
    """ULID, the same at the start and at the end."""
    source: str
    label: str
    start: int
    """Sample index of the estimated onset."""
    stop: int | None
    """Sample index of the estimated offset; None while it lasts."""
    started_at: float
    """Unix seconds of the onset."""
    ended_at: float | None
    """Unix seconds of the offset; None while it lasts."""
    score: float
    """Highest score of the windows that confirmed it, in [0, 1]."""
    peak_score: float
    """Highest score so far, in [0, 1]."""
    windows: int
    """Windows at or above the threshold so far."""
    level_dbfs: float
    """Level of the newest hop when the event started."""
    uncertainty_seconds: float
    """The onset and the offset are each known to within this time: a window is one score."""
    reason: EndReason | None = None
    """Why it ended; None while it lasts."""
    clip: str | None = None
    """Path below the recordings, or URL, of its clip, which may not be written yet; None if there is none."""
    clip_outcome: ClipOutcome | None = None
    """What became of the clip; None if no clip was wanted, or not yet."""
    like: tuple[str, ...] = ()
    """Of an unusual sound: sentences that describe it best, best first."""


class ExitCode(IntEnum):
    """Exit codes, from ``sysexits.h``; besides them 0, 1 (a bug; `status`: unhealthy), 2 (bad command line).

    The exit code of `doctor` is that of the first check that fails.
    """

    DATA = 65  # a file or checkpoint cannot be used
    SOURCE = 66  # a source cannot be opened or read
    LOGIN = 67  # doctor: the broker refuses user name or password
    DNS = 68  # doctor: the broker's name does not resolve
    UNREACHABLE = 69  # a hub or broker cannot be reached, or no monitor is running
    CLOCK = 71  # doctor: the clock shows an impossible time
    OUTPUT = 73  # a directory, a file or a port cannot be used
    DEAD = 74  # doctor: a source delivers exact zeros, or samples that are not finite
    TEMPORARY = 75  # too many are watching, or a test message is refused or not delivered
    TLS = 76  # doctor: no encryption, or a certificate that is not trusted
    PERMISSION = 77  # doctor: this user may not open the sound cards
    CONFIGURATION = 78  # bad configuration


class MonitorError(Exception):
    """An error that the user can fix; its text says how."""

    exit_code: int = 1


class ConfigError(MonitorError):
    """The configuration cannot be used; one line per error."""

    exit_code = ExitCode.CONFIGURATION


class SourceError(MonitorError):
    """A source cannot be opened or read."""

    exit_code = ExitCode.SOURCE
    reason = OfflineReason.NOT_OPENED

    def __init__(self, text: str, reason: OfflineReason | None = None) -> None:
        super().__init__(text)
        if reason is not None:
            self.reason = reason


class NotAudioError(SourceError):
    """A source was opened, but contains no usable audio."""

    exit_code = ExitCode.DATA


class ModelError(MonitorError):
    """A checkpoint cannot be used."""

    exit_code = ExitCode.DATA


class OutputError(MonitorError):
    """An output cannot be set up."""

    exit_code = ExitCode.OUTPUT
