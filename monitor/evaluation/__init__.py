"""How well a checkpoint hears a set of labels, measured on annotated recordings.

::

    annotations -> replay -> matching, sweep, ranking, standard -> report -> plot

Recordings go through the parts that `monitor.daemon.daemon` is made of, nothing else.  What only this
package needs is in the extra ``eval`` and imported where it is used.
"""

from monitor.evaluation.annotations import Occurrence, Recording, read_annotations
from monitor.evaluation.evaluate import evaluate
from monitor.evaluation.plot import plot
from monitor.evaluation.report import Report, as_json, as_text

__all__ = ["Occurrence", "Recording", "Report", "as_json", "as_text", "evaluate", "plot", "read_annotations"]
