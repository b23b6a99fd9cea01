"""The three schemas of preference pairs, and the detection of a source's schema from its columns."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from apm_exp.core.component import nearest
from apm_exp.data.sources.not_pairs import how_to_make_pairs

RESPONSES, SCORES = "all_generated_responses", "all_rm_scores"
IDENTIFIERS = ("pair_id", "id", "prompt_id")  # the first one that a file has is used
REWARD_PAIRS = (("chosen_reward", "rejected_reward"), ("score_chosen", "score_rejected"))
EXPECTED = (
    f"expected SimPO's on-policy schema (prompt, {RESPONSES}, {SCORES}, chosen, rejected), TRL's (prompt, "
    "chosen, rejected; rewards in chosen_reward, rejected_reward or score_chosen, score_rejected) or HH "
    "transcripts (chosen, rejected)"
)


@dataclass(frozen=True)
class Columns:
    """The meaning of a source's columns.

    identifier: the id column, if any. reward_pair: the columns with the rewards of chosen and rejected, if used.
    """

    identifier: str | None
    has_prompt: bool
    has_responses: bool
    has_scores: bool
    reward_pair: tuple[str, str] | None

    @property
    def has_rewards(self) -> bool:
        """Return whether the rows have rewards."""
        return self.has_scores or self.reward_pair is not None

    @property
    def without_rewards(self) -> "Columns":
        """Return the same columns without the rewards."""
        return replace(self, has_scores=False, reward_pair=None)

    @property
    def used(self) -> frozenset[str]:
        """Return the names of the rows' columns; each row must have all of them except the rewards."""
        flags = {"prompt": self.has_prompt, RESPONSES: self.has_responses, SCORES: self.has_scores}
        identifiers = {self.identifier} if self.identifier else set()
        names = {name for name, flag in flags.items() if flag}
        return frozenset({"chosen", "rejected", *names, *identifiers, *(self.reward_pair or ())})

    @property
    def rewards(self) -> frozenset[str]:
        """Return the names of the columns with rewards, which a row may lack."""
        return frozenset({SCORES} if self.has_scores else self.reward_pair or ())


@dataclass(frozen=True)
class Recognizer:
    """Detects the meaning of columns.

    where: the start of each error message, such as "dataset.path=a.jsonl". chosen_reward, rejected_reward: the names of
    the reward columns, if the user sets them.
    """

    where: str
    chosen_reward: str | None
    rejected_reward: str | None

    def columns(self, names: Collection[str]) -> Columns:
        """Return the meaning of these columns. ValueError if one is missing or if two could hold the rewards."""
        missing = [name for name in ("chosen", "rejected") if name not in names]
        if SCORES in names and RESPONSES not in names:
            missing.append(RESPONSES)
        if missing:
            remedy = "; ".join(filter(None, (how_to_make_pairs(names), EXPECTED)))
            raise ValueError(f"{self.where}: {_lacking(names, missing)}; {remedy}")
        reward_pair = self._reward_pair(names)
        return Columns(
            identifier=next((name for name in IDENTIFIERS if name in names), None),
            has_prompt="prompt" in names,
            has_responses=RESPONSES in names,
            has_scores=SCORES in names and reward_pair is None,
            reward_pair=reward_pair,
        )

    def _reward_pair(self, names: Collection[str]) -> tuple[str, str] | None:
        if self.chosen_reward is not None or self.rejected_reward is not None:
            chosen, rejected = self._named(names, "chosen_reward"), self._named(names, "rejected_reward")
            if chosen == rejected:
                raise ValueError(
                    f"dataset.rejected_reward={rejected}: is also the column of chosen; set two different columns"
                )
            return chosen, rejected
        present = [pair for pair in REWARD_PAIRS if not set(pair).isdisjoint(names)]
        if SCORES in names or not present:
            return None
        halves = [name for pair in present for name in pair if name not in names]
        remedy = "set the two to use as dataset.chosen_reward= and dataset.rejected_reward="
        if halves:
            raise ValueError(f"{self.where}: {_lacking(names, halves)}; {remedy}")
        if len(present) > 1:
            raise ValueError(f"{self.where}: {' and '.join(map(listed, present))} are both rewards; {remedy}")
        return present[0]

    def _named(self, names: Collection[str], setting: str) -> str:
        name = getattr(self, setting)
        if name is None:
            raise ValueError(f"dataset.{setting}=null: only the other reward column is set; set both")
        if name not in names:
            raise ValueError(f"dataset.{setting}={name}: no such column; {nearest(name, names)}")
        return name


def listed(names: Iterable[str]) -> str:
    """Return names as text for a message, sorted."""
    return ", ".join(sorted(names)) or "(none)"


def _lacking(names: Iterable[str], missing: Iterable[str]) -> str:
    return f"found the columns {listed(names)} without {listed(missing)}"
