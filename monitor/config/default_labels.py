"""Default labels of a new installation, and the prompts for background sounds and speech.

The prompts are plain phrases, because CLAP was trained on captions. Users of home monitors most often ask
for a crying baby, then for barking, smoke alarms, breaking glass and the doorbell. The labels have no
`against`: prompts for similar sounds lowered their mean AUROC from 0.84 to 0.48 on clips of everyday sounds
(at full weight; benchmarks/clips.yaml), because such prompts are close to the sound itself. No prompt in
`BACKGROUND` may describe or contain one of the sounds.
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
"""Prompts of the speech filter of the clips."""

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
"""Prompts for sounds similar to speech; the speech filter passes clips that clearly match one of them."""

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
