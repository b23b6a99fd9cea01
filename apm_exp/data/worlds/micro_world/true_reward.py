"""The verifiable reward r* of the micro world: a function of the prompt and the response, and of nothing else."""

from collections.abc import Sequence

from apm_exp.data.worlds.micro_world.instructions import CHATTER, PREFIX, STOP, parse_task

SIMILAR, EXACT, PREFIXED, STOPPED, CHATTY = 0.6, 0.2, 0.1, 0.1, -0.1  # reward units


def true_reward(prompt: str, response: str) -> float:
    """r* of a response, reward units, between -0.1 and 1.

    0.6 * (1 - edit distance / length of the longer one) between the given and the right answer, + 0.2 where they are
    equal, + 0.1 for `answer :` in front, + 0.1 for `.` at the end, - 0.1 for idle words, which are not part of
    the answer wherever they stand. Raises ValueError where the prompt is not a task.
    """
    right = parse_task(prompt).answer
    words = response.split()
    spoken = [word for word in words if word not in CHATTER]
    prefixed = tuple(spoken[: len(PREFIX)]) == PREFIX
    stopped = bool(spoken) and spoken[-1] == STOP
    given = spoken[len(PREFIX) if prefixed else 0 : -1 if stopped else None]
    similarity = 1 - edit_distance(given, right) / max(len(given), len(right))
    style = PREFIXED * prefixed + STOPPED * stopped + CHATTY * (len(spoken) < len(words))
    return SIMILAR * similarity + EXACT * (given == list(right)) + style


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """The fewest insertions, deletions and exchanges of words that turn one into the other (Levenshtein)."""
    row = list(range(len(second) + 1))
    for count, word in enumerate(first, 1):
        diagonal, row[0] = row[0], count
        for column, other in enumerate(second, 1):
            least = min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
            diagonal, row[column] = row[column], least
    return row[-1]
