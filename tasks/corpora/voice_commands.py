"""`spoken-commands-en`: commands to an assistant, made from templates, with their intent and slots.

Twelve intents; each template is filled with two sets of values. A clip's id leads back to its entry of `COMMANDS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from audiometry.benchmark.registry import corpus
from audiometry.tasks.corpora.prepared import PreparedCorpus
from audiometry.tasks.corpora.spoken import LICENCE, spoken_corpus

__all__ = ["COMMANDS", "INTENTS", "Command", "spoken_commands"]


@dataclass(frozen=True, slots=True)
class Command:
    """What is said, and what it means: an intent and the slots that it fills."""

    id: str
    text: str
    intent: str
    slots: Mapping[str, str]


INTENTS: Mapping[str, tuple[str, ...]] = {
    "set_alarm": ("time", "day"),
    "set_timer": ("duration",),
    "play_music": ("artist", "title"),
    "set_volume": ("level",),
    "switch_light": ("state", "room"),
    "set_temperature": ("degrees", "room"),
    "ask_weather": ("city", "day"),
    "call_person": ("person",),
    "send_message": ("person", "message"),
    "add_to_list": ("item", "list"),
    "navigate": ("place",),
    "stop": (),
}
"""Every intent and the slots that it may have."""

_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "set_alarm": (
        "Set an alarm for {time=seven thirty|six} {day=tomorrow|on Friday}.",
        "Wake me at {time=five fifteen|half past eight} please.",
        "I need to get up at {time=nine|quarter to seven} {day=on Sunday|tomorrow}.",
        "{day=On Monday|Today} wake me up at {time=ten|four}.",
    ),
    "set_timer": (
        "Set a timer for {duration=ten minutes|one hour}.",
        "Start a {duration=three minute|twenty second} timer.",
        "Count down {duration=forty-five minutes|two hours} from now.",
        "Tell me when {duration=fifteen minutes|half an hour} have passed.",
    ),
    "play_music": (
        "Play {title=Moonlight Sonata|Clair de Lune}.",
        "I would like to hear something by {artist=Mozart|Ella Fitzgerald}.",
        "Put on {title=Blue Moon|Summertime} by {artist=Billie Holiday|Louis Armstrong}.",
        "Play some songs of {artist=Johnny Cash|Nina Simone}.",
    ),
    "set_volume": (
        "Set the volume to {level=thirty percent|five}.",
        "Turn the volume {level=up|down}.",
        "Make it {level=louder|quieter}.",
        "Volume at {level=maximum|half}.",
    ),
    "switch_light": (
        "Turn {state=on|off} the light in the {room=kitchen|bedroom}.",
        "Switch the {room=bathroom|hall} lights {state=off|on}.",
        "Lights {state=on|off}.",
        "Is the lamp in the {room=office|garage} still burning? Switch it {state=off|off}.",
    ),
    "set_temperature": (
        "Set the heating to {degrees=twenty|eighteen} degrees.",
        "Make it {degrees=nineteen|twenty-two} degrees in the {room=living room|nursery}.",
        "The {room=bedroom|office} should be at {degrees=seventeen|twenty-one} degrees.",
        "Change the temperature in the {room=kitchen|bathroom} to {degrees=fifteen|twenty-four}.",
    ),
    "ask_weather": (
        "What is the weather like in {city=Madrid|Oslo}?",
        "Will it rain {day=tomorrow|today}?",
        "Do I need an umbrella in {city=London|Vienna} {day=on Saturday|tonight}?",
        "How warm will it be {day=on Thursday|tomorrow} in {city=Rome|Chicago}?",
    ),
    "call_person": (
        "Call {person=my mother|Doctor Brown}.",
        "Please ring {person=Peter|the plumber}.",
        "I want to talk to {person=Susan|my boss} on the phone.",
        "Dial {person=grandma|Michael}.",
    ),
    "send_message": (
        "Tell {person=Anna|my brother} that {message=I am late|dinner is ready}.",
        "Send a message to {person=Frank|Julia} saying {message=see you soon|happy birthday}.",
        "Write to {person=my teacher|David}: {message=the train is delayed|call me back}.",
        "Text {person=Laura|dad} that {message=I have arrived|we need milk}.",
    ),
    "add_to_list": (
        "Add {item=butter|six eggs} to the {list=shopping list|grocery list}.",
        "Put {item=water the plants|pay the rent} on my {list=to do list|task list}.",
        "Please note {item=batteries|new shoes} for the {list=shopping list|wish list}.",
        "We are out of {item=coffee|soap}, put it on the {list=shopping list|grocery list}.",
    ),
    "navigate": (
        "How do I get to {place=the central station|Baker Street}?",
        "Take me {place=home|to the airport}.",
        "Navigate to {place=the nearest pharmacy|the town hall}.",
        "Show me the way to {place=the museum|Hyde Park}.",
    ),
    "stop": ("Stop.", "Be quiet.", "Cancel that.", "Never mind, forget it."),
}
_SLOT = re.compile(r"\{(\w+)=([^|}]+)\|([^}]+)\}")


def _commands() -> Iterator[Command]:
    for intent, templates in _TEMPLATES.items():
        for number, template in enumerate(templates, 1):
            for version in (1, 2) if _SLOT.search(template) else (1,):
                slots = {match.group(1): match.group(version + 1) for match in _SLOT.finditer(template)}
                text = _SLOT.sub(lambda match, version=version: str(match.group(version + 1)), template)  # type: ignore[misc]
                yield Command(f"{intent}-{number}-{version}", text[0].upper() + text[1:], intent, slots)


COMMANDS: tuple[Command, ...] = tuple(_commands())


@corpus(
    "spoken-commands-en", needs="synthetic", language="en", licence=LICENCE, package="hibari-tts", speech="synthetic"
)
def spoken_commands() -> PreparedCorpus:
    """Spoken English commands to an assistant: 92 of twelve intents, by one neural voice."""
    return spoken_corpus("spoken-commands-en", lambda: ((one.id, one.text) for one in COMMANDS))
