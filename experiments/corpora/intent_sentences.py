"""Commands of the intent corpus: what a home is told, in two sets of wordings.

A wording is a template of a command or, for some intents, a remark that implies it. Training and
validation use the first set alone; half of the test speaks the second, so that what was learnt
about meaning shows apart from what was learnt about phrases.
"""

import random

from experiments.corpora.grammar import agree_articles

PARTS = ("seen", "unseen")
_PLACES = {
    "none": "",
    "kitchen": "in the kitchen",
    "bedroom": "in the bedroom",
    "garden": "in the garden",
}
# fmt: off
_SWITCHED = [
    ("lights", "none"), ("lights", "kitchen"), ("lights", "bedroom"), ("lights", "garden"),
    ("music", "none"), ("television", "none"),
]
_ADJUSTED = [
    ("volume", "none"), ("brightness", "none"),
    ("temperature", "none"), ("temperature", "kitchen"), ("temperature", "bedroom"),
]
_OPENED = [("curtains", "none"), ("curtains", "bedroom"), ("window", "kitchen")]
_BROUGHT = [("coffee", "none"), ("newspaper", "none"), ("umbrella", "none"), ("slippers", "none")]
INTENTS = tuple(
    (action, thing, place)
    for action, pairs in {
        "activate": _SWITCHED, "deactivate": _SWITCHED, "increase": _ADJUSTED,
        "decrease": _ADJUSTED, "open": _OPENED, "close": _OPENED, "bring": _BROUGHT,
    }.items()
    for thing, place in pairs
)

# part: names of a thing, used by the templates below.
_NAMES = {
    "seen": {
        "lights": ["the lights", "the lamps"], "music": ["the music", "the radio"],
        "television": ["the television"], "volume": ["the volume", "the sound"],
        "brightness": ["the brightness", "the brightness of the screen"],
        "temperature": ["the temperature", "the heating"],
        "curtains": ["the curtains", "the blinds"], "window": ["the window"],
        "coffee": ["a cup of coffee", "some coffee"], "newspaper": ["the newspaper"],
        "umbrella": ["my umbrella"], "slippers": ["my slippers"],
    },
    "unseen": {
        "lights": ["the light", "every lamp"], "music": ["some music", "the song"],
        "television": ["the television set"], "volume": ["the sound level", "the loudness"],
        "brightness": ["the screen brightness"],
        "temperature": ["the room temperature", "the heat"],
        "curtains": ["the drapes", "the shutters"], "window": ["that window"],
        "coffee": ["a hot coffee", "a mug of coffee"], "newspaper": ["the morning paper"],
        "umbrella": ["an umbrella"], "slippers": ["the slippers"],
    },
}
# part: action: templates that fit every thing of the action.
_COMMANDS = {
    "seen": {
        "activate": ["turn on {thing} {place}", "switch on {thing} {place}",
                     "turn {thing} on {place}"],
        "deactivate": ["turn off {thing} {place}", "switch off {thing} {place}",
                       "turn {thing} off {place}"],
        "increase": ["turn up {thing} {place}", "increase {thing} {place}",
                     "make {thing} higher {place}"],
        "decrease": ["turn down {thing} {place}", "decrease {thing} {place}",
                     "make {thing} lower {place}"],
        "open": ["open {thing} {place}", "open up {thing} {place}"],
        "close": ["close {thing} {place}", "close up {thing} {place}"],
        "bring": ["bring me {thing}", "get me {thing}", "go and get {thing}"],
    },
    "unseen": {
        "activate": ["start {thing} {place}", "put {thing} on {place}",
                     "let us have {thing} {place}"],
        "deactivate": ["stop {thing} {place}", "shut {thing} off {place}",
                       "we are done with {thing} {place}"],
        "increase": ["raise {thing} {place}", "give me more of {thing} {place}",
                     "push {thing} up {place}"],
        "decrease": ["lower {thing} {place}", "reduce {thing} {place}",
                     "bring {thing} down {place}"],
        "open": ["draw back {thing} {place}", "leave {thing} wide open {place}"],
        "close": ["shut {thing} {place}", "pull {thing} shut {place}"],
        "bring": ["hand me {thing}", "fetch {thing}", "i could do with {thing}"],
    },
}  # fmt: skip
# part: (action, thing): remarks that imply a command.
_REMARKS = {
    "seen": {
        ("activate", "lights"): ["it is too dark {place}", "we need more light {place}"],
        ("deactivate", "lights"): ["nobody needs the lights {place}"],
        ("activate", "music"): ["i want to hear music"],
        ("deactivate", "music"): ["i do not want any music"],
        ("activate", "television"): ["i want to watch television"],
        ("deactivate", "television"): ["nobody is watching television"],
        ("increase", "volume"): ["it is too quiet", "i cannot hear it"],
        ("decrease", "volume"): ["it is too loud", "that is too noisy"],
        ("increase", "brightness"): ["the screen is too dark"],
        ("decrease", "brightness"): ["the screen is too bright"],
        ("increase", "temperature"): ["it is too cold {place}", "i am cold {place}"],
        ("decrease", "temperature"): ["it is too hot {place}", "i am hot {place}"],
        ("open", "curtains"): ["let the sun in {place}"],
        ("close", "curtains"): ["keep the sun out {place}"],
        ("open", "window"): ["let some air in {place}"],
        ("close", "window"): ["there is a cold wind {place}"],
        ("bring", "coffee"): ["i want to drink coffee"],
        ("bring", "newspaper"): ["i want to read the newspaper"],
        ("bring", "umbrella"): ["it rains and i need my umbrella"],
        ("bring", "slippers"): ["i need my slippers"],
    },
    "unseen": {
        ("activate", "lights"): ["i can hardly see anything {place}"],
        ("deactivate", "lights"): ["the lamps {place} are burning for nothing"],
        ("activate", "music"): ["a song would be nice"],
        ("deactivate", "music"): ["this song is awful"],
        ("activate", "television"): ["the match is on television"],
        ("deactivate", "television"): ["enough television"],
        ("increase", "volume"): ["speak louder"],
        ("decrease", "volume"): ["this noise hurts my ears"],
        ("increase", "brightness"): ["i can hardly read the screen"],
        ("decrease", "brightness"): ["the screen hurts my eyes"],
        ("increase", "temperature"): ["we are freezing {place}"],
        ("decrease", "temperature"): ["we are sweating {place}"],
        ("open", "curtains"): ["i want some daylight {place}"],
        ("close", "curtains"): ["the neighbours can look in {place}"],
        ("open", "window"): ["the air is stuffy {place}"],
        ("close", "window"): ["rain is coming in {place}"],
        ("bring", "coffee"): ["i would love a coffee"],
        ("bring", "newspaper"): ["where is the morning paper"],
        ("bring", "umbrella"): ["i will get wet without an umbrella"],
        ("bring", "slippers"): ["my feet are bare"],
    },
}
# Around any wording, of any intent: they say nothing of it.
_BEFORE = ["", "", "please", "now", "hey", "well then", "listen", "okay now please"]
_AFTER = ["", "", "please", "now", "right now", "thank you", "thanks a lot", "as soon as you can"]
# fmt: on
# Letters of a command, drawn alike for every intent: its length must not give it away.
LENGTHS = (29, 46)


def wordings(intent, part):
    """The templates of an intent, filled in.

    Args:
        intent: tuple of action, object and location, one of `INTENTS`.
        part: `"seen"` or `"unseen"`.

    Returns:
        List of str.
    """
    action, thing, place = intent
    found = [
        template.format(thing=name, place=_PLACES[place])
        for template in _COMMANDS[part][action]
        for name in _NAMES[part][thing]
    ]
    remarks = _REMARKS[part][action, thing]
    return found + [remark.format(place=_PLACES[place]) for remark in remarks]


def sentences(intent, part):
    """Everything that the corpus can say for an intent.

    Args:
        intent: tuple, one of `INTENTS`.
        part: `"seen"` or `"unseen"`.

    Returns:
        Sorted list of different sentences.
    """
    found = {
        agree_articles(" ".join(f"{before} {wording} {after}".split()))
        for wording in wordings(intent, part)
        for before in _BEFORE
        for after in _AFTER
        if not set(before.split()) & set(after.split())
    }
    return sorted(found)


def draw(counts, seed, accept=lambda sentence: True):
    """Draw the corpus: intents in turn, lengths alike for all of them, no sentence twice.

    Args:
        counts: dict from split to a dict from part to the number of utterances.
        seed: int.
        accept: function of a sentence.

    Returns:
        Dict from split to list of `(sentence, intent, part)`.

    Raises:
        ValueError: if an intent has too few sentences.
    """
    generator = random.Random(seed)
    pools = {
        (intent, part): [s for s in sentences(intent, part) if accept(s)]
        for intent in INTENTS
        for part in PARTS
    }
    splits = {}
    for split, parts in counts.items():
        splits[split] = []
        for part, count in parts.items():
            for index in range(count):
                intent = INTENTS[index % len(INTENTS)]
                pool = pools[intent, part]
                if not pool:
                    raise ValueError(f"The intent {intent} has too few {part} sentences.")
                sentence = _nearest(pool, generator.uniform(*LENGTHS), generator)
                pool.remove(sentence)
                splits[split].append((sentence, intent, part))
        generator.shuffle(splits[split])
    return splits


def _nearest(pool, length, generator):
    """A sentence of about so many letters: one of the five that come closest."""
    ranked = sorted(pool, key=lambda sentence: abs(len(sentence) - length))
    return generator.choice(ranked[:5])
