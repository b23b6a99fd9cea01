"""The demonstrations that train the micro world's starting policy: responses with mistakes and varying style."""

import random

from apm_exp.data.worlds.micro_world.instructions import CHATTER, DIGITS, LETTERS, PREFIX, STOP, Task, Words

WRONG = 0.4  # share of responses with mistakes
MOST_MISTAKES = 3
PREFIXED, STOPPED, CHATTY = 0.5, 0.5, 0.25  # shares with `answer :`, with `.` at the end, with filler words
MOST_CHATTER = 3


def demonstration(task: Task, stream: random.Random) -> str:
    """Return a demonstrated response, space-separated words: `[filler words] [answer :] answer [.]`, often wrong."""
    wrong, chatty, prefixed, stopped = (stream.random() < share for share in (WRONG, CHATTY, PREFIXED, STOPPED))
    answer = _with_mistakes(task.answer, stream) if wrong else task.answer
    idle = stream.choices(CHATTER, k=stream.randint(1, MOST_CHATTER)) if chatty else ()
    return " ".join((*idle, *(PREFIX if prefixed else ()), *answer, *((STOP,) if stopped else ())))


def _with_mistakes(answer: Words, stream: random.Random) -> Words:
    """Return an answer with 1 to 3 random mistakes: a word replaced, removed or inserted. At least one word remains."""
    words = list(answer)
    symbols = DIGITS if answer[0] in DIGITS else LETTERS
    for _ in range(stream.randint(1, MOST_MISTAKES)):
        mistake = stream.choice(("exchange", "leave out", "put in"))
        if mistake == "put in":
            words.insert(stream.randint(0, len(words)), stream.choice(symbols))
        elif mistake == "leave out" and len(words) > 1:
            del words[stream.randrange(len(words))]
        else:
            words[stream.randrange(len(words))] = stream.choice(symbols)
    return tuple(words)
