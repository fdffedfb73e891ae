"""Lines of the emotion corpus, and how each emotion is spoken.

Everything here is made by rule: an emotion is a range of pitch, tempo and level, and for half of
the lines a wording. It is no recording of anybody's feelings; it only exercises the recipe.
"""

import dataclasses

EMOTIONS = ("neu", "hap", "ang", "sad")


@dataclasses.dataclass(frozen=True)
class Prosody:
    """Means of an emotion's prosody; see `_SPREAD` for how it varies.

    Args:
        pitch: float, factor of the voice's own fundamental frequency.
        speed: float, factor of its tempo.
        level: float, root mean square of the waveform.
    """

    pitch: float
    speed: float
    level: float


PROSODIES = {
    "neu": Prosody(1.00, 1.00, 0.060),
    "hap": Prosody(1.25, 1.10, 0.070),
    "ang": Prosody(1.12, 1.18, 0.085),
    "sad": Prosody(0.86, 0.86, 0.045),
}
# Standard deviation of each factor, so that neighbouring emotions overlap.
_SPREAD = 0.07
# fmt: off
# Said in every emotion: only the voice tells which.
_PLAIN = [
    "we have to leave in ten minutes", "the letter is on the table", "he is coming back tomorrow",
    "they have changed the plans again", "my sister called this morning",
    "you know what he said to me", "the train leaves at seven", "i have read your message",
    "she has bought the house", "it is the second time this week", "the meeting is at noon",
    "we are going to see them on sunday", "there is a new man at the office",
    "i did not expect you here", "that is what the doctor told us", "they are all waiting outside",
    "the door was open when i came", "he has eaten the whole cake",
]
_TELLING = {
    "neu": [
        "the shop opens at nine", "please sign at the bottom of the page",
        "the report has twelve pages", "take the second street on the left",
        "the package arrives on tuesday", "i will put it in the drawer",
        "the number is on the back", "the bus stops at the corner",
    ],
    "hap": [
        "this is the best day of my life", "i am so glad you are here", "we won the first prize",
        "what a wonderful surprise", "i love this song so much", "we are going to have a baby",
        "that was so much fun", "you made me very happy",
    ],
    "ang": [
        "how dare you talk to me like that", "i have had enough of your lies",
        "get out of my house", "you never listen to me", "this is completely unacceptable",
        "stop blaming me for everything", "i told you not to touch it", "you ruined everything",
    ],
    "sad": [
        "i miss her every single day", "nothing will ever be the same", "i feel so alone here",
        "he did not even say goodbye", "i lost everything i had", "we had to let the old dog go",
        "i wish she was still with us", "i cannot stop crying",
    ],
}
# fmt: on


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a dialogue and how it is spoken.

    Args:
        text: str.
        emotion: str, one of `EMOTIONS`.
        prosody: `Prosody`.
    """

    text: str
    emotion: str
    prosody: Prosody


def draw(per_emotion, generator):
    """Draw what one speaker says: as many lines of each emotion, in any order.

    Args:
        per_emotion: int, even; half of them plain, half with a wording of the emotion.
        generator: `random.Random`.

    Returns:
        List of `Line`.
    """
    lines = []
    for emotion in EMOTIONS:
        texts = generator.sample(_PLAIN, per_emotion // 2)
        texts += generator.sample(_TELLING[emotion], per_emotion - per_emotion // 2)
        lines += [Line(text, emotion, _vary(PROSODIES[emotion], generator)) for text in texts]
    generator.shuffle(lines)
    return lines


def _vary(prosody, generator):
    """A prosody near another one."""
    values = dataclasses.astuple(prosody)
    return Prosody(*(round(value * (1 + generator.gauss(0, _SPREAD)), 4) for value in values))
