"""A tiny generator of sentences from a context-free grammar."""

import random
import re

_SYMBOL = re.compile(r"\{(\w+)\}")
# Words whose first sound is not what their first letter says.
_AN_DESPITE_CONSONANT = ("hour", "honest", "heir")
_A_DESPITE_VOWEL = ("uni", "use", "euro", "one", "usual")


class Grammar:
    """Expands symbols by rules drawn at random.

    Args:
        rules: dict of symbol to a list of alternatives, strings in which `{symbol}` stands for
            another symbol.

    Raises:
        ValueError: if an alternative names a symbol without rules.

    Example:

    ```python
    grammar = Grammar({"sentence": ["the {animal} sleeps"], "animal": ["cat", "dog"]})
    grammar.expand("sentence", random.Random(0))
    ```
    """

    def __init__(self, rules):
        self.rules = rules
        for symbol, alternatives in rules.items():
            for name in _SYMBOL.findall(" ".join(alternatives)):
                if name not in rules:
                    raise ValueError(f"The rule {symbol!r} names {name!r}, which has no rule.")

    def expand(self, symbol, generator):
        """Draw a sentence.

        Args:
            symbol: str, where to start.
            generator: `random.Random`.

        Returns:
            str in lower case, with `a` and `an` agreeing with the next word.
        """
        text = self._expand(symbol, generator)
        return agree_articles(" ".join(text.split()))

    def _expand(self, symbol, generator):
        alternative = generator.choice(self.rules[symbol])
        return _SYMBOL.sub(lambda match: self._expand(match.group(1), generator), alternative)


def agree_articles(text):
    """Make every `a` or `an` agree with the sound of the next word.

    Args:
        text: str in lower case.

    Returns:
        str.

    Example:

    ```python
    agree_articles("a old man waits a hour")  # "an old man waits an hour"
    ```
    """
    words = text.split()
    for index, word in enumerate(words[:-1]):
        if word in ("a", "an"):
            words[index] = "an" if starts_with_vowel_sound(words[index + 1]) else "a"
    return " ".join(words)


def starts_with_vowel_sound(word):
    """Whether a word begins with a vowel sound, by its spelling and a few exceptions.

    Args:
        word: str in lower case.

    Returns:
        bool.
    """
    if word.startswith(_AN_DESPITE_CONSONANT):
        return True
    return word[0] in "aeiou" and not word.startswith(_A_DESPITE_VOWEL)


def sample_sentences(grammar, symbols, count, seed, accept=lambda sentence: True):
    """Draw different sentences, as many from each start symbol as from another.

    Args:
        grammar: `Grammar`.
        symbols: list of start symbols, used in turn.
        count: int.
        seed: int; the same seed gives the same sentences.
        accept: function of a sentence; refused ones are drawn again.

    Returns:
        List of str.

    Raises:
        ValueError: if the grammar does not yield that many.
    """
    generator = random.Random(seed)
    sentences, seen = [], set()
    for _ in range(200 * count):
        if len(sentences) == count:
            break
        sentence = grammar.expand(symbols[len(sentences) % len(symbols)], generator)
        if sentence not in seen and accept(sentence):
            seen.add(sentence)
            sentences.append(sentence)
    if len(sentences) < count:
        raise ValueError(f"The grammar gave {len(sentences)} of {count} different sentences.")
    return sentences
