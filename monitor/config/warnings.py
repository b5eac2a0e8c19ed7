"""Configuration warnings: valid settings that will not work as expected."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import combinations

from monitor.config.labels import LabelConfig, confirmations
from monitor.config.models import Config
from monitor.config.mqtt_broker import MqttConfig
from monitor.config.sources import SourceConfig
from monitor.config.web import WebConfig

_MAX_WORDS = 60
_MAX_TOKENS = 77  # longest captions in the training of the published checkpoints
_LETTERS_PER_TOKEN = 6
_NEAR = 0.75  # share of the significant words: three of four
_TLS_PORT, _PLAIN_PORT = 8883, 1883

_EMPTY_WORDS = re.compile(
    r"(a|an|the|is|are|of|on|in|at|with|and|to|its|his|her|their|from|into|some|someone|something|this|that"
    r"|sounds?|noises?|audio|recording|hear|heard|hearing|clip)"
)
_NEGATION = re.compile(r"(no|not|never|without|none|nothing|nobody|except|(is|are|does|do)n't)")
_FOREIGN = re.compile(
    r"(der|das|und|eine?|eine[rsmn]|ist|im|les|une|des|du|le|est|dans|el|los|las|una|del|il|gli|uno|een|het|och"
    r"|ett|ja|em|um|uma|som)"
)
"""Common words of other languages that are not English words."""


def warnings(config: Config, *, window_seconds: float) -> list[str]:
    """Warnings about settings that will not work as expected, one line each, the key first."""
    found = [*_windows(config, window_seconds), *_sources(config, window_seconds), *_mqtt(config.mqtt)]
    found += _web(config.web)
    if config.fleet.follow and config.mqtt.host is None:
        found.append("fleet.follow: needs mqtt.host; the configured labels hold")
    if not any(label.enabled for label in config.labels):
        found.append("labels: none is enabled; nothing will be detected")
    for index, label in enumerate(config.labels):
        if label.enabled:
            hop = config.window.hop(window_seconds)
            found.extend(_label(f"labels[{index}]", label, hop, window_seconds))
            if label.target is not None and not config.memory.enabled:
                found.append(f"labels[{index}].target: needs memory.enabled; the default threshold applies")
    for key, prompt in _prompts(config):
        found.extend(f"{key}: {why}" for why in _prompt(prompt))
    found.extend(_near(config))
    return found


def _windows(config: Config, seconds: float) -> Iterator[str]:
    hop = config.window.hop(seconds)
    if hop > seconds:
        yield (
            f"window.hop_seconds: {hop:g} is more than the window of {seconds:g} s; "
            f"{hop - seconds:g} s of audio in every {hop:g} s will be skipped"
        )


def _web(web: WebConfig) -> Iterator[str]:
    has_token = web.token_file is not None or web.token_env is not None
    if web.enabled and web.proxied and not web.public_read and not has_token:
        yield (
            "web: public_url, prefix or trusted_proxies is set, so everyone needs the token, but none "
            "is configured: nobody can read the page; name one with token_file, or set public_read to true"
        )


def _label(key: str, label: LabelConfig, hop: float, window: float) -> Iterator[str]:
    if label.threshold == 0:
        yield f"{key}.threshold: 0 is reached by every window; the event will never end by itself"
    if label.threshold == 1:
        yield f"{key}.threshold: 1 is never reached; nothing will be reported"
    if label.threshold > 0 and label.release == 0:
        yield f"{key}.release_threshold: 0 is below every score; events will last until max_duration_seconds"
    hits, of = confirmations(label.confirm_seconds, hop)
    inside = max(1, math.floor(window / hop + 1e-9))
    if hits > inside:
        confirm = "unset, it" if label.confirm_seconds is None else f"{label.confirm_seconds:g}"
        yield (
            f"{key}.confirm_seconds: {confirm} needs {hits} of {of} windows to agree, but "
            f"a short sound is inside only {inside} (windows of {window:g} s every {hop:g} s); "
            f"use at most {inside * hop:g}"
        )


def _mqtt(mqtt: MqttConfig) -> Iterator[str]:
    if mqtt.host is None:
        return
    if mqtt.tls and mqtt.port == _PLAIN_PORT:
        yield f"mqtt.port: {_PLAIN_PORT} is usually the unencrypted port; with tls it is usually {_TLS_PORT}"
    if not mqtt.tls and mqtt.port == _TLS_PORT:
        yield f"mqtt.port: {_TLS_PORT} is usually the encrypted port; it needs tls: true"
    yield from _login("mqtt", mqtt)


def _sources(config: Config, seconds: float) -> Iterator[str]:
    for index, source in enumerate(config.sources):
        key = f"sources[{index}]"
        if source.labels is not None and not any(
            label.enabled for label in config.labels if label.id in source.labels
        ):
            yield f"{key}.labels: none of them is enabled; nothing will be detected at this source"
        yield from _login(key, source)
        if source.hop_seconds is not None and source.hop_seconds > seconds:
            yield (
                f"{key}.hop_seconds: {source.hop_seconds:g} is more than the window of {seconds:g} s; "
                "the monitor will not start"
            )
        if source.url is not None and re.search(
            r"(pass|token|secret|key)\w*=[^{&]", source.url, re.IGNORECASE
        ):
            yield f"{key}.url: seems to contain a secret; replace it by {{password}} and name a password_file"


def _login(key: str, section: MqttConfig | SourceConfig) -> Iterator[str]:
    if section.username is not None and section.password_file is None and section.password_env is None:
        yield f"{key}.username: has no password; name one with password_file or password_env"


def _prompts(config: Config) -> Iterator[tuple[str, str]]:
    for index, label in enumerate(config.labels):
        if label.enabled:
            yield from ((f"labels[{index}].prompts[{i}]", prompt) for i, prompt in enumerate(label.prompts))
            yield from ((f"labels[{index}].against[{i}]", prompt) for i, prompt in enumerate(label.against))
    yield from ((f"background[{i}]", prompt) for i, prompt in enumerate(config.background))


def _prompt(prompt: str) -> Iterator[str]:
    words = re.findall(r"[\w']+", prompt.lower())
    tokens = 2 + sum(1 + len(word) // _LETTERS_PER_TOKEN for word in words)
    if len(words) > _MAX_WORDS or tokens > _MAX_TOKENS:
        yield f"{len(words)} words are too long for a prompt; the model understands a few words best"
    if any(character.isalpha() and not character.isascii() for character in prompt) or any(
        map(_FOREIGN.fullmatch, words)
    ):
        yield f'"{prompt}" does not look like English; the model understands only English'
    if negation := next(filter(_NEGATION.fullmatch, words), None):
        yield f'"{negation}" is ignored by the model; describe the sound, and put other sounds under against'
    if not _meaning(prompt):
        yield f'"{prompt}" does not describe a sound; say what makes it, and how'


def _near(config: Config) -> Iterator[str]:
    """Pairs of prompts that mean the same but should differ."""
    background = [(f"background[{i}]", text) for i, text in enumerate(config.background)]
    earlier: list[tuple[str, str]] = []
    for index, label in enumerate(config.labels):
        if not label.enabled:
            continue
        key = f"labels[{index}]"
        own = [(f"{key}.prompts[{i}]", text) for i, text in enumerate(label.prompts)]
        against = [(f"{key}.against[{i}]", text) for i, text in enumerate(label.against)]
        for (one, text), (other, again) in combinations(own, 2):
            if text.lower() == again.lower():
                yield f"{other}: is the same as {one}; it has no effect"
        for pair in _pairs([*against, *background], own):
            yield f"{pair}; the label will rarely be detected"
        for pair in _pairs(own, earlier):
            yield f"{pair}; both labels will be detected together"
        earlier += own


def _pairs(ones: list[tuple[str, str]], others: list[tuple[str, str]]) -> Iterator[str]:
    meanings = [(place, text, _meaning(text)) for place, text in others]
    for one, text in ones:
        meaning = _meaning(text)
        for other, again, its_meaning in meanings:
            if meaning and len(meaning & its_meaning) >= _NEAR * len(meaning | its_meaning):
                yield f'{one}: "{text}" means nearly the same as {other} "{again}"'


def _meaning(text: str) -> frozenset[str]:
    return frozenset(
        _stem(word) for word in re.findall(r"\w+", text.lower()) if not _EMPTY_WORDS.fullmatch(word)
    )


def _stem(word: str) -> str:
    """Word without its English suffix, roughly: barks, barked and barking are the same."""
    stem = re.sub(r"(?<=\w{3})(ing|ed|es|s|e)$", "", word)
    return re.sub(r"(\w)\1$", r"\1", stem)
