"""Checks of sources and of the broker, step by step, one finding each; for `doctor` and the set-up."""
