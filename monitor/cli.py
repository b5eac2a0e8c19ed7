"""The commands: parse, call one function, print.

Everything heavy is imported inside the command that needs it, so that ``--help`` and ``check`` start
in well under a second and load neither torch nor PortAudio.
"""

from __future__ import annotations

import json
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor import __version__
from monitor.console import log_to_stderr, progress, report, steps
from monitor.types import MonitorError

if TYPE_CHECKING:
    from monitor.config import Config

app = typer.Typer(
    name="clap-monitor",
    help="Listen for any sound that a sentence can describe, and tell the house over MQTT.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

DEFAULT_CONFIG = Path("config/monitor.yaml")

Model = Annotated[
    str, typer.Option("--model", "-m", help="`starter`, a directory, or the id of a checkpoint on the hub.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, on standard output.")]


@app.command()
def run(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", envvar="CLAP_MONITOR_CONFIG", help="Without it, the defaults hold."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            "-s",
            help="Instead of the configured sources: a sound file, part of a microphone's name, its index, "
            "or `-` for raw samples on standard input.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Instead of the configured checkpoint.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", help="Instead of the configured labels: a sentence, also its name."),
    ] = None,
    as_json: AsJson = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="Replay sound files as fast as the model goes.")
    ] = False,
    rate: Annotated[int | None, typer.Option(help="Of raw samples: Hz.")] = None,
    sample_format: Annotated[
        str | None, typer.Option("--format", help="Of raw samples: s16le, s24le, s32le, f32le or u8.")
    ] = None,
    channels: Annotated[int | None, typer.Option(help="Of raw samples.")] = None,
) -> None:
    """Listen, and report events until the sources end or a signal comes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the daemon takes it over
    settings = _settings(config, source, model, label, fast=fast, raw=(rate, sample_format, channels))
    log_to_stderr(settings.log_level)
    from monitor.preflight import check as check_before

    check_before(settings, required=bool(source))
    from monitor.daemon import Daemon
    from monitor.outputs.terminal import Terminal

    daemon = Daemon(settings, required=bool(source))
    terminal = Terminal(
        sys.stdout,
        labels=settings.labels,
        recordings=frozenset(source.name for source in settings.sources if source.kind == "file"),
        rate=daemon.hearing.rate,
        node=settings.node,
        model=daemon.hearing.model.name,
        as_json=as_json,
        on_gone=daemon.stop,
    )
    report(daemon.run(terminal.deliver))


@app.command()
def check(
    path: Annotated[Path | None, typer.Argument(help="[default: config/monitor.yaml]")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The same as PATH.")] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also load the text tower and compare what the prompts mean.")
    ] = False,
) -> None:
    """Look for faults in a configuration: one line each, exit 78; warnings alone exit 0."""
    from monitor.config import load, warnings

    target = path or config or DEFAULT_CONFIG
    settings = load(target)
    notes = warnings(settings, window_seconds=settings.window.seconds or _usual_window(settings))
    if deep:
        from monitor.lint import too_close

        notes += too_close(settings)
    for note in notes:
        print(f"{target}: warning: {note}", file=sys.stderr)
    enabled = sum(label.enabled for label in settings.labels)
    print(f"{target}: good: {enabled} labels, {len(settings.sources)} sources, {len(notes)} warnings")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration."""
    from monitor.config import json_schema

    print(json.dumps(json_schema(), indent=2))


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="Where to; `-` prints it.")] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write the commented example configuration; it equals the defaults."""
    from monitor.config import example

    if str(path) == "-":
        print(example(), end="")
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(example())
    except FileExistsError as error:
        raise _unwritable(path, "is there already; --force overwrites it") from error
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error
    print(f"{path}: written; edit it, then `clap-monitor check {path}`")


@app.command()
def devices() -> None:
    """List the microphones."""
    from monitor.capture.microphone import devices as list_devices

    found = list_devices()
    for device in found:
        mark = "*" if device.default else " "
        print(
            f"{mark} {device.index:>3}  {device.name}  ({device.channels} channels, {device.rate:g} Hz, "
            f"{device.host_api})"
        )
    if not found:
        print("no microphone found: is one connected, and is this user in the group `audio`?")


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
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Instead of the configured checkpoint.")
    ] = None,
    as_json: AsJson = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves to PATH.png and PATH.svg.")] = None,
) -> None:
    """Measure how well labels are heard in annotated recordings, through the same code as `run`.

    A label of the annotation is the id, the name or a sentence of a label that is listened for.
    """
    settings = _settings(config, None, model, label, fast=True)
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


@app.command()
def download(
    checkpoint: Annotated[str, typer.Argument(help="Id on the hub.")] = "laion/larger_clap_general",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
) -> None:
    """Fetch a checkpoint and pin what was got, so that the service can run offline."""
    log_to_stderr("warning")
    from monitor.hub import download as fetch

    print(fetch(checkpoint, revision, progress=progress()))


def main() -> None:
    """Run the command line; every error that a person can put right is one line and an exit code."""
    try:
        app()
    except MonitorError as error:
        prefix = "" if error.exit_code == 78 else "clap-monitor: "  # noqa: PLR2004 - EX_CONFIG: path:line stands first
        print(f"{prefix}{error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(0)


@app.callback(invoke_without_command=True)
def _version(
    *, version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False
) -> None:
    if version:
        print(f"clap-monitor {__version__}")
        raise typer.Exit


def _settings(
    path: Path | None,
    sources: list[str] | None,
    model: str | None,
    labels: list[str] | None,
    *,
    fast: bool,
    raw: tuple[int | None, str | None, int | None] = (None, None, None),
) -> Config:
    """Return the configuration, changed by the command line."""
    from monitor.config import Config, load, replace_labels, replace_sources, source_from_argument

    config = Config() if path is None else load(path)
    if labels:
        config = replace_labels(config, labels)
    if sources:
        rate, sample_format, channels = raw
        config = replace_sources(
            config,
            [source_from_argument(s, rate=rate, format=sample_format, channels=channels) for s in sources],
        )
    if model is not None:
        checkpoint = config.model.model_copy(update={"checkpoint": model, "revision": None})
        config = config.model_copy(update={"model": checkpoint})
    if fast:
        hurried = (
            s if s.kind == "microphone" else s.model_copy(update={"pace": "fast"}) for s in config.sources
        )
        config = config.model_copy(update={"sources": tuple(hurried)})
    return config


def _usual_window(config: Config) -> float:
    """Seconds of a window if the configuration leaves it open."""
    from monitor.checkpoint import read_geometry
    from monitor.geometry import USUAL_WINDOW_SECONDS
    from monitor.hub import local_directory

    directory = local_directory(config.model.checkpoint, config.model.revision)
    if directory is None:
        return USUAL_WINDOW_SECONDS
    geometry = read_geometry(directory)
    return geometry.usual_window / geometry.rate


def _unwritable(path: Path, why: str) -> MonitorError:
    from monitor.types import OutputError

    return OutputError(f"{path}: {why}")
