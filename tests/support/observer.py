"""Output that calls what it is given, for tests and benchmarks that follow a run."""

from monitor.outputs import Output


class Observer(Output):
    """Output that calls functions, in the thread of the analysis.

    Parameters
    ----------
    on_event : callable
        Receives each event and its label.
    on_scores : callable
        Receives the scores of each window.
    """

    def __init__(self, on_event=lambda *_: None, on_scores=lambda _: None):
        self._on_event, self._on_scores = on_event, on_scores

    def on_event(self, event, label):
        self._on_event(event, label)

    def on_scores(self, scores):
        self._on_scores(scores)
