"""`spoken-questions-en`: questions of common knowledge with four options, and short passages with questions on them.

Both were written for this corpus and are spoken on the user's machine by one neural voice. `CHOICES` and `PASSAGES`
hold the texts; a clip's id leads back to its entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from audiometry.benchmark.registry import corpus
from audiometry.tasks.corpora.prepared import PreparedCorpus
from audiometry.tasks.corpora.spoken import LICENCE, spoken_corpus

__all__ = ["CHOICES", "PASSAGES", "ChoiceQuestion", "Passage", "PassageQuestion", "spoken_questions", "spoken_texts"]


@dataclass(frozen=True, slots=True)
class ChoiceQuestion:
    """A question of common knowledge: its right answer and three wrong ones."""

    id: str
    topic: str
    question: str
    right: str
    wrong: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class PassageQuestion:
    """A question on a passage, with every answer that is right."""

    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """A short text about invented people and things, so that nobody can know the answers without hearing it."""

    id: str
    text: str
    questions: tuple[PassageQuestion, ...]


_CHOICES = {
    "geography": (
        ("What is the capital of Norway?", "Oslo", "Bergen", "Stockholm", "Helsinki"),
        ("Which ocean lies between Africa and Australia?", "Indian Ocean", "Pacific Ocean", "Arctic Ocean",
         "Atlantic Ocean"),
        ("On which continent is the Sahara?", "Africa", "Asia", "Australia", "South America"),
        ("Which river flows through London?", "Thames", "Seine", "Danube", "Rhine"),
        ("What is the capital of Japan?", "Tokyo", "Kyoto", "Seoul", "Beijing"),
        ("Which country is shaped like a boot?", "Italy", "Spain", "Greece", "Portugal"),
        ("What is the highest mountain above the level of the sea?", "Mount Everest", "Mont Blanc", "Kilimanjaro",
         "Denali"),
        ("Which country has the maple leaf on its flag?", "Canada", "Switzerland", "Brazil", "Ireland"),
    ),
    "science": (
        ("Which gas do plants take from the air to grow?", "Carbon dioxide", "Helium", "Hydrogen", "Neon"),
        ("What is frozen water called?", "Ice", "Steam", "Fog", "Dew"),
        ("Which planet is closest to the sun?", "Mercury", "Mars", "Venus", "Saturn"),
        ("How many legs does a spider have?", "Eight", "Six", "Four", "Ten"),
        ("What force pulls things toward the ground?", "Gravity", "Friction", "Magnetism", "Tension"),
        ("Which organ pumps blood through the body?", "Heart", "Liver", "Lung", "Kidney"),
        ("At how many degrees Celsius does water boil at the level of the sea?", "One hundred", "Fifty", "Seventy",
         "Two hundred"),
        ("Which metal is liquid at room temperature?", "Mercury", "Iron", "Copper", "Silver"),
    ),
    "numbers": (
        ("How many minutes are there in two hours?", "One hundred and twenty", "Sixty", "Ninety",
         "Two hundred and forty"),
        ("What is seven plus eight?", "Fifteen", "Thirteen", "Fourteen", "Seventeen"),
        ("How many sides does a triangle have?", "Three", "Four", "Five", "Six"),
        ("What is half of ninety?", "Forty-five", "Thirty", "Fifty", "Eighteen"),
        ("How many days are there in a leap year?", "Three hundred and sixty-six", "Three hundred and sixty-five",
         "Three hundred and sixty", "Four hundred"),
        ("What is nine times nine?", "Eighty-one", "Seventy-two", "Ninety", "Sixty-three"),
        ("How many eggs are in a dozen?", "Twelve", "Ten", "Six", "Twenty"),
        ("Which of these numbers is even?", "Fourteen", "Eleven", "Nine", "Twenty-three"),
    ),
    "language": (
        ("What is the opposite of empty?", "Full", "Open", "Dry", "Light"),
        ("Which word means the same as begin?", "Start", "Stop", "Wait", "Leave"),
        ("Which letter comes after the letter M?", "N", "L", "O", "P"),
        ("What do you call the mother of your mother?", "Grandmother", "Aunt", "Sister", "Cousin"),
        ("What is the plural of mouse, the animal?", "Mice", "Mouses", "Mousen", "Mouse"),
        ("What is a person called who writes books?", "Author", "Baker", "Painter", "Pilot"),
        ("Which season comes after winter?", "Spring", "Summer", "Autumn", "December"),
        ("What is a young dog called?", "Puppy", "Kitten", "Calf", "Foal"),
    ),
    "daily life": (
        ("What do you use to open a locked door?", "Key", "Spoon", "Pillow", "Candle"),
        ("Which meal is eaten in the morning?", "Breakfast", "Dinner", "Supper", "Dessert"),
        ("What is bread made from?", "Flour", "Sand", "Coal", "Wool"),
        ("Which instrument has black and white keys?", "Piano", "Violin", "Drum", "Flute"),
        ("What do bees make?", "Honey", "Milk", "Silk", "Wine"),
        ("What colour do you get when you mix blue and yellow paint?", "Green", "Purple", "Orange", "Brown"),
        ("What do you wear on your feet?", "Shoes", "Gloves", "Scarf", "Hat"),
        ("Which sport is played with a racket?", "Tennis", "Football", "Swimming", "Rowing"),
    ),
}  # fmt: skip

_PASSAGES = (
    ("The ferry to Brannick Island leaves from the east pier at twenty past nine. Marta missed it because her train "
     "was late, so she waited in the cafe and took the next one at noon.",
     ("Where does the ferry leave from?", "the east pier", "east pier"),
     ("Why did Marta miss the ferry?", "her train was late", "because her train was late"),
     ("Where did Marta wait?", "in the cafe", "the cafe")),
    ("Professor Oduya keeps three tortoises in her garden. The oldest is called Pepper and is forty years old. In "
     "winter they sleep in a wooden box in the cellar.",
     ("How many tortoises does the professor keep?", "three", "3"),
     ("What is the oldest tortoise called?", "Pepper"),
     ("Where do the tortoises sleep in winter?", "in a wooden box", "a wooden box in the cellar", "in the cellar",
      "the cellar", "in a wooden box in the cellar")),
    ("The town of Hollen voted on a new bridge last Tuesday. Most people wanted it to be built of stone, but stone "
     "costs too much, so the mayor chose steel. Work begins in April.",
     ("What did the town vote on?", "a new bridge", "bridge"),
     ("What will the bridge be made of?", "steel"),
     ("When does the work begin?", "in April", "April")),
    ("Jonas found a purse under a bench in the park. There were two tickets to a concert in it and a card with the "
     "name Elena Brandt. He took it to the library, where she worked.",
     ("Where did Jonas find the purse?", "under a bench", "under a bench in the park", "in the park", "the park"),
     ("Whose purse was it?", "Elena Brandt", "Elena Brandt's", "Elena"),
     ("Where did Elena work?", "the library", "in the library", "at the library")),
    ("To make the soup, cut two onions and a leek. Fry them in butter for ten minutes. Then add a litre of water and "
     "the potatoes, and cook until they are soft. Do not forget the nutmeg at the end.",
     ("How many onions are needed?", "two", "2"),
     ("For how long are the vegetables fried?", "ten minutes", "for ten minutes", "10 minutes"),
     ("What is added at the end?", "nutmeg", "the nutmeg")),
    ("The old clock in the hall strikes once at every half hour. My grandfather won it in a chess game against a "
     "sailor in nineteen fifty-one. It has been four minutes slow ever since.",
     ("Who won the clock?", "my grandfather", "grandfather", "the grandfather"),
     ("Whom was the chess game against?", "a sailor", "sailor"),
     ("How slow is the clock?", "four minutes", "four minutes slow", "4 minutes")),
    ("Flight two eighteen to Lisbon is delayed because of fog. Passengers may collect a meal voucher at desk seven. "
     "The new time of departure is half past six in the evening.",
     ("Where is the flight going?", "Lisbon", "to Lisbon"),
     ("Why is the flight delayed?", "fog", "because of fog"),
     ("Where can passengers collect a voucher?", "at desk seven", "desk seven", "desk 7")),
    ("Ines runs a small shop that repairs bicycles. On Mondays it is closed. Her brother paints the frames, usually in "
     "green, while she mends the brakes and the chains.",
     ("What does the shop repair?", "bicycles", "bikes"),
     ("On which day is the shop closed?", "Monday", "on Mondays", "Mondays"),
     ("Who paints the frames?", "her brother", "Ines's brother", "brother")),
    ("The lake froze in January for the first time in twelve years. Children skated on it every afternoon until the "
     "ice began to crack. Then the fire brigade put up a red sign.",
     ("In which month did the lake freeze?", "January", "in January"),
     ("What did the children do on the lake?", "skated", "they skated", "skate"),
     ("Who put up the sign?", "the fire brigade", "fire brigade")),
    ("Captain Sorrel of the ship Lantern keeps a parrot that speaks only Dutch. The parrot's favourite food is dried "
     "mango. Last spring it flew away in Genoa and came back after nine days.",
     ("What is the ship called?", "Lantern", "the Lantern"),
     ("Which language does the parrot speak?", "Dutch", "only Dutch"),
     ("After how many days did the parrot come back?", "nine", "nine days", "9", "9 days")),
)  # fmt: skip

CHOICES: tuple[ChoiceQuestion, ...] = tuple(
    ChoiceQuestion(f"choice-{topic.replace(' ', '-')}-{number}", topic, question, right, (first, second, third))
    for topic, entries in _CHOICES.items()
    for number, (question, right, first, second, third) in enumerate(entries, 1)
)
PASSAGES: tuple[Passage, ...] = tuple(
    Passage(f"passage-{number:02d}", text, tuple(PassageQuestion(one[0], tuple(one[1:])) for one in questions))
    for number, (text, *questions) in enumerate(_PASSAGES, 1)
)


def spoken_texts() -> Iterator[tuple[str, str]]:
    """What is said, by the clip's name: a question of common knowledge, or a passage and one question on it.

    >>> names = dict(spoken_texts())
    >>> names["choice-geography-1"], len(names)
    ('What is the capital of Norway?', 70)
    """
    for choice in CHOICES:
        yield choice.id, choice.question
    for passage in PASSAGES:
        for number, one in enumerate(passage.questions, 1):
            yield f"{passage.id}-{number}", f"{passage.text} {one.question}"


@corpus(
    "spoken-questions-en", needs="synthetic", language="en", licence=LICENCE, package="hibari-tts", speech="synthetic"
)
def spoken_questions() -> PreparedCorpus:
    """Spoken English questions: 40 of common knowledge and 30 on short passages, by one neural voice."""
    return spoken_corpus("spoken-questions-en", spoken_texts)
