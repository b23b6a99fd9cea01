"""A plan as it is printed."""

from collections.abc import Iterable
from pathlib import Path

from apm_exp.core.console import plain_table, print_line, print_table, wide_screen
from apm_exp.core.step_names import of_kind
from apm_exp.jobs.plan.cost import cost_lines
from apm_exp.jobs.plan.device import device_line, named
from apm_exp.jobs.plan.disk import disk_line
from apm_exp.jobs.plan.iterations import iterations_table
from apm_exp.jobs.plan.memory.check import tell
from apm_exp.jobs.plan.memory.device import memory_of
from apm_exp.jobs.plan.memory.show import memory_table
from apm_exp.jobs.plan.memory.stages import stage_rows
from apm_exp.jobs.plan.plan import Plan
from apm_exp.pipeline.resolve import resolve_dtype
from apm_exp.runtime.device import pick_device
from apm_exp.runtime.settings import all_processes
from apm_exp.training.few_steps import say_few_steps

_PREFIXES = ("", "K", "M", "G", "T", "P", "E", "Z")


def print_plan(plan: Plan) -> None:
    """Print one line a step: reused or to be built, with exact counts if built, and upper bounds or assumptions else.

    Then what each iteration still has to do, what is assumed, the memory of what is to be done, and the disk that all
    will need. Raises a one-line ValueError, after printing, if the training cannot fit its device.
    """
    table = plain_table("step", "state", "counts", "computes", "expected", "folder")
    for name, step in plan.steps.items():
        sign = ("about " if plan.about else "at most ") if name in plan.missing else ""
        counts = ", ".join(f"{sign}{key} {value:,}" for key, value in plan.known[name].items())
        built = name not in plan.missing
        computes = "" if built else flops_shown([plan.flops(name)])
        state, time = "reuse" if built else "build", time_shown(plan.seconds(name))
        table.add_row(name, state, counts or "unknown", computes, time, str(step.folder))
    print_table(plan.title, table)
    if bounds := iterations_table(plan):
        sure = "about" if plan.about else "at most"
        print_table(f"still to be done in each iteration, {sure}", bounds)
    print_line(total_line((plan, name) for name in plan.missing))
    for line in cost_lines((plan, name) for name in plan.missing):
        print_line(line)
    print_assumptions(plan)
    print_memory(plan)
    print_line(disk_line(plan.disk, Path(plan.config["output_root"])))
    for step in of_kind(plan.missing, "policy").values():
        say_few_steps(step.key, plan.known[step.name], plan.config, exact=False)
    if plan.training:
        tell(plan.training, plan.config)


def print_assumptions(plan: Plan) -> None:
    """Print the assumptions of the operations and times: the length of a pair, and the device."""
    if plan.missing and plan.pairs.how:
        prompt, chosen, rejected = plan.pairs.mean
        parts = f"a prompt of {prompt:,.0f}, responses of {chosen:,.0f} and {rejected:,.0f}"
        print_line(f"a mean pair: {sum(plan.pairs.mean):,.0f} tokens, {parts} ({plan.pairs.how})")
    if any("pairs" not in plan.known[name] for name in plan.missing if plan.steps[name].kind == "pairs"):
        print_line("how many pairs there are is not known before they are here; dataset.limit=60000 plans for so many")
    runtime = plan.config["runtime"]
    if device := named(runtime):
        print_line(device_line(device, all_processes(runtime)))
    elif any(plan.flops(name) and plan.seconds(name) is None for name in plan.missing):
        print_line("nothing of comparable size was run here; with runtime.plan_for=h100, what an H100 takes")


def print_memory(plan: Plan) -> None:
    """Print the memory of the steps to build."""
    runtime = plan.config["runtime"]
    device, available = pick_device(dict(runtime)), memory_of(runtime)
    each = 4 if resolve_dtype(plan.config["model"].get("dtype", "float32"), runtime) == "float32" else 2
    on_gpu = device.startswith("cuda")
    rows = list(stage_rows(plan.config, plan.missing, plan.shape, plan.pairs.mean, each=each, gpu=on_gpu))
    if plan.training or rows:
        wide_screen().print(memory_table(plan.training, rows, device, available))


def total_line(steps: Iterable[tuple[Plan, str]]) -> str:
    """Return the time of all steps, and the number of steps whose time is unknown."""
    each = [(plan.seconds(name), plan.has_model(name)) for plan, name in steps]
    known = [seconds for seconds, _ in each if seconds is not None]
    if not known:
        return "expected: unknown" if each else "expected: nothing to do"
    counted = {has: each.count((None, has)) for has in (True, False)}
    unknown = [
        f"{count} step{'' if count == 1 else 's'} {'with' if has else 'without'} a model"
        for has, count in counted.items()
        if count
    ]
    more = f", and {' and '.join(unknown)} of unknown time" if unknown else ""
    return f"expected: {time_shown(sum(known))}{more}"


def time_shown(seconds: float | None) -> str:
    """Return an expected time in words."""
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def flops_shown(amounts: Iterable[float | None]) -> str:
    """Return a number of operations in words: 1.2 PFLOP; nothing for steps without a model."""
    known = [each for each in amounts if each is not None]
    if not known:
        return ""
    flops, power = sum(known), 0
    while flops >= 1000 and power + 1 < len(_PREFIXES):
        flops, power = flops / 1000, power + 1
    return f"{flops:.3g} {_PREFIXES[power]}FLOP"
