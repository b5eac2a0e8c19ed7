"""Evaluation of a checkpoint and a set of labels on annotated recordings.

::

    annotations -> replay -> matching, threshold_sweep, clip_metrics, standard_metrics -> report -> plot

Recordings go through the same pipeline as in the daemon.  Libraries that only this package needs are in the
extra ``eval`` and imported where they are used.
"""

from monitor.evaluation.annotations import Occurrence, Recording, read_annotations
from monitor.evaluation.evaluate import evaluate
from monitor.evaluation.plot import plot
from monitor.evaluation.report import Report, as_json, as_text

__all__ = ["Occurrence", "Recording", "Report", "as_json", "as_text", "evaluate", "plot", "read_annotations"]
