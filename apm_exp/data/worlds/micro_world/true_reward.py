"""The verifiable reward r* of the micro world: a function of only the prompt and the response."""

from collections.abc import Sequence

from apm_exp.data.worlds.micro_world.instructions import CHATTER, PREFIX, STOP, parse_task

SIMILAR, EXACT, PREFIXED, STOPPED, CHATTY = 0.6, 0.2, 0.1, 0.1, -0.1  # reward units


def true_reward(prompt: str, response: str) -> float:
    """Return r* of a response, in reward units, between -0.1 and 1.

    It is 0.6 * (1 - edit distance / length of the longer one) between the stated and the correct answer, + 0.2 if they
    are equal, + 0.1 for `answer :` at the start, + 0.1 for `.` at the end, - 0.1 for filler words, which are not part
    of the answer wherever they occur. Raises ValueError if the prompt is not a task.
    """
    right = parse_task(prompt).answer
    words = response.split()
    spoken = [word for word in words if word not in CHATTER]
    prefixed = tuple(spoken[: len(PREFIX)]) == PREFIX
    stopped = bool(spoken) and spoken[-1] == STOP
    stated = spoken[len(PREFIX) if prefixed else 0 : -1 if stopped else None]
    similarity = 1 - edit_distance(stated, right) / max(len(stated), len(right))
    style = PREFIXED * prefixed + STOPPED * stopped + CHATTY * (len(spoken) < len(words))
    return SIMILAR * similarity + EXACT * (stated == list(right)) + style


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the minimal number of word insertions, deletions and substitutions between both (Levenshtein)."""
    row = list(range(len(second) + 1))
    for count, word in enumerate(first, 1):
        diagonal, row[0] = row[0], count
        for column, other in enumerate(second, 1):
            least = min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
            diagonal, row[column] = row[column], least
    return row[-1]
