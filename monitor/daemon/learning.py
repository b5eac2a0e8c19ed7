"""Learning at the control socket: examples from a command, or from the newest audio of the monitor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from monitor.daemon.control_protocol import Answer
from monitor.detection.control import Control
from monitor.detection.example_learner import ExampleLearner
from monitor.detection.examples import examples_of
from monitor.system.bounded_read import DamagedError
from monitor.types import ConfigError

MOST_SECONDS = 30.0
"""Length of a recording; what the monitor has heard is kept for a minute."""

_STEP_SECONDS = 0.5


def learning_answers(
    control: Control, learner: ExampleLearner, *, sleep: Callable[[float], None] = time.sleep
) -> dict[str, Answer]:
    """Return the answers to the commands ``learn``, ``forget`` and ``record``.

    Parameters
    ----------
    control : Control
    learner : ExampleLearner
    sleep : callable
        Waits so many seconds while the sound is made.
    """

    def learn(request: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
        try:
            examples = examples_of(request.get("examples"))
        except DamagedError as error:
            raise ConfigError(f"examples: {error}") from error
        keys = request.get("keys")
        if not isinstance(keys, dict):
            raise ConfigError("keys of the label are missing")
        control.learn(examples, keys, replace_known=request.get("replace") is True)
        yield _answer(control, examples.label)

    def forget(request: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
        label = str(request.get("label"))
        control.forget(label)
        yield _answer(control, label)

    def record(request: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
        seconds, source = request.get("seconds"), source_of(control, request.get("source"))
        if not isinstance(seconds, int | float) or not 1 <= seconds <= MOST_SECONDS:
            raise ConfigError(f"record: {seconds!r} is not a number of seconds from 1 to {MOST_SECONDS:g}")
        label = str(request.get("label"))
        for _ in range(round(seconds / _STEP_SECONDS)):
            sleep(_STEP_SECONDS)
            yield {}
        yield {"examples": learner.newest(label, source, float(seconds)).document()}

    return {"learn": learn, "forget": forget, "record": record}


def source_of(control: Control, source: object) -> str:
    """Return a source by its name; the only one if none is given.

    Raises
    ------
    ConfigError
        There is none of this name, or several to choose from.
    """
    names = control.active_labels.sources
    if source is None and len(names) == 1:
        return names[0]
    if source not in names:
        raise ConfigError(f"give --source: one of {', '.join(names)}")
    return str(source)


def _answer(control: Control, label: str) -> Mapping[str, object]:
    found = control.examples.get(label)
    return {"label": label, "examples": 0 if found is None else len(found.rows), "saved": control.saved}
