"""Characters and slot markers that slot filling writes: SUPERB's encoding of Audio SNIPS."""

import itertools
import pathlib

_FIRST = ("<pad>", "<eos>", "<unk>", " ")
_LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ'")
_PUNCTUATION = "?!.,;-"


class SlotVocabulary:
    """Encodes words and their slots as ids, and decodes ids to text with markers.

    Ids: 0 padding and CTC's blank, 1 end of sentence, 2 unknown, 3 space, then A to Z and the
    apostrophe, then `B-slot` and `E-slot` of every slot in turn.

    Args:
        slots: sequence of slot names, without O.

    Attributes:
        slots: tuple of str.
        tokens: tuple of str, by id.

    Raises:
        ValueError: if there is no slot, or a name twice.

    Reference:
        SUPERB (arXiv 2105.01051), slot filling.

    Example:

    ```python
    vocabulary = SlotVocabulary(["artist", "playlist"])
    ids = vocabulary.encode("ADD ADELE TO MY LIST", "O artist O O playlist")
    vocabulary.decode(ids)  # "ADD B-artist ADELE E-artist TO MY B-playlist LIST E-playlist"
    ```
    """

    blank, eos, unknown, space = range(4)

    def __init__(self, slots):
        self.slots = tuple(slots)
        if not self.slots or len(set(self.slots)) < len(self.slots) or "O" in self.slots:
            raise ValueError(f"`slots` must be different names other than O, got {self.slots}.")
        markers = itertools.chain.from_iterable((f"B-{s}", f"E-{s}") for s in self.slots)
        self.tokens = (*_FIRST, *_LETTERS, *markers)
        self._ids = {token: index for index, token in enumerate(self.tokens)}

    def __len__(self):
        return len(self.tokens)

    @classmethod
    def read(cls, path):
        """Read `slots.txt`, a name a line, the first O.

        Args:
            path: path of the file.

        Returns:
            `SlotVocabulary`.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: naming the file, if it is no text or its first line is not O.
        """
        path = pathlib.Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"No list of slots {str(path)!r}.")
        try:
            names = path.read_text(encoding="utf-8-sig").split()
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is no UTF-8 text ({error}).") from error
        if names[:1] != ["O"]:
            raise ValueError(f"{path}: the first line must be O, got {names[:1]}.")
        return cls(names[1:])

    def encode(self, text, slots):
        """Ids of an utterance.

        Args:
            text: str, upper-case words separated by blanks.
            slots: str, a slot or O for each word.

        Returns:
            List of int.

        Raises:
            ValueError: if words and slots differ in number, or a slot is unknown.
        """
        words, labels = text.split(), slots.split()
        if len(words) != len(labels):
            raise ValueError(f"{len(words)} words and {len(labels)} slots: {text!r}, {slots!r}.")
        unknown = sorted(set(labels) - {"O", *self.slots})
        if unknown:
            raise ValueError(f"The slots {unknown} are none of {self.slots}.")
        ids = []
        for position, (word, label) in enumerate(zip(words, labels, strict=True)):
            # Also where this drops a marker or the end of sentence: so does the reference.
            if word in _PUNCTUATION:
                continue
            before = labels[position - 1] if position else "O"
            is_last = position + 1 == len(words)
            if label not in ("O", before):
                ids.append(self._ids[f"B-{label}"])
            ids.extend(self._characters("AND" if word == "&" else word))
            if label != "O" and (is_last or labels[position + 1] != label):
                ids.append(self._ids[f"E-{label}"])
            ids.append(self.eos if is_last else self.space)
        return ids

    def _characters(self, word):
        return [self._ids.get(character, self.unknown) for character in word]

    def decode(self, ids):
        """Text with markers of ids from which CTC's repeats are gone.

        Args:
            ids: sequence of int; blanks and ends of sentence are dropped.

        Returns:
            str, `B-slot value E-slot` where a slot is.
        """
        parts = []
        for index in ids:
            if index in (self.blank, self.eos):
                continue
            token = self.tokens[index]
            is_marker = index >= len(_FIRST) + len(_LETTERS)
            parts.append((token + " " if token[0] == "B" else " " + token) if is_marker else token)
        return "".join(parts)

    def decode_frames(self, frames):
        """Text with markers of the best id of each frame: repeats collapsed, blanks dropped.

        Args:
            frames: sequence of int.

        Returns:
            str.
        """
        return self.decode([index for index, _ in itertools.groupby(int(i) for i in frames)])
