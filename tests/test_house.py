"""The order of the rooms: what lies higher may import what lies lower, lazily too; nothing imports in a circle."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import apm_exp

ROOT = Path(apm_exp.__file__).parent
# Each line may import only from the lines below it; the rooms of one line do not import each other.
ROOMS = (
    ("__main__",),
    ("cli",),
    ("jobs",),
    ("pipeline",),
    ("report", "evals"),
    ("training", "data"),
    ("models",),
    ("selection", "runtime"),
    ("core",),
    ("__init__",),
)
HEIGHT = {room: len(ROOMS) - index for index, rooms in enumerate(ROOMS) for room in rooms}


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in sorted(ROOT.rglob("*.py"))}


def imports(file: Path) -> set[str]:
    """The modules of apm_exp that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {name if (name := f"{node.module}.{a.name}") in MODULES else node.module for a in node.names}
    return {name for name in found if name in MODULES and name != "apm_exp"}


def room(module: str) -> str:
    _, _, rest = module.partition(".")
    return rest.partition(".")[0] or "__init__"


GRAPH = {module: imports(file) for module, file in MODULES.items()}


def test_the_root_holds_the_rooms_and_nothing_else() -> None:
    found = {entry.stem for entry in ROOT.iterdir() if entry.name != "__pycache__"}
    assert found == set(HEIGHT)


@pytest.mark.parametrize("name", [room for rooms in ROOMS for room in rooms])
def test_a_room_imports_only_from_rooms_below_it(name: str) -> None:
    up = {
        (module, other)
        for module, others in GRAPH.items()
        for other in others
        if room(module) == name and room(other) != name and HEIGHT[room(other)] >= HEIGHT[name]
    }
    assert not up


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


# What others must know of a component, its module says (docs/extending.md). The launchers and sweepers that cli/ tells
# apart are Hydra's.
COMPARED = re.compile(
    r"""_target_["'][\])].*\.(endswith|startswith|rpartition)\("""
    r"""|_target_["'][\])]\)? *[!=]= |locate\(.*\) is |\.func is """
)


def test_no_place_knows_a_component_by_its_name() -> None:
    files = (file for module, file in MODULES.items() if room(module) != "cli")
    lines = (f"{file.name}: {line}" for file in files for line in file.read_text().splitlines())
    assert not [line for line in lines if COMPARED.search(line)]
    for line in (
        'x["_target_"].endswith(".hub.hub")',
        'component.locate("reward", x) is classifier',
        "x.func is jsonl",
    ):
        assert COMPARED.search(line)
