"""What is listened for now, and how that is changed while the monitor runs."""

from monitor.control.control import Change, Control, Reload
from monitor.control.conversation import Answer
from monitor.control.listening import Listening
from monitor.control.overrides import MOST_LABELS
from monitor.control.socket import THREADS, ControlSocket, answers, ask, ask_once

__all__ = [
    "MOST_LABELS",
    "THREADS",
    "Answer",
    "Change",
    "Control",
    "ControlSocket",
    "Listening",
    "Reload",
    "answers",
    "ask",
    "ask_once",
]
