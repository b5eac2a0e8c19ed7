"""What happened, in a file: one writer, any number of readers."""

from monitor.outputs.store.reader import StoreReader
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
    "KeptEvent",
    "KeptMiss",
    "Lane",
    "Mark",
    "Page",
    "Store",
    "StoreError",
    "StoreReader",
]
