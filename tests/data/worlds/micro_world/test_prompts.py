from apm_exp.core import component
from apm_exp.data.sources.rows import SourceRow
from apm_exp.data.worlds.micro_world.splits import purpose_of

NODE = {"_target_": "apm_exp.data.worlds.micro_world.prompts.prompts", "prompts": 30, "seed": 0}


def test_rows_are_prompts_that_are_for_preferences():
    rows = list(component.bind("dataset", NODE)())
    assert [row.source for row in rows] == [f"micro_world:{number}" for number in range(1, 31)]
    assert all(isinstance(row, SourceRow) and row.problem is None for row in rows)
    prompts = [row.row["prompt"] for row in rows if row.row]
    assert len(set(prompts)) == 30
    assert {purpose_of(prompt) for prompt in prompts} == {"preferences"}


def test_the_seed_decides():
    first, again, other = (list(component.bind("dataset", NODE | {"seed": seed})()) for seed in (0, 0, 1))
    assert first == again != other
