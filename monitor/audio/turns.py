"""Turns: threads of sources compute one after the other.

Python runs one thread at a time.  Threads that wait for it wake up every few milliseconds to ask for it, and
each hand-over costs a switch: of a hundred sources that decode in the same moment, two thirds of the processor
time went into that [measured].  Those that wait for a lock sleep.  Nothing that may block, such as reading
from a network or a disk, belongs into a turn.
"""

from __future__ import annotations

import threading

turn = threading.Lock()
"""Held while a thread of a source computes."""
