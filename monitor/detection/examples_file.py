"""Example files: the examples of each label, in the state directory or wherever a user exports them."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from monitor.detection.examples import Examples, examples_of
from monitor.system.atomic_file import write_atomic
from monitor.system.boundary import explain
from monitor.system.bounded_read import DamagedError, read_json
from monitor.system.directories import make_directory
from monitor.types import ConfigError

log = logging.getLogger(__name__)

FOLDER = "examples"
"""In the state directory."""

MOST_BYTES = 512 * 1024
"""32 embeddings of 4,096 numbers, as text."""

_MOST_FILES = 1000


def read_examples(path: Path) -> Examples:
    """Read one file of examples.

    Raises
    ------
    ConfigError
        It cannot be read, or is damaged.
    """
    try:
        return examples_of(read_json(path, MOST_BYTES))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except DamagedError as error:
        raise ConfigError(f"{path}: not a file of examples: {error}") from error


def write_examples(path: Path, examples: Examples) -> None:
    """Write one file of examples, atomically.

    Raises
    ------
    OSError
        It cannot be written.
    """
    content = json.dumps(examples.document(), indent=1, allow_nan=False) + "\n"
    write_atomic(path, content.encode(), durable=True)


def stored_examples(state: Path, identity: str, dimension: int) -> dict[str, Examples]:
    """Return the examples in the state directory, by label; those that cannot be used are logged.

    Parameters
    ----------
    state : Path
        The state directory.
    identity : str
        Of the checkpoint: the embeddings of another one say nothing to it.
    dimension : int
        Length of its embeddings.
    """
    found = {}
    for path in sorted((state / FOLDER).glob("*.json"))[:_MOST_FILES]:
        try:
            examples = read_examples(path)
        except ConfigError as error:
            log.warning("%s; left out", error)
            continue
        if examples.label != path.stem:
            log.warning("%s: holds examples of %s; left out", path, examples.label)
        elif examples.identity != identity or examples.rows.shape[1] != dimension:
            log.warning(
                "%s: was learned with another checkpoint; left out: run `clap-monitor learn %s` again",
                path,
                examples.label,
            )
        else:
            found[examples.label] = examples
    return found


def store_examples(state: Path, examples: Examples) -> None:
    """Write the examples of a label into the state directory.

    Raises
    ------
    OSError
        They cannot be written.
    """
    folder = state / FOLDER
    make_directory(folder)
    write_examples(folder / f"{examples.label}.json", examples)


def drop_examples(state: Path, label: str) -> None:
    """Delete the examples of a label from the state directory; a failure is only logged."""
    path = state / FOLDER / f"{label}.json"
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s: cannot be deleted: %s", path, explain(error))
