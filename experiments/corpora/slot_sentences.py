"""Requests of the slot corpus: templates whose gaps are slots, and the values of each slot.

Of the open slots (names, places, titles) a part of the values stands in valid and test alone, as in
life: a slot is to be found by what surrounds it too.
"""

import random

from experiments.corpora.grammar import agree_articles

# fmt: off
TEMPLATES = {
    "PlayMusic": [
        "play {genre} music", "play something by {artist}", "play the {music_item} by {artist}",
        "put on some {genre} from {artist}", "i want to hear {artist}",
        "play {artist} in the {room}", "play the newest {music_item} of {artist}",
        "start a {genre} {music_item} in the {room}",
    ],
    "BookRestaurant": [
        "book a table for {party_size} in {city}", "find a {cuisine} restaurant in {city}",
        "reserve a {cuisine} place for {party_size} {date}",
        "we are {party_size} and want {cuisine} food",
        "get us a table {date} at {time} for {party_size}", "is there {cuisine} food near {city}",
    ],
    "GetWeather": [
        "will it be {weather} in {city} {date}", "is it {weather} in {city}",
        "what is the weather in {city} {date}", "tell me if it gets {weather} {date}",
        "how {weather} will it be at {time}", "do i need a coat in {city} {date}",
    ],
    "SetReminder": [
        "remind me to {task} at {time}", "remind me {date} to {task}",
        "tell {person} to {task} {date}", "do not let me forget to {task}",
        "wake me {date} at {time}", "set an alarm for {time} {date}",
    ],
    "SendMessage": [
        "call {person} at {time}", "send a message to {person}",
        "write {person} that i am in {city}",
        "ring {person} {date}", "ask {person} for the {object}",
    ],
    "BookTravel": [
        "book a {transport} to {city} {date}", "when is the next {transport} to {city}",
        "i need a {transport} from {city} at {time}",
        "get {party_size} tickets for the {transport} to {city}",
        "how long is the {transport} to {city}", "take the {transport} {date} at {time}",
    ],
    "BuyThings": [
        "add the {object} to my {list}", "put a {colour} {object} on the {list}",
        "order a {colour} {object} for {person}", "buy {quantity} {dish} for {date}",
        "i want {quantity} {dish} and {quantity} {dish}", "add {quantity} {dish} to the {list}",
        "bring the {colour} {object} to the {room}",
    ],
}
# slot: values that training says, values that only valid and test say.
VALUES = {
    "artist": (
        ["miles brandon", "the silver foxes", "anna velvet", "doctor thunder", "clara moon",
         "the paper kings", "johnny rivers", "golden harbour", "lisa stone", "the night owls"],
        ["the velvet storm", "martin grey", "emily frost", "seven bridges"],
    ),
    "genre": (["jazz", "rock", "folk", "classical", "electronic", "blues", "country", "soul"], []),
    "music_item": (["song", "album", "playlist", "concert", "record"], []),
    "room": (["kitchen", "bedroom", "living room", "garage", "garden", "bathroom", "office"], []),
    "party_size": (["two", "three", "four", "five", "six", "seven", "eight", "ten"], []),
    "city": (
        ["london", "paris", "berlin", "madrid", "new york", "boston", "chicago", "dublin",
         "san francisco", "vienna", "oslo", "toronto"],
        ["lisbon", "new orleans", "denver", "athens", "sydney"],
    ),
    "cuisine": (
        ["italian", "indian", "mexican", "greek", "thai", "chinese", "french", "turkish"], [],
    ),
    "date": (
        ["today", "tomorrow", "tonight", "on monday", "on friday", "next week", "this weekend",
         "on sunday morning", "next tuesday"],
        ["on saturday", "next thursday", "this evening"],
    ),
    "time": (
        ["noon", "midnight", "five", "half past six", "eight in the morning", "ten",
         "quarter to nine", "seven in the evening"],
        ["half past three", "eleven in the morning", "quarter to four"],
    ),
    "weather": (["warm", "cold", "rainy", "windy", "sunny", "cloudy", "foggy", "hot"], []),
    "person": (
        ["anna", "my mother", "peter", "my boss", "doctor miller", "uncle george", "sarah",
         "my brother", "thomas", "the plumber"],
        ["my daughter", "robert", "aunt helen", "the dentist"],
    ),
    "task": (
        ["water the plants", "feed the cat", "pay the rent", "lock the door", "wash the car",
         "clean the oven", "send the letter", "take the medicine"],
        ["walk the dog", "charge the phone", "fix the lamp"],
    ),
    "transport": (["train", "bus", "flight", "taxi", "ferry", "tram"], []),
    "object": (
        ["umbrella", "chair", "blanket", "key", "lamp", "camera", "jacket", "book", "suitcase"],
        ["knife", "bicycle", "mirror", "guitar"],
    ),
    "colour": (["red", "green", "black", "white", "blue", "yellow", "brown", "orange"], []),
    "list": (["shopping list", "birthday list", "packing list", "wish list"], []),
    "quantity": (["two", "three", "a dozen", "half a pound of", "a box of", "some"], []),
    "dish": (
        ["eggs", "apples", "pizza", "rice", "cookies", "tomatoes", "bread", "potatoes", "soup"],
        ["noodles", "pears", "onions", "muffins"],
    ),
}
_BEFORE = ["", "", "", "please", "could you", "hey", "can you please"]
_ASKING = ("could you", "can you please")
# fmt: on
SLOTS = tuple(VALUES)
# Questions and statements take no "could you" before them.
_COMMANDS = (
    "play", "put", "start", "book", "find", "reserve", "get", "tell", "remind", "wake", "set",
    "call", "send", "write", "ring", "ask", "take", "add", "order", "buy", "bring",
)  # fmt: skip
# Share of the values of valid and test that training does not say, where there are any.
_UNSEEN_SHARE = 0.4
_GREATEST_LENGTH = 11


def draw(counts, seed, accept=lambda sentence: True):
    """Draw the corpus: requests in turn, no sentence twice.

    Args:
        counts: dict from split to the number of utterances.
        seed: int.
        accept: function of a sentence.

    Returns:
        Dict from split to list of `(sentence, slots, intent)`; `slots` names one for each word.

    Raises:
        ValueError: if the templates do not yield that many.
    """
    generator = random.Random(seed)
    seen, splits = set(), {}
    for split, count in counts.items():
        share = 0.0 if split == "train" else _UNSEEN_SHARE
        splits[split] = []
        for _ in range(500 * count):
            if len(splits[split]) == count:
                break
            intent = list(TEMPLATES)[len(splits[split]) % len(TEMPLATES)]
            sentence, slots = _fill(generator.choice(TEMPLATES[intent]), share, generator)
            if sentence in seen or len(slots) > _GREATEST_LENGTH or not accept(sentence):
                continue
            seen.add(sentence)
            splits[split].append((sentence, slots, intent))
        if len(splits[split]) < count:
            raise ValueError(f"The templates gave {len(splits[split])} of {count} for {split!r}.")
        generator.shuffle(splits[split])
    return splits


def _fill(template, unseen_share, generator):
    """A sentence and the slot, or O, of each of its words."""
    before = generator.choice(_BEFORE)
    if before in _ASKING and not template.startswith(_COMMANDS):
        before = ""
    words, slots, said = before.split(), ["O"] * len(before.split()), set()
    for part in template.split():
        name = part.strip("{}")
        if part == name:
            value, slot = [part], "O"
        else:
            value, slot = _value(name, unseen_share, said, generator).split(), name
        words += value
        slots += [slot] * len(value)
    sentence = agree_articles(" ".join(words))
    return sentence, slots


def _value(slot, unseen_share, said, generator):
    """A value that the sentence does not have yet."""
    known, unknown = VALUES[slot]
    pool = unknown if unknown and generator.random() < unseen_share else known
    value = generator.choice([value for value in pool if value not in said] or pool)
    said.add(value)
    return value
