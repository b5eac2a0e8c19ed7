"""Commands about recordings: classify, embed, evaluate."""

from __future__ import annotations

import json
import logging
import os
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.app import AsJson, ConfigFile, Model, OtherLabels, OtherModel, app
from monitor.cli.console import steps
from monitor.cli.logs import say
from monitor.cli.options import Overrides, settings_from
from monitor.types import ModelError, MonitorError, NotAudioError, SourceError


class SkippedFiles:
    """Files of a batch that cannot be used; the error of a single file ends the command."""

    def __init__(self, files: int) -> None:
        self._files = files
        self._count = 0

    def add(self, error: SourceError | ModelError) -> None:
        """Report why a file is skipped."""
        if self._files == 1:
            raise error
        self._count += 1
        say(f"clap-monitor: {error}", logging.ERROR)

    def end(self) -> None:
        """Raise `NotAudioError` if any file was skipped."""
        if self._count:
            raise NotAudioError(f"{self._count} of {self._files} files were skipped, see above")


def readable(file: Path) -> str:
    """Return a file name as text; bytes that are not UTF-8 become replacement characters."""
    return os.fsencode(file).decode("utf-8", errors="replace")


def as_line(content: object) -> str:
    """Return one line of JSON without NaN and infinity; what would steer a terminal is escaped."""
    line = json.dumps(content, ensure_ascii=False, allow_nan=False)
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)


@app.command()
def classify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...")],
    label: Annotated[
        list[str], typer.Option("--label", "-l", help="Candidate label; repeatable. Give at least two.")
    ],
    template: Annotated[
        str, typer.Option(help="Prompt in which the label replaces `{}`.")
    ] = "This is a sound of {}.",
    model: Model = "starter",
    as_json: AsJson = False,
) -> None:
    """Classify each file by the labels: softmax scores, best first.

    The scores equal those of the transformers zero-shot-audio-classification pipeline.  A recording longer
    than the model's window is scored in evenly spaced windows, averaged.
    """
    from monitor.evaluation.zero_shot import classify as classify_files

    skipped = SkippedFiles(len(files))
    for file, scores in classify_files(
        files, label, template=template, checkpoint=model, refused=skipped.add
    ):
        if as_json:
            content = [{"label": text, "score": score} for text, score in scores]
            print(as_line({"file": readable(file), "scores": content}), flush=True)
        else:
            ranked = "  ".join(f"{text} {score:.3f}" for text, score in scores)
            print(f"{readable(file)}:  {ranked}", flush=True)
    skipped.end()


@app.command()
def embed(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...")] = None,
    text: Annotated[list[str] | None, typer.Option("--text", "-t", help="Text to embed; repeatable.")] = None,
    model: Model = "starter",
    as_json: AsJson = False,
    out: Annotated[Path | None, typer.Option(help="Write the embeddings to this .npy file.")] = None,
) -> None:
    """Print the embeddings of files or texts: unit vectors in the shared space of the model.

    A recording longer than the model's window is embedded in evenly spaced windows, averaged.  A file that
    cannot be used has no row and is reported on standard error.
    """
    if bool(files) == bool(text):
        raise typer.BadParameter("give either files or --text")
    from monitor.evaluation.zero_shot import embed_each, embed_prompts, refuse_unwritable, save

    if out is not None:
        refuse_unwritable(out)  # before hours of work, not after it
    kind, sentences, skipped = ("file" if files else "text"), list(text or ()), SkippedFiles(len(files or ()))
    named = (
        ((readable(file), row) for file, row in embed_each(files, checkpoint=model, refused=skipped.add))
        if files
        else zip(sentences, embed_prompts(sentences, checkpoint=model), strict=True)
    )
    rows = []
    for name, row in named:
        rows.append(row)
        if as_json:
            print(as_line({kind: name, "embedding": row.tolist()}), flush=True)
        elif out is None:
            print(name, " ".join(f"{value:.6f}" for value in row), flush=True)
    if out is not None and rows:
        save(out, rows)
    skipped.end()


@app.command()
def evaluate(
    annotations: Annotated[
        list[Path],
        typer.Argument(
            metavar="TABLE...",
            help="Columns filename, onset, offset, event_label; or filename, label.",
        ),
    ],
    config: ConfigFile = None,
    label: OtherLabels = None,
    model: OtherModel = None,
    as_json: AsJson = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves to PATH.png and PATH.svg.")] = None,
) -> None:
    """Measure how well labels are detected in annotated recordings, with the same code as `run`.

    A label in the table is the id, the name or a prompt of a configured label.
    """
    settings = settings_from(config, Overrides(model=model, labels=tuple(label or ()), fast=True))
    if any(find_spec(name) is None for name in ("matplotlib", "sed_eval", "sed_scores_eval")):
        raise MonitorError("evaluate needs more packages: pip install 'clap-monitor[eval]'")
    from monitor.evaluation.annotations import read_annotations
    from monitor.evaluation.evaluate import evaluate as measure
    from monitor.evaluation.plot import plot as draw
    from monitor.evaluation.qualified_engine import load_qualified_engine
    from monitor.evaluation.report import as_json as to_json
    from monitor.evaluation.report import as_text

    recordings = [found for table in annotations for found in read_annotations(table)]
    engine = load_qualified_engine(settings, progress=partial(steps(), "qualification"))
    engine.model.forget_text()  # no other prompts follow
    measured = measure(recordings, settings, engine, progress=steps())
    if plot is not None:
        for path in draw(measured, plot):
            print(f"{path}: written", file=sys.stderr)
    print(to_json(measured) if as_json else as_text(measured).rstrip())
