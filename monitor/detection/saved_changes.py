"""Saved changes: what was changed at run time, written to the state directory for the next run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from monitor.detection.examples import Examples
from monitor.detection.examples_file import drop_examples, store_examples
from monitor.detection.overrides import FILE, Overrides, write_overrides

log = logging.getLogger(__name__)


class SavedChanges:
    """Overrides and examples as they are on disk, as far as it can be written.

    Parameters
    ----------
    state : Path or None
        The state directory; None saves nothing.
    overrides : Overrides
    examples : mapping of str to Examples
        By label.
    """

    def __init__(self, state: Path | None, overrides: Overrides, examples: Mapping[str, Examples]) -> None:
        self.complete = True
        """Whether the next run will know the newest change."""
        self._state = state
        self._overrides = overrides
        self._examples = examples

    def save(self, overrides: Overrides, examples: Mapping[str, Examples]) -> None:
        """Write what differs from the last time; a full disk is only logged.

        Raises
        ------
        ConfigError
            The overrides are too many.
        """
        if self._state is None:
            return
        try:
            for label, each in examples.items():
                known = self._examples.get(label)
                if known is None or known.fingerprint != each.fingerprint:
                    store_examples(self._state, each)
            if overrides != self._overrides:
                write_overrides(self._state / FILE, overrides)
        except OSError as error:
            if self.complete:
                text = "%s: cannot be written (%s): changes last until the end of this run"
                log.warning(text, self._state / FILE, error.strerror)
            self.complete = False
            return
        for label in self._examples.keys() - examples.keys():
            drop_examples(self._state, label)
        self._overrides, self._examples, self.complete = overrides, examples, True
