"""Translation of Hydra's errors into one line for the user."""

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationKeyError, InterpolationResolutionError
from yaml import MarkedYAMLError

from apm_exp.cli.own_options import own_options_of
from apm_exp.cli.quoting import typed_form
from apm_exp.core.conf import conf_folder, options_of
from apm_exp.core.hints import hint_for_option, hint_for_setting

_LEXER = re.compile(r"^LexerNoViableAltException: .*")
_PARSING = re.compile(r"^Error parsing override .* (?=(extraneous|missing|mismatched) |\w+ while evaluating )")
_EXPECTING = re.compile(r" expecting (\{|<EOF>).*")
_INTERPOLATION = re.compile(r".*[Ii]nterpolation.* full_key: ")
_ALIKE = (  # Hydra's message, our line
    (
        r"Could not append to config\. An item is already at '([^']+)'.*'\1=(.*?)' Or add .*",
        r"+\1=\2: exists already; write \1=\2",
    ),
    (r"Could not delete from config\. The value of '([^']+)' is (.*) and not (.*)\.", r"~\1=\3: it is \2; write ~\1"),
    (
        r"Error merging override (.*)",
        r"\1: the setting has another type of value (mapping, list, single value); see the option's file",
    ),
    (
        r"BasicSweeper does not support sweep type : INTERVAL_SWEEP",
        "interval() needs a search; add hydra/sweeper=optuna, or list the values",
    ),
    (r"Cannot find primary config '([^']+)'.*", r"--config-name \1: no such configuration; remove it"),
    (
        r"Primary config (?:directory|module) .*",
        "--config-path: there is no configuration in it; use --config-dir DIR to add your own options",
    ),
)
_MOST_NAMED = 3
_GONE = {
    "runtime=nodes": "was removed; run the command once, on the first machine: runtime=slurm in a Slurm job, "
    "runtime=mpi with Open MPI elsewhere (docs/cluster.md)",
    "generate=on_policy": "is there no more; write pipeline=on_policy",
    "generate=none": "is there no more; write pipeline=offline",
    "evals=micro_world": "is there no more; write evals=[win_rate,held_out_pairs]",
}


def explain(error: BaseException, arguments: Sequence[str]) -> str:
    """Return Hydra's message as one line, with the nearest name if one was misspelled."""
    from apm_exp.core.component import nearest

    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        place = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}"
        return f"{place}: invalid YAML: {error.problem}; fix the file"
    text = " ".join(str(error).split()).split(" See https")[0]
    if isinstance(error, InterpolationResolutionError | InterpolationKeyError) or _INTERPOLATION.match(text):
        return _interpolation(text, arguments)
    for pattern, line in _ALIKE:
        if re.match(pattern, text):
            return re.sub(pattern, line, text)
    if match := re.match(r"Could not override '([^']+)'", text):
        names = _settings(arguments)
        if match[1].startswith("hydra.launcher."):
            return f"{match[1]}: the launcher has no such setting; add hydra/launcher=slurm or joblib"
        if hinted := _hinted(match[1], arguments, names):
            return hinted
        if match[1].startswith("trainer.args"):
            return f"{match[1]}: new arguments need a plus; write +trainer.args.NAME=VALUE"
        if match[1].startswith("adapter.") and "adapter.rank" not in names:
            return f"model.{match[1]}: no adapter is chosen; add model.adapter=lora"
        return f"{match[1]}: no such setting; {_hint(match[1], names)}"
    if match := re.search(r"Could not (?:find|load) '((?:hydra/)?[^'/]+)/([^']+)'", text):
        if gone := _GONE.get(f"{match[1]}={match[2]}"):
            return f"{match[1]}={match[2]}: {gone}"
        if missing := missing_extra(match[1], match[2]):
            return missing
        if hint := hint_for_option(match[1], match[2]):
            return f"{match[1]}={match[2]}: no such option; {hint}"
        known = options_of(match[1]) + own_options_of(match[1], arguments) + extras(match[1])
        return f"{match[1]}={match[2]}: no such option; {nearest(match[2], known)}"
    if match := re.match(r"(?:Ambiguous value for argument|Sweep parameters) '(.+?)'(?: requires|\.? 1\.)", text):
        typed = shlex.quote(match[1])
        return f"{match[1]}: several values need a multirun; write: python -m apm_exp -m {typed}"
    if isinstance(error, OverrideParseException):
        typed = str(error.override)
        problem = _EXPECTING.sub("", _PARSING.sub("", _LEXER.sub("a character that needs quotes in Hydra", text)))
        if any(typed.count(quote) % 2 for quote in "'\""):
            problem = "an unclosed quote"
        return f"{typed}: {problem}; if the value is text, write {typed_form(typed)}"
    return text


def _interpolation(text: str, arguments: Sequence[str]) -> str:
    """Return the message for an unresolved `${...}`, or for a deleted setting that others refer to."""
    missing = re.search(r"Interpolation key '([^']+)' not found", text)
    if missing and any(argument.partition("=")[0] == f"~{missing[1]}" for argument in arguments):
        return f"~{missing[1]}: other settings refer to it; set {missing[1]}=VALUE instead"
    problem, _, place = text.partition(" full_key: ")
    key = f"{place.split()[0]}: " if place else ""
    return f"{key}{problem}; fix the ${{...}}"


def _hinted(name: str, arguments: Sequence[str], names: Sequence[str]) -> str:
    """Return the hint for an unknown setting, and those for all other unknown ones; "" if the first has none."""
    split = [(typed, *typed.lstrip("+").partition("=")[::2]) for typed in arguments]
    hints = {key: (typed, hint_for_setting(key, value)) for typed, key, value in split if key not in names}
    if hints.get(name, ("", None))[1] is None:
        return ""
    return " | ".join(f"{typed}: no such setting; {hint}" for typed, hint in hints.values() if hint)


def _hint(name: str, names: Sequence[str]) -> str:
    """Return a hint for an unknown setting: the same last name, another option that has it, or the nearest name."""
    from apm_exp.core.component import nearest

    group, _, rest = name.rpartition(".")
    same = [full for full in names if full.split(".")[-1] == rest and "." in full and full.startswith(group)]
    if 0 < len(same) <= _MOST_NAMED:
        return f"did you mean {' or '.join(repr(full) for full in sorted(same, key=_is_rarely_meant))}?"
    if has := [option for option in options_of(group) if rest in _settings_of(group, option)]:
        return f"{' or '.join(f'{group}={option}' for option in has)} has this setting; choose it too"
    return nearest(name, names)


def _settings_of(group: str, option: str) -> list[str]:
    """Return the settings of an option, including mandatory ones (`???`), which `in` does not find."""
    return [str(name) for name in OmegaConf.load(conf_folder() / group / f"{option}.yaml")]


def _is_rarely_meant(name: str) -> bool:
    return name.startswith("model.")  # settings of the fine-tuning of a built-in starting policy


def _settings(arguments: Sequence[str]) -> list[str]:
    """Return the names of all groups, and of all settings of the chosen options."""
    conf = conf_folder()
    groups = {path.name for path in conf.iterdir() if path.is_dir()}
    split = (argument.partition("=") for argument in arguments)
    chosen = [f"{group}={name}" for group, _, name in split if name in options_of(group) and group != "sweeps"]
    GlobalHydra.instance().clear()  # the command ends with this error, so the instance is not needed
    with hydra.initialize_config_dir(str(conf), version_base="1.3"):
        composed = hydra.compose("config", chosen)
    return sorted(groups | {name for name, _ in _flat(OmegaConf.to_container(composed, resolve=False))})


def _flat(node: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            name = f"{prefix}.{key}" if prefix else str(key)
            yield name, value
            yield from _flat(value, name)


_EXTRAS = {
    "hydra/launcher": {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"},
    "hydra/sweeper": {"optuna": "optuna"},
}


def extras(group: str) -> list[str]:
    """Return the options of a Hydra group that optional dependencies provide."""
    return list(_EXTRAS.get(group, {}))


def missing_extra(group: str, name: str) -> str | None:
    """Return what to install for a missing launcher or sweeper; None if no extra provides it."""
    extra = _EXTRAS.get(group, {}).get(name)
    return extra and f"{group}={name}: not installed; pip install -e '.[{extra}]'"
