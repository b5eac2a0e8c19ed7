"""The sounds a new installation listens for.

Plain sentences, as CLAP was trained on captions.  Of the wishes people voice about home monitors,
a crying baby leads, then barking, smoke alarms, breaking glass and the doorbell.  Nothing is set against
them: lists of what each might be mistaken for took the mean AUROC of these labels from 0.84 to 0.48 on
clips of everyday sounds (full weight; benchmarks/clips.yaml), for such sentences lie close to the sound
itself.  Nothing in `BACKGROUND` may be one of the sounds or contain it.
"""

from __future__ import annotations

SOUNDS: dict[str, tuple[str, ...]] = {
    "baby_cry": ("a baby crying", "an infant wailing and sobbing", "a newborn screaming"),
    "dog_bark": ("a dog barking", "a small dog yapping", "a large dog woofing loudly"),
    "cat_meow": ("a cat meowing", "a kitten mewing", "a hungry cat yowling"),
    "smoke_alarm": (
        "a smoke alarm beeping",
        "a fire alarm going off",
        "a smoke detector with loud high-pitched beeps",
    ),
    "glass_breaking": ("glass breaking", "a window shattering", "a bottle smashing on the floor"),
    "doorbell": ("a doorbell ringing", "a ding-dong door chime", "an electric door buzzer"),
    "knocking": ("someone knocking on a door", "knuckles rapping on wood", "a fist pounding on a door"),
    "coughing": ("a person coughing", "a dry hacking cough", "someone coughing and clearing their throat"),
}

SPEECH: tuple[str, ...] = (
    "people talking",
    "a person speaking",
    "a man talking",
    "a woman talking",
    "a child speaking",
)
"""What the speech guard of the clips listens for."""

VOICES: tuple[str, ...] = (
    "a baby crying",
    "a rooster crowing",
    "a dog barking",
    "a cat meowing",
    "an animal calling",
    "a person sneezing",
    "somebody coughing",
    "people laughing",
    "a bird singing",
)
"""What sounds a little like people speaking, and is not: the speech guard lets pass what is clearly this."""

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
