"""The command line before Hydra sees it: help, what is refused with a hint, and where the configuration lies."""

import re

from apm_exp.cli.flags import FLAGS_WITH_VALUE, check_flags
from apm_exp.cli.help import _GROUPS
from apm_exp.cli.own_options import check_own_options
from apm_exp.cli.quoting import with_quotes
from apm_exp.core.conf import conf_folder, options_of
from apm_exp.core.credentials import refuse_secret_overrides

_FOLLOWING = (  # groups of conf/ whose option follows from those above; a typed one would be passed over
    *("loss_defaults", "model_defaults", "model_dataset_defaults", "adapter_defaults", "adapter_model_defaults"),
)
_ADAPTER = re.compile(r"^([+~]*)model\.adapter(?=[.=]|$)")  # a group of its own: Hydra fills no setting with a file
_HYDRAS_FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.output_subdir", "hydra.job.chdir")
_SBATCH = re.compile(r"^\+*(hydra\.launcher\.additional_parameters\.)")  # names of sbatch's, which Hydra does not know
_BY_PATH = {"dataset": "dataset=jsonl", "model": "model=local"}  # options that read what a path names


class UsageLine(ValueError):
    """The command line cannot be right; the text is the one line for the user."""


def prepare(arguments: list[str]) -> list[str]:
    """The arguments as Hydra wants them (flags first). Raises UsageLine for what would otherwise go wrong silently."""
    try:
        check_flags(arguments)
        check_own_options(arguments, conf_folder())
    except ValueError as error:
        raise UsageLine(str(error)) from None
    multirun = [a for a in arguments if a in ("-m", "--multirun")]
    if multirun and (shown := {a.partition("=")[0] for a in arguments} & {"--cfg", "-c", "--info", "-i"}):
        raise UsageLine(f"{shown.pop()}: shows one job; leave out {multirun[0]} and give one value a setting")
    if "--hydra-help" in arguments:  # which Hydra composes without any of our settings
        return ["--hydra-help"]
    rest = [_ADAPTER.sub(r"\1adapter", a) for a in arguments if a not in ("-m", "--multirun")]
    rest = [_SBATCH.sub(r"++\1", a) for a in rest]
    rest = [a if a.startswith("-") else with_quotes(a, multirun=bool(multirun)) for a in rest]
    flags, settings = _flags_and_settings(_with_value_of_info(rest))
    overrides = [a for a in settings if "=" in a]
    for setting in settings:
        if "--shell-completion" not in flags and "-sc" not in flags:
            _refuse_form(setting)
    for override in overrides:
        _refuse(override, multirun=bool(multirun))
    for name in (a.removeprefix("~").partition("=")[0] for a in rest if a.startswith("~")):
        if name.startswith("hydra."):
            raise UsageLine(f"~{name}: Hydra's settings are fixed names, of which none can be left out")
        if name in _GROUPS:
            raise UsageLine(f"~{name}: a group cannot be left out; choose {name}= one of {', '.join(options_of(name))}")
    try:
        refuse_secret_overrides(overrides)
    except ValueError as error:
        raise UsageLine(str(error)) from None
    return multirun[:1] + flags + settings


def _with_value_of_info(arguments: list[str]) -> list[str]:
    """--info with the value that may be left out, which Hydra's parser would take from the settings."""
    following = zip(arguments, [*arguments[1:], ""], strict=False)  # of none: none
    left_out = re.compile(r"|-.*|.*=.*")
    return ["--info=all" if a in ("--info", "-i") and left_out.fullmatch(after) else a for a, after in following]


def _flags_and_settings(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Hydra's parser wants the settings in one piece, after the flags, each with the value that follows it."""
    flags: list[str] = []
    settings: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        is_value = before in FLAGS_WITH_VALUE and not argument.startswith("-")
        (flags if argument.startswith("-") or is_value else settings).append(argument)
    return flags, settings


def _refuse_form(argument: str) -> None:
    """Raise UsageLine for what is no `NAME=VALUE`, of which Hydra's parser says what it expected."""
    key, equals, value = argument.partition("=")
    name = key.strip().lstrip("+~")
    if not argument.strip():
        raise UsageLine(f'{argument!r}: an empty argument; leave it out (an empty variable in quotes, "$X", is one)')
    if not name:
        raise UsageLine(f"{argument}: no setting is named; write NAME={value or 'VALUE'}, without spaces around =")
    if not equals and not key.startswith("~"):
        short, _, rest = argument.partition(":")
        raise UsageLine(
            f"{argument}: a setting without a value; write {short}={rest or 'VALUE'}, without spaces around ="
        )
    if key != key.strip():
        raise UsageLine(f"{argument}: a space before =; write {key.strip()}={value.strip()}")
    if not re.fullmatch(r"\+{0,2}|~", key[: len(key) - len(name)]):
        raise UsageLine(f"{argument}: in front of a name is +, ++ or ~, or nothing; write {name}={value or 'VALUE'}")
    if key.startswith("+") and name in _GROUPS:
        raise UsageLine(f"{argument}: {name} has an option already, which another one replaces; write {name}={value}")


def _refuse(override: str, *, multirun: bool) -> None:
    key, _, value = override.partition("=")
    name = key.lstrip("+~")
    if name.startswith("hydra.callbacks"):
        raise UsageLine(f"{override}: the jobs of a multirun are checked by a callback, which stays; leave this out")
    if name in _HYDRAS_FOLDERS:
        raise UsageLine(f"{override}: Hydra writes nothing here; output_root=FOLDER says where everything is kept")
    if key.startswith("+") and name.startswith("hydra.") and not _SBATCH.match(key):
        raise UsageLine(f"{override}: Hydra's settings are fixed names; leave out the +")
    if name == "metric.alpha":
        raise UsageLine(f"{override}: alpha is set at the top; write alpha={value}")
    if re.fullmatch(r"\[\s*\]|", value.strip()) and (multirun or value.strip() == "[]" or name == "alpha"):
        raise UsageLine(f"{override}: an empty list of values; give at least one, as {name}=VALUE")
    if name in _BY_PATH and re.search(r"^[./~]|\.(jsonl|json|csv|parquet)(\.gz)?$", value):
        raise UsageLine(f"{override}: not an option; write {_BY_PATH[name]} {name}.path={value}")
    no_name = key in _GROUPS and re.fullmatch(
        r"|null|true|false|nan|[-+]?inf|[-+\d.e]+|''|\[[-+\d.e]+\]", value.strip(), re.I
    )
    if no_name and value.strip() not in (options := options_of(name)):
        raise UsageLine(f"{override}: not an option; choose {name}= one of {', '.join(options)}")
    if name == "sweeps" and "," in value:
        raise UsageLine(f"{override}: one study a command; run them one after another")
    if name in ("hyperparameters", *_FOLLOWING):
        hint = "they follow from model, dataset, loss and adapter; set single values, as trainer.learning_rate=1e-6"
        raise UsageLine(f"{override}: not chosen by name; {hint}")
    if name in ("gamma", "loss.gamma"):
        hint = "gamma = gamma_beta_ratio * beta; write loss.gamma_beta_ratio=VALUE"
        raise UsageLine(f"{override}: SimPO's margin has one spelling here; {hint}")
