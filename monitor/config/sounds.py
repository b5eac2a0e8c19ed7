"""The sounds a new installation listens for.

Plain sentences, as CLAP was trained on captions.  Of the wishes people voice about home monitors,
a crying baby leads, then barking, smoke alarms, breaking glass and the doorbell.  ``against`` holds
what is mistaken for the sound; nothing in it, or in `BACKGROUND`, may be the sound itself or contain it:
a negative that overlaps a target kills its recall.
"""

from __future__ import annotations

from typing import NamedTuple


class Sound(NamedTuple):
    """The prompts of one label."""

    prompts: tuple[str, ...]
    against: tuple[str, ...]


SOUNDS: dict[str, Sound] = {
    "baby_cry": Sound(
        ("a baby crying", "an infant wailing and sobbing", "a newborn screaming"),
        ("children playing and laughing", "a cat meowing", "a person singing"),
    ),
    "dog_bark": Sound(
        ("a dog barking", "a small dog yapping", "a large dog woofing loudly"),
        ("a person coughing", "a door slamming", "crows cawing"),
    ),
    "cat_meow": Sound(
        ("a cat meowing", "a kitten mewing", "a hungry cat yowling"),
        ("a baby crying", "a door creaking", "birds chirping"),
    ),
    "smoke_alarm": Sound(
        ("a smoke alarm beeping", "a fire alarm going off", "a smoke detector with loud high-pitched beeps"),
        ("a microwave oven beeping", "a telephone ringing", "a truck reversing"),
    ),
    "glass_breaking": Sound(
        ("glass breaking", "a window shattering", "a bottle smashing on the floor"),
        ("dishes and cutlery clattering", "keys jingling", "coins dropping on a table"),
    ),
    "doorbell": Sound(
        ("a doorbell ringing", "a ding-dong door chime", "an electric door buzzer"),
        ("a telephone ringing", "church bells ringing", "a clock chiming"),
    ),
    "knocking": Sound(
        ("someone knocking on a door", "knuckles rapping on wood", "a fist pounding on a door"),
        ("footsteps on a wooden floor", "a hammer hitting a nail", "dishes and cutlery clattering"),
    ),
    "coughing": Sound(
        ("a person coughing", "a dry hacking cough", "someone coughing and clearing their throat"),
        ("a person sneezing", "a person laughing", "a dog barking"),
    ),
}

BACKGROUND: tuple[str, ...] = (
    "people talking",
    "music playing",
    "traffic on a road",
    "wind blowing into a microphone",
    "rain falling",
    "the steady hum of a fan",
    "typing on a keyboard",
    "a quiet room",
)
