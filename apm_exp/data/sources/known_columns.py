"""Renaming of the columns of other programs' rows to the names that are read here.

These are prompt, system, history, tools, chosen and rejected. Other programs: LLaMA-Factory's Alpaca rows (instruction,
input, system, history) and ShareGPT rows (conversations), Orca's (system, question), OpenAI's preference rows (input,
preferred_output, non_preferred_output). All other columns are unchanged.
"""

import json
from collections.abc import Mapping
from typing import Any

from apm_exp.data.sources.rows import BadRow
from apm_exp.data.sources.transcript import is_transcript
from apm_exp.data.sources.turns import is_messages

_PROMPTS = ("question", "query", "instruction", "conversations", "conversation", "messages", "input")
_SYSTEMS = ("system", "system_prompt", "system_message")
_OPENAI = {"preferred_output": "chosen", "non_preferred_output": "rejected"}
_ARGILLA = {"chosen_response": "chosen", "rejected_response": "rejected"}
OTHER_RESPONSES = frozenset({*_OPENAI, *_ARGILLA})  # ignored if there are chosen and rejected
_REQUEST = ("messages", "tools")  # the parts of OpenAI's input that belong to the conversation
_HOW = ("parallel_tool_calls",)  # and those that are settings of the request


def with_known_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with its known columns renamed; BadRow if two columns could be the prompt."""
    known = dict(row)
    for names in (_OPENAI, _ARGILLA):
        if names.keys() <= known.keys() and not {"chosen", "rejected"} & known.keys():
            known |= {ours: known.pop(theirs) for theirs, ours in names.items()}
    if request := _request(known.get("input")):
        _take_request(known, request)
    _name_prompt(known)
    _name_system(known)
    return known


def _request(value: Any) -> Mapping[str, Any] | None:
    """Return the input of an OpenAI row, an object or its JSON text; None if a value is something else."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, Mapping) or not is_messages(value.get("messages")):
            return None
    return value if isinstance(value, Mapping) and "messages" in value else None


def _take_request(row: dict[str, Any], request: Mapping[str, Any]) -> None:
    del row["input"]
    row |= {"prompt": request["messages"]} | ({"tools": request["tools"]} if request.get("tools") else {})
    row |= {f"input.{name}": value for name, value in request.items() if name not in (*_REQUEST, *_HOW)}


def _name_prompt(row: dict[str, Any]) -> None:
    """Rename the only column that can be the prompt to `prompt`, and append a row's input to a text prompt."""
    if "prompt" not in row:
        candidates = [name for name in _PROMPTS if row.get(name)]
        if {"instruction", "input"} == set(candidates) and isinstance(row["input"], str):
            candidates.remove("input")
        if not candidates or _brings_its_prompt(row):
            return
        if len(candidates) > 1:
            remedy = "call the one to read prompt, and leave the others out"
            raise BadRow("two prompts", f"{' and '.join(candidates)} could each be the prompt; {remedy}")
        row["prompt"] = row.pop(candidates[0])
        _add_input(row, may_have_it=candidates[0] != "instruction")
    else:
        _add_input(row, may_have_it=True)


def _add_input(row: dict[str, Any], *, may_have_it: bool) -> None:
    """Join a text prompt and its input as LLaMA-Factory does.

    may_have_it: whether the prompt may already contain the input, or the input the prompt. An instruction that happens
    to contain a word of its input is still joined.
    """
    prompt, more = row["prompt"], row.get("input")
    if not (isinstance(prompt, str) and isinstance(more, str)) or is_messages(prompt):
        return
    if not more.strip() or (may_have_it and more.strip() in prompt):
        del row["input"]
    elif not (may_have_it and prompt.strip() in more):
        row["prompt"] = f"{prompt}\n{row.pop('input')}"


def _brings_its_prompt(row: Mapping[str, Any]) -> bool:
    """Return whether chosen contains the turns before the response too."""
    chosen = row.get("chosen")
    if isinstance(chosen, str):
        return is_transcript(chosen) or is_messages(chosen)
    return isinstance(chosen, list) and len(chosen) > 1


def _name_system(row: dict[str, Any]) -> None:
    present = {name: row[name] for name in _SYSTEMS if row.get(name)}
    if len(present) > 1:
        raise BadRow("two system prompts", f"{' and '.join(present)} are both given; remove one")
    for name, value in present.items():
        del row[name]
        row["system"] = value
