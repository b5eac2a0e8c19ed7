"""Engines without a checkpoint: any function as the audio encoder."""

from types import SimpleNamespace

import numpy as np

from monitor.audio.level import to_reference
from monitor.detection.active_labels import ActiveLabels, restore_settings
from monitor.detection.calibration import Calibration
from monitor.detection.control import Control
from monitor.detection.engine import Engine
from monitor.detection.examples_file import stored_examples
from monitor.detection.prototypes import Directions, Prototypes, build_prototypes

CALIBRATION = Calibration(scale=10.0, centre=0.5, baseline=0.0)

ARMED = ActiveLabels(labels=(), sources=())


def prototypes_of(labels, vectors, **fields):
    """Prototypes without prompts against any label."""
    against = Directions(np.zeros((0, len(vectors[0])), np.float32))
    return Prototypes(
        labels=labels,
        directions=Directions(np.stack(vectors)),
        against=against,
        is_against=np.zeros((len(labels), 0), bool),
        **{"fingerprints": labels} | fields,
    )


def engine_of(encode, prototypes, *, mel_config, length, hop, **fields):
    """Return an engine with this audio encoder; ``mel_config`` may be a rate only."""
    if isinstance(mel_config, int):
        mel_config = SimpleNamespace(rate=mel_config)
    return Engine(
        model=SimpleNamespace(name="fake", device="cpu", mel_config=mel_config),
        encode=encode,
        prototypes=prototypes,
        length=length,
        hop=hop,
        **{"calibration": CALIBRATION} | fields,
    )


def control_of(config, embed, *, state=None, build=build_prototypes, **options):
    """Return a control whose engine embeds prompts with a function."""
    settings = restore_settings(config, state)
    labels = settings.active_labels
    model = SimpleNamespace(name="fake", identity="fake", dimension=embed(["any"]).shape[1])
    examples = {} if state is None else stored_examples(state, model.identity, model.dimension)
    engine = SimpleNamespace(
        model=model,
        examples=examples,
        prototypes=build_prototypes(labels.labels, labels.background, embed, examples=examples),
        build_prototypes=lambda labels, background, examples: build(
            labels, background, embed, examples=examples
        ),
    )
    return Control(settings, engine, state=state, **options)


class Samples:
    """Stands for a spectrogram cache: the encoder takes the samples themselves."""

    def log_mel(self, window):
        return to_reference(window.samples)

    def inner(self, _window):
        return np.empty((0, 0), np.float32)
