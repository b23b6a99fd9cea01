"""The three schemas of preference pairs, and how a source is recognised as one of them by its columns."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from apm_exp.component import nearest
from apm_exp.data.rows import BadRow, SourceRow

RESPONSES, SCORES = "all_generated_responses", "all_rm_scores"
IDENTIFIERS = ("pair_id", "id", "prompt_id")  # the first one that a file has is used
REWARD_PAIRS = (("chosen_reward", "rejected_reward"), ("score_chosen", "score_rejected"))
_KNOWN = {"prompt", "chosen", "rejected", RESPONSES, SCORES, *IDENTIFIERS, *REWARD_PAIRS[0], *REWARD_PAIRS[1]}
EXPECTED = (
    f"expected SimPO's on-policy schema (prompt, {RESPONSES}, {SCORES}, chosen, rejected), TRL's (prompt, "
    "chosen, rejected; rewards in chosen_reward, rejected_reward or score_chosen, score_rejected) or HH "
    "transcripts (chosen, rejected)"
)


@dataclass(frozen=True)
class Columns:
    """What the columns of a source mean.

    identifier: the id column, if any. reward_pair: the columns with the rewards of chosen and rejected, if
    used. present: the known columns that the first row has, used or not.
    """

    identifier: str | None
    has_prompt: bool
    has_responses: bool
    has_scores: bool
    reward_pair: tuple[str, str] | None
    present: frozenset[str] = field(compare=False)

    @property
    def has_rewards(self) -> bool:
        """Whether the rows carry rewards."""
        return self.has_scores or self.reward_pair is not None

    @property
    def used(self) -> frozenset[str]:
        """The names of the columns that every row must have."""
        flags = {"prompt": self.has_prompt, RESPONSES: self.has_responses, SCORES: self.has_scores}
        identifiers = {self.identifier} if self.identifier else set()
        names = {name for name, flag in flags.items() if flag}
        return frozenset({"chosen", "rejected", *names, *identifiers, *(self.reward_pair or ())})


@dataclass(frozen=True)
class Recogniser:
    """How to recognise columns.

    where: starts each error, such as "dataset.path=a.jsonl". The reward columns: as the user names them, if
    so.
    """

    where: str
    chosen_reward: str | None
    rejected_reward: str | None

    def columns(self, names: Collection[str]) -> Columns:
        """What these columns mean. ValueError where one is missing or two could hold the rewards."""
        missing = [name for name in ("chosen", "rejected") if name not in names]
        if SCORES in names and RESPONSES not in names:
            missing.append(RESPONSES)
        if missing:
            raise ValueError(f"{self.where}: {_lacking(names, missing)}; {EXPECTED}")
        reward_pair = self._reward_pair(names)
        return Columns(
            identifier=next((name for name in IDENTIFIERS if name in names), None),
            has_prompt="prompt" in names,
            has_responses=RESPONSES in names,
            has_scores=SCORES in names and reward_pair is None,
            reward_pair=reward_pair,
            present=frozenset(_KNOWN.intersection(names)),
        )

    def _reward_pair(self, names: Collection[str]) -> tuple[str, str] | None:
        if self.chosen_reward is not None or self.rejected_reward is not None:
            return self._named(names, "chosen_reward"), self._named(names, "rejected_reward")
        found = [pair for pair in REWARD_PAIRS if not set(pair).isdisjoint(names)]
        if SCORES in names or not found:
            return None
        halves = [name for pair in found for name in pair if name not in names]
        remedy = "name the two to use with dataset.chosen_reward= and dataset.rejected_reward="
        if halves:
            raise ValueError(f"{self.where}: {_lacking(names, halves)}; {remedy}")
        if len(found) > 1:
            raise ValueError(f"{self.where}: {' and '.join(map(_listed, found))} are both rewards; {remedy}")
        return found[0]

    def _named(self, names: Collection[str], setting: str) -> str:
        name = getattr(self, setting)
        if name is None:
            raise ValueError(f"dataset.{setting}=null: only the other reward column is named; name both")
        if name not in names:
            raise ValueError(f"dataset.{setting}={name}: no such column; {nearest(name, names)}")
        return name


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "(none)"


def _lacking(names: Iterable[str], missing: Iterable[str]) -> str:
    return f"found the columns {_listed(names)} without {_listed(missing)}"


def with_columns(rows: Iterable[SourceRow], recogniser: Recogniser) -> Iterator[tuple[SourceRow, Columns | None]]:
    """Yield each row with what the columns of its file mean; None for a row that is bad already.

    The first row of a file that fits a schema decides; rows before it become bad ones. ValueError where the
    files differ, or, at the end, where no row of one fits.
    """
    known: dict[str, Columns] = {}
    unfit: dict[str, ValueError] = {}
    for row in rows:
        if row.row is not None and row.file not in known:
            try:
                known[row.file] = recogniser.columns(row.row)
            except ValueError as reason:
                unfit.setdefault(row.file, reason)
                yield SourceRow(row.source, None, f"fits no schema: {reason}"), None
                continue
            _refuse_mixture(known, recogniser.where)
        yield row, (known[row.file] if row.row is not None else None)
    for error in (unfit[file] for file in unfit if file not in known):
        raise error


def _refuse_mixture(known: dict[str, Columns], where: str) -> None:
    (first_file, first), (last_file, last) = next(iter(known.items())), list(known.items())[-1]
    if first != last:
        differing = first.used ^ last.used
        raise ValueError(
            f"{where}: {first_file} and {last_file} differ in {_listed(differing)}; give one schema at a time"
        )


def check_columns(names: Collection[str], columns: Columns) -> None:
    """BadRow where a row lacks a used column, or has a known one that the first row of its file has not."""
    missing = columns.used.difference(names)
    if missing:
        raise BadRow("missing column", f"{_listed(missing)}, which the first row of the file has")
    extra = _KNOWN.intersection(names) - columns.present
    if extra:
        raise BadRow("other columns", f"{_listed(extra)}, which the first row of the file has not")
