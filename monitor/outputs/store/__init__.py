"""Event store: a SQLite file with one writer and any number of readers."""

from monitor.outputs.store.reader import StoreReader
from monitor.outputs.store.rows import EventFilter, MissFilter, StoreError
from monitor.outputs.store.schema import FILE
from monitor.outputs.store.writer import Store

__all__ = ["FILE", "EventFilter", "MissFilter", "Store", "StoreError", "StoreReader"]
