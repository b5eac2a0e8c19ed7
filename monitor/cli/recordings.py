"""Commands about recordings: classify, embed, evaluate."""

from __future__ import annotations

import json
import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.app import AsJson, Model, OtherModel, app
from monitor.cli.console import steps
from monitor.cli.logs import log_to_stderr, say
from monitor.cli.options import settings_from
from monitor.types import ModelError, MonitorError, NotAudioError, SourceError


class LeftOut:
    """Files of a batch that could not be used; the others are done all the same.

    Parameters
    ----------
    files : int
        In the batch; of a single one its own error is what the command ends with.
    """

    def __init__(self, files: int) -> None:
        self._files = files
        self._count = 0

    def hear(self, error: SourceError | ModelError) -> None:
        """Say at once why a file is left out."""
        if self._files == 1:
            raise error
        self._count += 1
        say(f"clap-monitor: {error}", logging.ERROR)

    def end(self) -> None:
        """`NotAudioError` if any was."""
        if self._count:
            raise NotAudioError(f"{self._count} of {self._files} files could not be used, see above")


def readable(file: Path) -> str:
    """Name of a file as text for anybody; for bytes that are not UTF-8 stands the replacement character."""
    return os.fsencode(file).decode("utf-8", errors="replace")


def as_line(content: object) -> str:
    """One line of JSON, which knows no number that is none."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


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
    from monitor.evaluation.zero_shot import classify as classify_files

    left_out = LeftOut(len(files))
    for file, scores in classify_files(
        files, label, template=template, checkpoint=model, refused=left_out.hear
    ):
        if as_json:
            content = [{"label": text, "score": score} for text, score in scores]
            print(as_line({"file": readable(file), "scores": content}), flush=True)
        else:
            ranked = "  ".join(f"{text} {score:.3f}" for text, score in scores)
            print(f"{readable(file)}:  {ranked}", flush=True)
    left_out.end()


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

    A recording longer than the model's window is heard in evenly spaced windows, averaged.  A file that
    cannot be used has no row; a line on standard error says which.
    """
    log_to_stderr("warning")
    if bool(files) == bool(text):
        raise typer.BadParameter("give either files or --text sentences")
    from monitor.evaluation.zero_shot import embed_each, embed_sentences, refuse_unwritable, save

    if out is not None:
        refuse_unwritable(out)  # before hours of work, not after it
    kind, sentences, left_out = ("file" if files else "text"), list(text or ()), LeftOut(len(files or ()))
    named = (
        ((readable(file), row) for file, row in embed_each(files, checkpoint=model, refused=left_out.hear))
        if files
        else zip(sentences, embed_sentences(sentences, checkpoint=model), strict=True)
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
    left_out.end()


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
    from monitor.detection.engine import load_engine

    recordings = [found for table in annotations for found in evaluation.read_annotations(table)]
    engine = load_engine(settings)
    engine.model.forget_text()  # no other sentences come
    measured = evaluation.evaluate(recordings, settings, engine, progress=steps())
    if plot is not None:
        for path in evaluation.plot(measured, plot):
            print(f"{path}: written", file=sys.stderr)
    print(evaluation.as_json(measured) if as_json else evaluation.as_text(measured).rstrip())
