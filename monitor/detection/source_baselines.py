"""Baselines of all sources, for the labels in force."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from monitor.detection.baseline import BASELINE_SECONDS, Baseline
from monitor.detection.calibration import LARGEST_LOGIT
from monitor.detection.engine import Engine
from monitor.detection.prototypes import Prototypes
from monitor.detection.scoring import Values

InitialBaseline = Callable[[str, Prototypes], Mapping[str, float]]
"""Source name and prototypes to the baseline of an earlier run: label to logit."""


class SourceBaselines:
    """One baseline for each source; for one thread.

    Parameters
    ----------
    engine : Engine
    sources : iterable of str
    earlier : callable
    """

    def __init__(self, engine: Engine, sources: Iterable[str], earlier: InitialBaseline) -> None:
        self._calibration = engine.calibration
        self._earlier = earlier
        self._baselines = {
            name: Baseline(self.initial(name, engine.prototypes), engine.windows_in(BASELINE_SECONDS, name))
            for name in sources
        }

    def __getitem__(self, source: str) -> Baseline:
        """Return the baseline of a source."""
        return self._baselines[source]

    def carry_over(self, prototypes: Prototypes, columns: Sequence[int | None]) -> None:
        """Use other labels; ``columns`` has for each its place among those before, None if it is new."""
        for name, baseline in self._baselines.items():
            self._baselines[name] = baseline.carried_over(self.initial(name, prototypes), columns)

    def initial(self, source: str, prototypes: Prototypes) -> Values:
        """Initial baseline of a source; one that no window can have is replaced by the calibration's."""
        earlier, ordinary = self._earlier(source, prototypes), self._calibration.baseline
        logits = (earlier.get(label, ordinary) for label in prototypes.labels)
        return np.array([x if abs(x) <= LARGEST_LOGIT else ordinary for x in logits], dtype=np.float32)
