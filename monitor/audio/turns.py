"""Turns: threads of sources compute one after the other.

Python runs one thread at a time, and may pass on to another at each operation on an array.  With a hundred
sources two thirds of the processor time went into that [measured].  Threads that wait for a lock sleep.
Nothing that may block, such as reading from a network or a disk, belongs into a turn.
"""

from __future__ import annotations

import threading

turn = threading.RLock()
"""Held while a thread computes on audio."""
