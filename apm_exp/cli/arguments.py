"""Processing of the command line before Hydra: help, and refusal of common errors with a hint."""

import re

from apm_exp.cli.flags import FLAGS_WITH_VALUE, check_flags
from apm_exp.cli.help import _GROUPS
from apm_exp.cli.other_forms import hint_for_word, without_equals
from apm_exp.cli.own_options import check_own_options
from apm_exp.cli.quoting import with_quotes
from apm_exp.core.conf import conf_folder, options_of
from apm_exp.core.credentials import refuse_secret_overrides
from apm_exp.core.hints import hint_for_option

_FOLLOWING = (  # groups of conf/ whose option is derived from other groups; a typed one would be ignored
    *("loss_defaults", "model_defaults", "model_dataset_defaults", "adapter_defaults", "adapter_model_defaults"),
)
# the adapter is a separate group, as Hydra does not load a file into a setting
_ADAPTER = re.compile(r"^([+~]*)model\.adapter(?=[.=]|$)")
_HYDRAS_FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.output_subdir", "hydra.job.chdir")
# names of sbatch options, which Hydra does not know
_SBATCH = re.compile(r"^\+*(hydra\.launcher\.additional_parameters\.)")
_NO_OPTION = re.compile(  # values that are no name of an option; Hydra reads some of them as another type
    r"|null|true|false|nan|[-+]?inf|[-+\d.e]+|''|\[[-+\d.e]+\]|[./~].*|.*\.(jsonl|json|csv|parquet|ya?ml)(\.gz)?", re.I
)


class UsageLine(ValueError):
    """An error in the command line; the text is the line for the user."""


def prepare(arguments: list[str]) -> list[str]:
    """Return the arguments in the form that Hydra expects, flags first. Raises UsageLine for errors that Hydra would
    ignore.
    """
    try:
        check_flags(arguments)
        check_own_options(arguments, conf_folder())
    except ValueError as error:
        raise UsageLine(str(error)) from None
    multirun = [a for a in arguments if a in ("-m", "--multirun")]
    if multirun and (shown := {a.partition("=")[0] for a in arguments} & {"--cfg", "-c", "--info", "-i"}):
        raise UsageLine(f"{shown.pop()}: shows one job; remove {multirun[0]} and give one value per setting")
    if "--hydra-help" in arguments:  # Hydra composes it without our settings
        return ["--hydra-help"]
    rest = [_ADAPTER.sub(r"\1adapter", a) for a in arguments if a not in ("-m", "--multirun")]
    rest = [_SBATCH.sub(r"++\1", a) for a in rest]
    rest = [a if a.startswith("-") else with_quotes(a, multirun=bool(multirun)) for a in rest]
    flags, settings = _flags_and_settings(_with_value_of_info(rest))
    completes = not {"--shell-completion", "-sc"}.isdisjoint(flags)
    if not completes:
        _refuse_spaces(settings)
    settings = list(dict.fromkeys(settings))  # repeating the same setting changes nothing
    overrides = [a for a in settings if "=" in a]
    for setting in () if completes else settings:
        _refuse_form(setting)
    for override in overrides:
        _refuse(override, multirun=bool(multirun))
    _refuse_twice(settings)
    for name in (a.removeprefix("~").partition("=")[0] for a in rest if a.startswith("~")):
        if name.startswith("hydra."):
            raise UsageLine(f"~{name}: Hydra's own settings cannot be deleted")
        if name in _GROUPS:
            raise UsageLine(f"~{name}: a group cannot be deleted; choose {name}= one of {', '.join(options_of(name))}")
    try:
        refuse_secret_overrides(overrides)
    except ValueError as error:
        raise UsageLine(str(error)) from None
    return multirun[:1] + flags + settings


def _with_value_of_info(arguments: list[str]) -> list[str]:
    """Return the arguments with `--info=all` for `--info` without a value; Hydra's parser would take a setting as its
    value.
    """
    following = zip(arguments, [*arguments[1:], ""], strict=False)  # of an empty list: nothing
    left_out = re.compile(r"|-.*|.*=.*")
    return ["--info=all" if a in ("--info", "-i") and left_out.fullmatch(after) else a for a, after in following]


def _flags_and_settings(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split the arguments into flags, with the value that follows each, and settings, as Hydra's parser requires."""
    flags: list[str] = []
    settings: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        is_value = before in FLAGS_WITH_VALUE and not argument.startswith("-")
        (flags if argument.startswith("-") or is_value else settings).append(argument)
    return flags, settings


def _refuse_spaces(settings: list[str]) -> None:
    try:
        line = without_equals(settings)
    except ValueError as error:
        raise UsageLine(str(error)) from None
    if line:
        raise UsageLine(line)


def _refuse_form(argument: str) -> None:
    """Raise UsageLine for an argument that is not `NAME=VALUE`; the messages of Hydra's parser are unclear."""
    key, equals, value = argument.partition("=")
    name = key.strip().lstrip("+~")
    if not argument.strip():
        raise UsageLine(f'{argument!r}: an empty argument; remove it (such as "$X" of an empty variable)')
    if not name:
        raise UsageLine(f"{argument}: no setting is named; write NAME={value or 'VALUE'}, without spaces around =")
    if not equals and not key.startswith("~"):
        if hint := hint_for_word(argument):
            raise UsageLine(f"{argument}: a setting without a name; {hint}")
        short, _, rest = argument.partition(":")
        raise UsageLine(
            f"{argument}: a setting without a value; write {short}={rest or 'VALUE'}, without spaces around ="
        )
    if key != key.strip():
        raise UsageLine(f"{argument}: a space before =; write {key.strip()}={value.strip()}")
    if not re.fullmatch(r"\+{0,2}|~", key[: len(key) - len(name)]):
        raise UsageLine(f"{argument}: a name can only be preceded by +, ++ or ~; write {name}={value or 'VALUE'}")
    if key.startswith("+") and name in _GROUPS:
        raise UsageLine(f"{argument}: {name} already has an option; to replace it, write {name}={value}")


def _refuse_twice(settings: list[str]) -> None:
    """Raise UsageLine for a setting or group with two values, of which Hydra silently uses the last."""
    first: dict[str, str] = {}
    for setting in settings:
        name = setting.partition("=")[0].lstrip("+")
        if name in first:
            raise UsageLine(f"{first[name]} {setting}: {name} is given twice; remove one")
        if not name.startswith("~"):  # a deleted setting may be added again
            first[name] = setting


def _refuse(override: str, *, multirun: bool) -> None:
    key, _, value = override.partition("=")
    name = key.lstrip("+~")
    if name.startswith("hydra.callbacks"):
        raise UsageLine(
            f"{override}: the jobs of a multirun are checked by a callback, which cannot be changed; remove this"
        )
    if name in _HYDRAS_FOLDERS:
        raise UsageLine(f"{override}: Hydra writes no files here; set output_root=FOLDER for all outputs")
    if key.startswith("+") and name.startswith("hydra.") and not _SBATCH.match(key):
        raise UsageLine(f"{override}: Hydra's settings have fixed names; remove the +")
    if name == "metric.alpha":
        raise UsageLine(f"{override}: alpha is a top-level setting; write alpha={value}")
    if re.fullmatch(r"\[\s*\]|", value.strip()) and (multirun or value.strip() == "[]" or name == "alpha"):
        raise UsageLine(f"{override}: an empty list of values; give at least one, as {name}=VALUE")
    if key in _GROUPS and _NO_OPTION.fullmatch(value.strip()) and value.strip() not in (options := options_of(name)):
        remedy = hint_for_option(name, value.strip()) or f"choose {name}= one of {', '.join(options)}"
        raise UsageLine(f"{override}: not an option; {remedy}")
    if name == "sweeps" and "," in value:
        raise UsageLine(f"{override}: one study per command; run them one after another")
    if name in ("hyperparameters", *_FOLLOWING):
        hint = (
            "they are derived from model, dataset, loss and adapter; set single values, as trainer.learning_rate=1e-6"
        )
        raise UsageLine(f"{override}: not chosen by name; {hint}")
