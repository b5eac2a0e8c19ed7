"""Command that qualifies a checkpoint: qualify; and the table of how accurate checkpoints are."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.app import AsJson, ConfigFile, app
from monitor.cli.console import steps
from monitor.cli.options import Overrides, settings_from
from monitor.cli.remote import StateDirectory
from monitor.types import ModelError

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.config.section import Section
    from monitor.detection.qualification import Figures

_DTYPES = ("auto", "float32", "bfloat16", "float16", "int8")


@app.command()
def qualify(
    checkpoint: Annotated[
        str | None,
        typer.Argument(
            help="`starter`, a directory, or an id on the hub. [default: the configured checkpoint]"
        ),
    ] = None,
    config: ConfigFile = None,
    window: Annotated[
        float | None, typer.Option(min=0.1, max=60, help="Length of a window, in seconds.")
    ] = None,
    hop: Annotated[
        float | None, typer.Option(min=0.01, max=60, help="Seconds from one window to the next.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, float32, bfloat16, float16 or int8.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = None,
    state: StateDirectory = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate a checkpoint on the sounds in the package, and compare it with the starter.

    `run` does this itself for a checkpoint that has no calibration.  The result is kept in the state
    directory, for these windows and this number format, and from then on replaces a calibration that came
    with the checkpoint.
    """
    if dtype is not None and dtype not in _DTYPES:
        raise typer.BadParameter(f"--dtype: {dtype!r} is none of {', '.join(_DTYPES)}")
    settings = settings_from(config, Overrides(model=checkpoint, state=state))
    settings = settings.model_copy(
        update={
            "model": _changed(settings.model, dtype=dtype, device=device),
            "window": _changed(settings.window, seconds=window, hop_seconds=hop),
        }
    )
    qualify_and_report(settings, as_json=as_json)


def qualify_and_report(settings: Config, *, as_json: bool = False) -> None:
    """Qualify the configured checkpoint, and print its figures and where they are kept.

    Raises
    ------
    ModelError
        It cannot tell sounds apart, or cannot be loaded.
    """
    from monitor.evaluation.qualified_engine import qualify_configured, starter_figures

    made, path = qualify_configured(settings, progress=partial(steps(), "qualification"))
    if as_json:
        found = asdict(made.setup) | asdict(made.figures) | {"made_at": made.made_at, "file": str(path)}
        print(json.dumps(found))
    else:
        print(table(made.figures, starter_figures()))
        print(f"kept in {path}")
    if made.guessing:
        raise ModelError(f"{settings.model.checkpoint}: cannot tell sounds apart; `run` refuses it")


def table(figures: Figures, starter: Figures | None) -> str:
    """Return the figures of a checkpoint in lines, beside those of the starter."""
    columns = [figures] if starter is None else [figures, starter]
    rows = [("", "checkpoint", "starter"), ("mean AUROC", *(str(each.auroc) for each in columns))]
    rows += [
        (f"recall at {snr} dB", *(str(each.recall.get(snr, "-")) for each in columns))
        for snr in figures.recall
    ]
    rows += [
        ("false alarms, per hour and label", *(str(each.false_alarms) for each in columns)),
        ("zero-shot accuracy", *(f"{each.zero_shot:.2f}" for each in columns)),
        ("time for a window", *(f"{1000 * each.window_seconds:.0f} ms" for each in columns)),
        ("windows: cohort, scenes", *(f"{each.cohort_windows}, {each.scene_windows}" for each in columns)),
    ]
    shown = [row[: 1 + len(columns)] for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in shown)


def _changed(section: Section, **changes: object) -> Section:
    """Return a section with the options that were given."""
    return section.model_copy(update={key: value for key, value in changes.items() if value is not None})
