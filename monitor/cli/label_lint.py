"""Command that finds labels and prompts that are confused in a room: labels lint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from monitor.cli.app import AsJson, ConfigFile, labels_app
from monitor.cli.memory_commands import OneSource, Since, open_memory, sources_of
from monitor.cli.options import Overrides, settings_from
from monitor.cli.periods import moment
from monitor.cli.recordings import as_line

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.memory.label_confusion import AlikePrompts, FireTogether


@labels_app.command()
def lint(
    config: ConfigFile = None, source: OneSource = None, since: Since = "7d", as_json: AsJson = False
) -> None:
    """List labels that fire together, and prompts that the model cannot tell apart in the room.

    This searches the memory of each source.  Give such labels other prompts, or merge them.
    """
    settings = settings_from(config, Overrides())
    found = list(_found(settings, source, moment(since)))
    for each in found:
        print(as_line({"kind": _kind(each), **asdict(each)}) if as_json else _line(each))
    if not found and not as_json:
        print("no labels fire together, and no prompts are confused")


def _found(settings: Config, source: str | None, since: float) -> Iterator[FireTogether | AlikePrompts]:
    from monitor.detection.active_labels import restore_settings
    from monitor.memory.heard_labels import heard_labels
    from monitor.memory.label_confusion import alike_prompts, fire_together, moments
    from monitor.memory.would_fire import watchlist_at

    engine, reader = open_memory(settings)
    active = restore_settings(settings, settings.state).active_labels
    prototypes = engine.build_prototypes(active.enabled, active.background)
    prompts = [(label.id, prompt) for label in active.enabled for prompt in label.prompts]
    vectors = engine.model.embed_text([prompt for _, prompt in prompts])
    engine.model.forget_text()
    for name in sources_of(reader, source):
        rules = watchlist_at(name, settings, engine, active, prototypes).rules
        heard = heard_labels(reader.chunks(name, since), prototypes, rules, engine.calibration)
        yield from fire_together(name, heard, {rule.label: rule.threshold for rule in rules})
        known = moments(reader.chunks(name, since))
        if known is not None:
            yield from alike_prompts(name, known, prompts, vectors)


def _kind(found: FireTogether | AlikePrompts) -> str:
    from monitor.memory.label_confusion import FireTogether

    return "together" if isinstance(found, FireTogether) else "alike"


def _line(found: FireTogether | AlikePrompts) -> str:
    from monitor.memory.label_confusion import FireTogether

    if isinstance(found, FireTogether):
        return (
            f"{found.source}: {found.label} and {found.other} fire together: {found.both} of "
            f"{found.firings} times that {found.label} fires"
        )
    return (
        f"{found.source}: {found.prompt!r} ({found.label}) and {found.other_prompt!r} ({found.other}) "
        f"cannot be told apart: correlation {found.correlation:.2f}"
    )
