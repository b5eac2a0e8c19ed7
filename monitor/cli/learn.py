"""Commands that teach a sound by example: learn, labels export, labels import."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.app import AsJson, ConfigFile, LabelName, app, labels_app
from monitor.cli.archives import check_archive_extra
from monitor.cli.options import Overrides, settings_from
from monitor.cli.remote import StateDirectory

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.daemon.learn_command import Learned


@app.command()
def learn(
    label: Annotated[
        str, typer.Argument(metavar="LABEL", help="Identifier of the label; a new one is added.")
    ],
    more: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", hidden=True)] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE...", help="Sound file of at most 60 s with the sound."),
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option("--event", metavar="ID", help="Event that has a clip with the sound; repeatable."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against", metavar="ID", help="Event of the label that was another sound; repeatable."
        ),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(
            "--record", metavar="SECONDS", help="Record the sound now, for 1 to 30 seconds, such as 10s."
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", "-s", help="Source to record from, if there are several.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Display name of the label.")] = None,
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", help="Prompt for the sound as well; repeatable.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Drop its earlier examples.")] = False,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Delete all examples and sounds marked wrong; the prompts remain."),
    ] = False,
    archive: Annotated[
        Path | None,
        typer.Option(
            "--archive",
            metavar="DIR",
            help="Results of `scan --embeddings` in which to count how often it would have fired.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the examples, and change nothing.")
    ] = False,
    config: ConfigFile = None,
    state: StateDirectory = None,
    as_json: AsJson = False,
) -> None:
    """Teach a label a sound by example, and show how well it works.

    Three recordings of one doorbell are enough.  Only their embeddings are stored, no audio.  A label may
    have prompts, examples, or both.  Without --from, --event and --record, the examples that it has are
    checked.
    """
    from monitor.daemon.learn_command import Lesson, mark_wrong
    from monitor.daemon.learn_command import learn as teach

    settings = settings_from(config, Overrides(state=state))
    if forget:
        _forget(settings, label)
        return
    keys: dict[str, object] = {"name": name} if name is not None else {}
    if prompt:
        keys["prompts"] = list(prompt)
    lesson = Lesson(
        label=label,
        files=(*(files or ()), *(more or ())),
        events=tuple(event or ()),
        record_seconds=None if record is None else _seconds(record),
        source=source,
        against=tuple(against or ()),
        keys=keys,
        replace_known=replace,
        dry_run=dry_run,
        archive=archive,
    )
    check_archive_extra(archive)
    if against:
        count, live = mark_wrong(settings, lesson)
        when = "nothing is changed" if dry_run else "in force now" if live else "in force at the next start"
        print(f"{label}: {count} sounds marked wrong count against it; {when}")
        if not (files or more or event or record):
            return
    learned = teach(settings, lesson, on_record=_announce)
    where = "memory" if archive is None else "archive"
    print(
        json.dumps(asdict(learned), ensure_ascii=False) if as_json else _text(learned, where, dry_run=dry_run)
    )


@labels_app.command("export")
def export_label(
    label: LabelName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.")],
    config: ConfigFile = None,
    state: StateDirectory = None,
) -> None:
    """Write a label with its examples, as embeddings, into one small file."""
    from monitor.daemon.label_transfer import export

    export(settings_from(config, Overrides(state=state)), label, file)
    print(f"{file}: written")


@labels_app.command("import")
def import_label(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File that `labels export` wrote.")],
    config: ConfigFile = None,
    state: StateDirectory = None,
) -> None:
    """Add a label from a file of `labels export`, for the same checkpoint."""
    from monitor.daemon.label_transfer import load

    label, live = load(settings_from(config, Overrides(state=state)), file)
    print(f"{label}: {'in force now' if live else 'in force at the next start'}")


def _forget(settings: Config, label: str) -> None:
    from monitor.daemon.label_transfer import forget

    live = forget(settings, label)
    print(f"{label}: its examples are deleted{'' if live else '; the next start works without them'}")


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 30:  # noqa: PLR2004 - the monitor keeps a minute
        raise typer.BadParameter(f"--record: {text!r} is not a time from 1s to 30s")
    return seconds


def _announce(seconds: float) -> None:
    print(f"recording for {seconds:g} s: make the sound now", file=sys.stderr, flush=True)


def _text(learned: Learned, where_counted: str, *, dry_run: bool) -> str:
    """Return what was learned, in words."""
    check = learned.check
    if dry_run or not learned.new:
        state = "nothing is changed"
    else:
        state = "in force now" if learned.live else "in force at the next start"
    lines = [f"{check.label}: {check.examples} examples, {learned.new} of them new; {state}"]
    if check.recall is None:
        lines.append("  one example cannot be tested on another: give two more")
    else:
        where = "10 dB above ambience" if check.mixed else "in a quiet room"
        recall = check.recall
        lines.append(
            f"  recall {recall.value:.2f} ({recall.low:.2f} to {recall.high:.2f}) {where}, each example with "
            "a label learned from the others"
        )
    lines += [
        f"  {origin} is unlike the others (score {check.scores[origin]:.2f}): is it the same sound?"
        for origin in check.outliers
    ]
    lines += [
        f"  {label} detects {share:.0%} of the examples as well" for label, share in check.collisions.items()
    ]
    if check.rivals:
        lines.append(f"  {check.rivals} sounds marked wrong count against it")
    fired = {0: "never fired", 1: "fired once"}.get(
        check.ambience_events, f"fired {check.ambience_events} times"
    )
    lines.append(f"  {fired} in {check.ambience_seconds:.0f} s of ambience without the sound")
    if learned.history is not None:
        history = learned.history
        past = f"the last {history.hours:.1f} h of the memory"
        if where_counted == "archive":
            past = f"the archive, which has {history.hours:.1f} h of scored audio"
        lines.append(f"  would have fired {history.events} times in {past}")
    return "\n".join(lines)
