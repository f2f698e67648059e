"""Intent and slots of spoken commands: `spoken-intent`.

The answer is one JSON object ``{"intent": …, "slots": {…}}``. One that is not, or whose intent is not in the list, is
`unparsed`; it and a failed sample have the intent wrong and all slots missing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from audiometry.benchmark.registry import task
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.utterance import open_corpus
from audiometry.tasks.corpora.voice_commands import COMMANDS, INTENTS
from audiometry.tasks.labelling import chance_note, read_status
from audiometry.tasks.metrics.normalise import normaliser
from audiometry.tasks.metrics.weighting import ratio
from audiometry.tasks.parsing import parse_object

__all__ = ["INSTRUCTION", "METRICS", "parse_frame", "score_frame", "spoken_intent"]

CORPUS = "spoken-commands-en"
NORMALISER = "whisper-english-1"
METRICS = (
    Metric("intent_accuracy", direction="higher", high=1.0, scale="logit"),
    Metric("slot_f1", direction="higher", high=1.0, scale="logit"),
    Metric("frame_accuracy", direction="higher", high=1.0, scale="logit"),
)
INSTRUCTION = (
    "Listen to the command and say what it asks for. Answer with one JSON object and nothing else, as in "
    '{"intent": "set_timer", "slots": {"duration": "ten minutes"}}. Slot values are the words that are said. '
    "Leave out slots that the command does not fill. The intents, with the slots that each may have: "
    + "; ".join(f"{intent} ({', '.join(slots) or 'none'})" for intent, slots in INTENTS.items())
    + "."
)

Frame = tuple[str, Mapping[str, str]]


@task("spoken-intent")
def spoken_intent() -> Task:
    """Intent and slots of spoken commands: accuracy of the intent, slot F1, whole frames."""
    corpus = open_corpus(CORPUS)
    change = normaliser(NORMALISER)
    meant = {one.id: one for one in COMMANDS}

    def samples() -> Iterator[Sample]:
        for spoken in corpus.utterances():
            command = meant[spoken.id.rpartition("/")[2]]
            target = json.dumps({"intent": command.intent, "slots": dict(command.slots)})
            request = Request("respond", {"input": spoken.audio}, instruction=INSTRUCTION, language=spoken.language)
            # two clips of one template differ in a word or two: they are resampled together
            template = command.id.rpartition("-")[0]
            yield Sample(spoken.id, request, target, {**spoken.slices, "intent": command.intent}, template)

    def score(sample: Sample, output: Output) -> Score:
        frame = parse_frame(output.text or "") if output.status == "ok" else None
        command = meant[sample.id.rpartition("/")[2]]
        counts = score_frame(frame, (command.intent, command.slots), change)
        details = {"reference": str(sample.target), "answer": output.text or ""}
        return Score(sample.id, counts, read_status(output, frame is not None), details)

    return Task(
        name="spoken-intent",
        version="1",
        ability="respond",
        samples=samples,
        score=score,
        reduce=_reduce,
        metrics=METRICS,
        notes=(*corpus.notes, chance_note(len(INTENTS))),
        settings={"corpus": CORPUS, "normaliser": NORMALISER},
    )


def parse_frame(text: str) -> Frame | None:
    """The intent and slots of an answer, or None if it is no JSON object of the asked form.

    The intent must be one of `INTENTS`; `slots` may be left out, and its values are texts or numbers. A slot that the
    intent cannot have is kept: it is wrong, and not unreadable.

    >>> parse_frame('{"intent": "set_timer", "slots": {"duration": 5}}'), parse_frame("set_timer")
    (('set_timer', {'duration': '5'}), None)
    """
    found = parse_object(text)
    if found is None:
        return None
    intent, slots = found.get("intent"), found.get("slots", {})
    if not isinstance(intent, str) or intent not in INTENTS or not isinstance(slots, dict):
        return None
    if not all(isinstance(value, str | int | float) and not isinstance(value, bool) for value in slots.values()):
        return None
    return intent, {str(name): str(value) for name, value in slots.items()}


def score_frame(frame: Frame | None, wanted: Frame, change: Callable[[str], str] = str) -> dict[str, float]:
    """Counts of one command: `intent` and `frame` (0 or 1), `slots_right`, `slots_said`, `slots_wanted`, `commands`.

    A slot is right if its name and its value after `change` are. Slots count only where the intent is right, as in
    semantic frame evaluation: the same slot of another intent means something else.

    >>> score_frame(("set_timer", {"duration": "ten"}), ("set_timer", {"duration": "Ten"}), str.lower)["frame"]
    1.0
    """
    intent, slots = frame if frame is not None else ("", {})
    said, right = _slots(slots, change), _slots(wanted[1], change)
    same = intent == wanted[0]
    return {
        "intent": float(same),
        "frame": float(same and said == right),
        "slots_right": float((said & right).total()) if same else 0.0,
        "slots_said": float(said.total()),
        "slots_wanted": float(right.total()),
        "commands": 1.0,
    }


def _slots(slots: Mapping[str, str], change: Callable[[str], str]) -> Counter[tuple[str, str]]:
    return Counter((name, change(value).strip()) for name, value in slots.items())


def _reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    right, said, wanted = (weights @ table.cluster_sums(f"slots_{name}") for name in ("right", "said", "wanted"))
    return {
        "intent_accuracy": ratio_of_sums(table, weights, "intent", "commands"),
        "slot_f1": ratio(2 * right, said + wanted),
        "frame_accuracy": ratio_of_sums(table, weights, "frame", "commands"),
    }
