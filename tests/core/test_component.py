"""Names, types and ranges of a node are checked against the signature of its function."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from apm_exp.core import component


def scale(
    value: float, *, factor: Annotated[float, Field(gt=0)], mode: Literal["up", "down"], note: str | None
) -> float:
    return value * factor if mode == "up" else value / factor


def listed(*, switches: dict[str, bool], path: str | list[str]) -> None:
    pass


def offset(*, shift: int) -> None:
    pass


@pytest.fixture(autouse=True)
def _trust_this_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", __name__.split(".")[0]})


def node(**changes: object) -> dict[str, object]:
    return {"_target_": f"{__name__}.scale", "factor": 2.0, "mode": "up", "note": None} | changes


def test_bound_function_has_its_settings() -> None:
    assert component.bind("metric", node(mode="down"))(6.0) == 3.0


def test_settings_of_another_function_may_stand_in_the_node() -> None:
    assert component.bind("metric", node(shift=1), also=(offset,))(6.0) == 12.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"facto": 1.0}, "metric.facto=1.0: no such setting; did you mean 'factor'?"),
        ({"factor": -1.0}, "metric.factor=-1.0: input should be greater than 0"),
        ({"factor": "big"}, "metric.factor=big: input should be a valid number"),
        ({"mode": "sideways"}, "metric.mode=sideways: input should be 'up' or 'down'"),
        ({"note": 3}, "metric.note=3: input should be a valid string"),
    ],
)
def test_wrong_setting_is_named_with_its_value(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match="metric") as caught:
        component.bind("metric", node(**changes))
    assert str(caught.value) == message


def test_a_setting_inside_another_is_named_in_full() -> None:
    with pytest.raises(ValueError, match=r"^clean\.switches\.delete=yes: input should be a valid boolean; write true$"):
        component.check("clean", {"switches": {"delete": "yes"}, "path": "x"}, (listed,))
    with pytest.raises(ValueError, match=r"^clean\.path=null: input should be a valid string \| clean\.path=null: "):
        component.check("clean", {"switches": {}, "path": None}, (listed,))
    with pytest.raises(ValueError, match=r"^clean\.path=true: "):
        component.check("clean", {"switches": {}, "path": True}, (listed,))


def test_missing_setting_is_named() -> None:
    incomplete = {"_target_": f"{__name__}.scale", "mode": "up", "note": None}
    with pytest.raises(ValueError, match=r"^metric\.factor is missing: give metric\.factor=VALUE$"):
        component.bind("metric", incomplete)


@pytest.mark.parametrize("target", ["os.system", "subprocess.run", "builtins.eval", "apm_exp_evil.run"])
def test_target_outside_trusted_packages_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="not a function of a trusted package"):
        component.bind("metric", {"_target_": target})


@pytest.mark.parametrize("empty", [{}, {"_target_": ""}])
def test_a_node_without_a_target_says_so(empty: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^metric: names no function; give its option's file a line _target_: "):
        component.bind("metric", empty)


def test_a_function_that_stands_in_another_file_is_named() -> None:
    told = r"No module named 'apm_exp.metrics'; write apm_exp.selection.metrics.uniform.uniform$"
    with pytest.raises(ValueError, match=told):
        component.locate("metric", {"_target_": "apm_exp.metrics.uniform.uniform"})
    with pytest.raises(ValueError, match=r"No module named 'apm_exp.metrics'$"):
        component.locate("metric", {"_target_": "apm_exp.metrics.uniform.nowhere"})


def test_target_that_is_no_function_is_refused() -> None:
    with pytest.raises(ValueError, match="not a function"):
        component.bind("metric", {"_target_": "apm_exp.pipeline.step.Step"})


def test_whole_number_is_a_number_but_text_is_not() -> None:
    assert component.bind("metric", node(factor=3))(2.0) == 6.0
