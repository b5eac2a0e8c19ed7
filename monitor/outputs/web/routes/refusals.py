"""Refusals: the status with which the API answers what a part of the monitor refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException

from monitor.memory.memory_queries import NotRememberedError
from monitor.memory.segment import MemoryFormatError
from monitor.outputs.store import StoreError
from monitor.types import ConfigError, ModelError


@contextmanager
def refusals() -> Iterator[None]:
    """Answer 422 to what the configuration refuses, 404 to a moment without windows, 503 if a part fails."""
    try:
        yield
    except ConfigError as error:
        raise HTTPException(422, str(error)) from error
    except NotRememberedError as error:
        raise HTTPException(404, str(error)) from error
    except (ModelError, MemoryFormatError, StoreError) as error:
        raise HTTPException(503, str(error)) from error
