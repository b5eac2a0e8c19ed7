"""Qualified engine: loads a checkpoint with its calibration, which is measured on this machine if need be."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.config import Config
from monitor.detection.calibration import read_calibration
from monitor.detection.engine import Engine, load_engine, load_model
from monitor.detection.qualification import Figures, Qualification, Setup, number_format
from monitor.detection.qualification_file import FILE, figures_of, keep_qualification, read_qualification
from monitor.evaluation.calibration_kit import KIT, Kit, read_kit
from monitor.model.clap import Clap
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import ModelError, OutputError

if TYPE_CHECKING:
    from monitor.evaluation.kit_qualification import Amount

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Takes how many windows are done, and of how many."""

FOLDER = "qualifications"
"""In the state directory."""

_MOST_BYTES = 65_536


def load_qualified_engine(
    config: Config, *, apart: bool = True, progress: Progress = lambda _done, _of: None
) -> Engine:
    """Load the configured checkpoint; qualify it first if it has no calibration.

    Parameters
    ----------
    config : Config
    apart : bool
        As `load_engine`.
    progress : callable

    Raises
    ------
    ConfigError, ModelError
        As `load_engine`; or the checkpoint cannot tell sounds apart, unless ``model.allow_unqualified``.
    SourceError
        The calibration kit is damaged.
    """
    return load_engine(config, Qualifier(config, read_kit(), progress).find, apart=apart)


def qualify_configured(
    config: Config, *, progress: Progress = lambda _done, _of: None
) -> tuple[Qualification, Path]:
    """Qualify the configured checkpoint, whatever calibration it has; return where the result is kept, too.

    Parameters
    ----------
    config : Config
    progress : callable

    Raises
    ------
    ConfigError, ModelError, SourceError
        As `load_qualified_engine`; one that cannot tell sounds apart is no error here.
    OutputError
        The result cannot be written.
    """
    kit = read_kit()
    model, length, hop = load_model(config)
    setup = setup_of(model, length, hop, kit)
    try:
        made = Qualifier(config, kit, progress).measure(model, setup)
    finally:
        model.forget_text()
    path = path_of(config.state, setup)
    try:
        keep_qualification(path, made)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    return made, path


def starter_figures() -> Figures | None:
    """Return what `clap-monitor qualify starter --json` printed for this kit; None if that is not kept."""
    path = KIT / "starter.json"
    try:
        found = read_json(path, _MOST_BYTES)
    except (OSError, DamagedError):
        return None
    if not isinstance(found, dict) or found.get("kit") != read_kit().version:
        return None
    return figures_of(found, str(path))


@dataclass(frozen=True, slots=True)
class Qualifier:
    """Finds the qualification of a model, or makes it."""

    config: Config
    kit: Kit
    progress: Progress = lambda _done, _of: None
    amount: Amount | None = None
    """How much of the kit is used; None for what `monitor.evaluation.kit_qualification.affordable` says."""

    def find(self, model: Clap, length: int, hop: int) -> Qualification | None:
        """Return the qualification in force, or make it; None if older files beside the checkpoint apply.

        The one in the state directory comes first: somebody asked for it.  Then what the checkpoint brings.

        Raises
        ------
        ModelError
            The checkpoint cannot tell sounds apart, unless ``model.allow_unqualified``.
        """
        setup = setup_of(model, length, hop, self.kit)
        known = known_qualification(self.config.state, setup, model)
        with suppress(OSError):  # there may be none, or the directory is read-only: then none is deleted
            os.utime(path_of(self.config.state, setup))
        if known is None and read_calibration(model.path) is not None:
            return None
        found = known or self._make(model, setup)
        if not self.config.model.allow_unqualified:
            refuse_guessing(found, model.name)
        return found

    def measure(self, model: Clap, setup: Setup) -> Qualification:
        """Qualify a checkpoint, whatever there is."""
        from monitor.evaluation.kit_qualification import qualify  # no later start needs it

        return qualify(model, setup, self.kit, amount=self.amount, progress=self.progress)

    def _make(self, model: Clap, setup: Setup) -> Qualification:
        """Qualify a checkpoint and keep what was measured; a full disk is only logged."""
        log.warning("%s: not calibrated yet for these windows; qualifying it, once", model.name)
        begin = time.monotonic()
        made = self.measure(model, setup)
        path = path_of(self.config.state, setup)
        try:
            keep_qualification(path, made)
        except OSError as error:
            log.warning("%s: cannot be written: %s; the next start qualifies again", path, error.strerror)
        took = time.monotonic() - begin
        log.warning("%s: qualified in %.0f s: mean AUROC %s", model.name, took, made.figures.auroc)
        return made


def setup_of(model: Clap, length: int, hop: int, kit: Kit) -> Setup:
    """Return what a qualification of this model on this kit holds for.

    Parameters
    ----------
    model : Clap
    length, hop : int
        Samples in a window, and between two windows.
    kit : Kit
    """
    return Setup(model.identity, length, hop, number_format(model.dtype, model.engine), kit.version)


def path_of(state: Path, setup: Setup) -> Path:
    """Return where a qualification is kept."""
    return state / FOLDER / f"{setup.key}.safetensors"


def refuse_guessing(qualification: Qualification, name: str) -> None:
    """Raise ModelError for a checkpoint that cannot tell sounds apart."""
    if qualification.guessing:
        raise ModelError(
            f"{name}: cannot tell the sounds of the calibration kit apart (mean AUROC "
            f"{qualification.figures.auroc}, a guess has 0.50): the weights are broken or untrained; choose "
            "another checkpoint, or set model.allow_unqualified"
        )


def known_qualification(state: Path, setup: Setup, model: Clap) -> Qualification | None:
    """Return the qualification in the state directory, else the one beside the checkpoint."""
    return kept_qualification(state, setup, model) or shipped_qualification(setup, model)


def kept_qualification(state: Path, setup: Setup, model: Clap) -> Qualification | None:
    """Return the qualification in the state directory; None if there is none, or it is damaged."""
    try:
        found = read_qualification(path_of(state, setup), model.dimension)
    except ModelError as error:
        log.warning("%s; qualifying the checkpoint again", error)
        return None
    return found if found is not None and found.setup == setup else None


def shipped_qualification(setup: Setup, model: Clap) -> Qualification | None:
    """Return the qualification beside a checkpoint, if it holds for these windows.

    Raises
    ------
    ModelError
        The file is damaged.
    """
    found = read_qualification(model.path / FILE, model.dimension)
    if found is None or (found.setup.length, found.setup.hop) != (setup.length, setup.hop):
        return None
    if setup.number_format.endswith("int8") and found.setup.number_format != setup.number_format:
        return None  # less exact, so with a calibration of its own
    return found
