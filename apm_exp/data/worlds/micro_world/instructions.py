"""The tasks of the micro world: short instructions about letters, each with exactly one correct answer.

A prompt is `family [arguments] : letters`, for example `replace a by b : c a d`; every word is one token.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

Words = tuple[str, ...]

LETTERS: Words = tuple("abcdefgh")
SHORTEST, LONGEST = 3, 7  # letters in a prompt
DIGITS: Words = tuple(str(number) for number in range(1, LONGEST + 1))
PREFIX: Words = ("answer", ":")
STOP = "."
CHATTER: Words = ("well", "so", "ok", "hm", "let", "me", "see", "maybe")


def _last(letters: Words, arguments: Words) -> Words:
    return letters[-int(arguments[0]) :]


def _replace(letters: Words, arguments: Words) -> Words:
    old, _, new = arguments
    return tuple(new if letter == old else letter for letter in letters)


ANSWERS: dict[str, Callable[[Words, Words], Words]] = {
    "copy": lambda letters, _: letters,
    "reverse": lambda letters, _: letters[::-1],
    "sort": lambda letters, _: tuple(sorted(letters)),
    "unique": lambda letters, _: tuple(dict.fromkeys(letters)),
    "last": _last,
    "replace": _replace,
    "double": lambda letters, _: tuple(letter for letter in letters for _ in range(2)),
    "count": lambda letters, arguments: (str(letters.count(arguments[0])),),
}
FAMILIES: Words = tuple(ANSWERS)
VOCABULARY: Words = tuple(dict.fromkeys((*FAMILIES, "by", *LETTERS, *DIGITS, *PREFIX, STOP, *CHATTER)))


@dataclass(frozen=True)
class Task:
    """One task. arguments: (k,) of `last`, (old, "by", new) of `replace`, (letter,) of `count`, else empty."""

    family: str
    arguments: Words
    letters: Words

    @property
    def prompt(self) -> str:
        """Return the instruction, words separated by spaces."""
        return " ".join((self.family, *self.arguments, ":", *self.letters))

    @property
    def answer(self) -> Words:
        """Return the correct answer."""
        return ANSWERS[self.family](self.letters, self.arguments)


SHORTEST_TASK = Task("copy", (), LETTERS[:SHORTEST])


def draw_task(family: str, stream: random.Random) -> Task:
    """Return a random task of a family: 3 to 7 letters, each length equally likely."""
    letters = tuple(stream.choices(LETTERS, k=stream.randint(SHORTEST, LONGEST)))
    return task_on(family, letters, stream)


def task_on(family: str, letters: Words, stream: random.Random) -> Task:
    """Return a task of a family on given letters, with random arguments."""
    return Task(family, _draw_arguments(family, letters, stream), letters)


def _draw_arguments(family: str, letters: Words, stream: random.Random) -> Words:
    """Return arguments that have an effect: a letter that occurs, a different replacement, or not all letters."""
    if family == "last":
        return (str(stream.randint(1, len(letters) - 1)),)
    if family == "count":
        return (stream.choice(letters),)
    if family == "replace":
        old = stream.choice(letters)
        return (old, "by", stream.choice([letter for letter in LETTERS if letter != old]))
    return ()


def parse_task(prompt: str) -> Task:
    """Return the task of a prompt; raises ValueError if it is not a task."""
    head, _, tail = prompt.partition(" : ")
    words, letters = head.split(), tuple(tail.split())
    if not words or words[0] not in ANSWERS or not letters or not set(letters) <= set(LETTERS):
        raise ValueError(f"{prompt[:80]!r} is not a task of the micro world")
    task = Task(words[0], tuple(words[1:]), letters)
    if not _arguments_fit(task):
        raise ValueError(f"{prompt[:80]!r} is not a task of the micro world: {task.family} with these arguments")
    return task


def _arguments_fit(task: Task) -> bool:
    match task.family, task.arguments:
        case "last", (k,):
            return k in DIGITS and int(k) <= len(task.letters)
        case "count", (letter,):
            return letter in task.letters
        case "replace", (old, "by", new):
            return {old, new} <= set(LETTERS)
        case family, ():
            return family not in ("last", "count", "replace")
    return False
