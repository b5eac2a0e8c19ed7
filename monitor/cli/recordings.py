"""Commands about recordings: classify, embed, evaluate."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.app import AsJson, Model, OtherModel, app
from monitor.cli.settings import settings_from
from monitor.console import steps
from monitor.logs import log_to_stderr
from monitor.types import MonitorError


@app.command()
def classify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...")],
    label: Annotated[
        list[str], typer.Option("--label", "-l", help="What it may be; at least two make sense.")
    ],
    template: Annotated[
        str, typer.Option(help="The sentence made of a label; `{}` stands for it.")
    ] = "This is a sound of {}.",
    model: Model = "starter",
    as_json: AsJson = False,
) -> None:
    """Say which of the labels each file sounds like: softmax scores, best first.

    The scores are those of the transformers zero-shot-audio-classification pipeline.  A recording
    longer than the model's window is heard in evenly spaced windows, averaged.
    """
    log_to_stderr("warning")
    from monitor.zeroshot import classify as classify_files

    for file, scores in classify_files(files, label, template=template, checkpoint=model):
        if as_json:
            content = [{"label": text, "score": score} for text, score in scores]
            print(json.dumps({"file": str(file), "scores": content}, ensure_ascii=False), flush=True)
        else:
            print(f"{file}:  " + "  ".join(f"{text} {score:.3f}" for text, score in scores), flush=True)


@app.command()
def embed(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...")] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", "-t", help="A sentence; may be repeated.")
    ] = None,
    model: Model = "starter",
    as_json: AsJson = False,
    out: Annotated[Path | None, typer.Option(help="Write one row each to this .npy file.")] = None,
) -> None:
    """Print the embeddings of files or of sentences: unit vectors in the model's shared space.

    A recording longer than the model's window is heard in evenly spaced windows, averaged.
    """
    log_to_stderr("warning")
    if bool(files) == bool(text):
        raise typer.BadParameter("give either files or --text sentences")
    from monitor.zeroshot import embed_files, embed_sentences, save

    kind, names = ("file", [str(file) for file in files]) if files else ("text", list(text or ()))
    rows = embed_files(files, checkpoint=model) if files else embed_sentences(names, checkpoint=model)
    if out is not None:
        save(out, rows)
    for name, row in zip(names, rows, strict=True):
        if as_json:
            print(json.dumps({kind: name, "embedding": row.tolist()}, ensure_ascii=False))
        elif out is None:
            print(name, " ".join(f"{value:.6f}" for value in row))


@app.command()
def evaluate(
    annotations: Annotated[
        list[Path],
        typer.Argument(metavar="TABLE...", help="filename, onset, offset, event_label; or filename, label."),
    ],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", envvar="CLAP_MONITOR_CONFIG", help="Whose labels.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", help="Instead of the configured labels.")
    ] = None,
    model: OtherModel = None,
    as_json: AsJson = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves to PATH.png and PATH.svg.")] = None,
) -> None:
    """Measure how well labels are heard in annotated recordings, through the same code as `run`.

    A label of the annotation is the id, the name or a sentence of a label that is listened for.
    """
    settings = settings_from(config, None, model, label, fast=True)
    log_to_stderr("warning")
    if any(find_spec(name) is None for name in ("matplotlib", "sed_eval", "sed_scores_eval")):
        raise MonitorError("evaluate needs more packages: pip install 'clap-monitor[eval]'")
    from monitor import evaluation
    from monitor.hearing import prepare

    recordings = [found for table in annotations for found in evaluation.read_annotations(table)]
    measured = evaluation.evaluate(recordings, settings, prepare(settings), progress=steps())
    if plot is not None:
        for path in evaluation.plot(measured, plot):
            print(f"{path}: written", file=sys.stderr)
    print(evaluation.as_json(measured) if as_json else evaluation.as_text(measured).rstrip())
