"""Loggers that a thread may create while pytest walks over all of them.

Before each phase of a test, pytest walks over the dictionary of all loggers.  A server that a fixture has
just started imports a library in its thread, which adds loggers to that dictionary: then the test fails with
"dictionary changed size during iteration", once in some forty runs of the suite.
"""

import logging


class _AllLoggers(dict):
    def values(self):
        """Return all loggers of this moment; those created meanwhile are left out."""
        return list(super().values())


def let_threads_create_loggers():
    """Replace the dictionary of all loggers by one that may grow while it is walked over."""
    manager = logging.root.manager
    manager.loggerDict = _AllLoggers(manager.loggerDict)
