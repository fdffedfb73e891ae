"""How many words of the tasks' test sets are heard in distillation?

    python -m experiments.corpora.coverage

compares the embedded corpora's transcripts: a student can align a word that none of its training
sentences has only by its parts. Each training set alone, then all together, which is what
`--data.task-roots` distils on. Takes a few seconds.
"""

from experiments.distillation.configuration import Data
from experiments.distillation.corpora import read_corpora
from experiments.results import print_table
from experiments.understanding.configuration import Understanding
from experiments.understanding.corpora import read_splits

TASKS = {"ic": "intents", "sf": "slots"}


def coverage(train, test):
    """Shares of the words of one set of transcripts that another one has.

    Args:
        train: list of `Utterance`.
        test: list of `Utterance`, with a word at least.

    Returns:
        Tuple of the share of different words and of the share of all words as they occur.
    """
    heard = {word for utterance in train for word in _words(utterance)}
    said = [word for utterance in test for word in _words(utterance)]
    different = set(said)
    return len(different & heard) / len(different), sum(w in heard for w in said) / len(said)


def coverages():
    """The embedded corpora's coverage.

    Returns:
        List of `[training sentences, task, share of different words, share of all words]`.
    """
    splits = {task: read_splits(Understanding(task))[None] for task in TASKS}
    training = {"alignment": read_corpora(Data())["train"]}
    training |= {TASKS[task]: splits[task].train for task in TASKS}
    training["all three"] = [one for utterances in training.values() for one in utterances]
    return [
        [name, TASKS[task], *coverage(utterances, splits[task].test)]
        for name, utterances in training.items()
        for task in TASKS
    ]


def _words(utterance):
    return utterance.text.lower().split()


if __name__ == "__main__":
    print_table(
        "words of the test sets that training sentences have",
        ["training sentences", "test set", "different words", "all words"],
        coverages(),
    )
