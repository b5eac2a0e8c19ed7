"""What happened, in a file: one writer, any number of readers."""

from monitor.outputs.store.reader import History
from monitor.outputs.store.rows import (
    Day,
    EventFilter,
    KeptEvent,
    KeptMiss,
    Lane,
    Mark,
    Page,
    StoreError,
)
from monitor.outputs.store.schema import FILE
from monitor.outputs.store.writer import Store

__all__ = [
    "FILE",
    "Day",
    "EventFilter",
    "History",
    "KeptEvent",
    "KeptMiss",
    "Lane",
    "Mark",
    "Page",
    "Store",
    "StoreError",
]
