"""Evaluation of a checkpoint and a set of labels on annotated recordings.

::

    annotations -> replay -> matching, threshold_sweep, clip_metrics, standard_metrics -> report -> plot

Recordings go through the same pipeline as in the daemon.  Libraries that only this package needs are in the
extra ``eval`` and imported where they are used.

::

    calibration_kit -> calibration_scenes, kit_windows -> remembered_scenes -> calibration_fit, kit_figures

is the qualification of a checkpoint.
"""
