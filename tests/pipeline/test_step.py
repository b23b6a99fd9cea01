"""A step is built once, named by what it is given, and never read unless it is whole."""

import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.component import UNHASHED
from apm_exp.core.digest import FileDigests
from apm_exp.core.types import Policy
from apm_exp.pipeline.build import build
from apm_exp.pipeline.room import prepare
from apm_exp.pipeline.step import Step, lineage, read_done

VERSION = 1


def double(out: Path, *, number: int, source: Artifact | None = None, slow: Path | None = None) -> dict[str, int]:
    """A stage: writes twice its number, plus what an earlier one wrote; notes each call beside the artifacts."""
    calls = out.parent.parent / "calls.txt"
    with calls.open("a") as log:
        log.write(f"{number}\n")
    (out / "partial.txt").write_text("half")
    if slow is not None:
        while not slow.exists():
            time.sleep(0.01)
    before = int((source.path / "result.txt").read_text()) if source else 0
    (out / "result.txt").write_text(str(2 * number + before))
    (out / "partial.txt").unlink()
    return {"numbers": 1}


def refuse(out: Path, *, number: int) -> dict[str, int]:
    (out / "half.txt").write_text("half")
    raise ValueError(f"number={number}: refused")


def making_twice(out: Path, *, number: int) -> dict[str, int]:
    (out / "results").mkdir()
    (out / "results").mkdir()
    return {}


StepMaker = Callable[..., Step]


@pytest.fixture
def step(tmp_path: Path) -> StepMaker:
    def make(stage: Any = double, beside: dict[str, Any] | None = None, **inputs: Any) -> Step:
        return Step(
            stage.__name__,
            "",
            "test",
            stage,
            inputs,
            tmp_path,
            FileDigests(tmp_path / "digests.json"),
            beside or {},
        )

    return make


def calls(root: Path) -> list[str]:
    return (root / "calls.txt").read_text().split()


def test_a_step_is_built_once_and_then_reused(step: StepMaker, tmp_path: Path) -> None:
    first, second = build(step(number=3)), build(step(number=3))
    assert (first.path / "result.txt").read_text() == "6"
    assert first == second
    assert calls(tmp_path) == ["3"]


def test_a_later_step_is_named_by_the_key_of_the_earlier(step: StepMaker) -> None:
    small, large = step(number=1), step(number=10)
    for earlier in (small, large):
        build(earlier)
    sums = [build(step(number=5, source=earlier)) for earlier in (small, large)]
    assert [(a.path / "result.txt").read_text() for a in sums] == ["12", "30"]
    assert sums[0].key != sums[1].key


def test_what_is_given_beside_does_not_change_the_key(step: StepMaker, tmp_path: Path) -> None:
    (tmp_path / "now").touch()
    assert step(number=3).key == step(number=3, beside={"slow": tmp_path / "now"}).key


def test_a_path_is_known_by_its_content(step: StepMaker, tmp_path: Path) -> None:
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    here.write_text("same")
    there.write_text("same")
    keys = [step(node={"path": str(path)}).key for path in (here, there)]
    assert keys[0] == keys[1]
    there.write_text("else")
    assert step(node={"path": str(there)}).key != keys[0]
    assert step(node={"path": [str(here), str(there)]}).key != keys[0]


def test_a_whole_number_is_one_number_however_it_is_written(step: StepMaker) -> None:
    assert step(node={"alpha": 1}).key == step(node={"alpha": 1.0}).key
    assert step(node={"alpha": 1}).key != step(node={"alpha": True}).key


def test_a_setting_called_source_is_part_of_the_key(step: StepMaker) -> None:
    target = "apm_exp.selection.metrics.uniform.uniform"
    assert step(node={"_target_": target, "source": "a"}).key != step(node={"_target_": target, "source": "b"}).key


def test_a_chat_template_may_hold_what_looks_like_an_interpolation(step: StepMaker, tmp_path: Path) -> None:
    policy = Policy(tmp_path, "key", "float32", "auto", False, "price: ${ not one")
    other = Policy(tmp_path, "key", "float32", "auto", False, "another")
    assert build(step(ignore, policy=policy)).key != step(ignore, policy=other).key


def test_what_a_chat_template_is_given_is_part_of_the_key(step: StepMaker, tmp_path: Path) -> None:
    policy = Policy(tmp_path, "key", "float32", "auto", False)
    others = replace(policy, chat_template_kwargs={"a": False}), replace(policy, template_date="2024-07-26")
    keys = {step(ignore, policy=one).key for one in (policy, *others)}
    assert len(keys) == 3
    assert step(ignore, policy=replace(policy, chat_template_kwargs={})).key in keys


def ignore(out: Path, *, policy: Policy) -> dict[str, int]:
    return {}


def own_source(responses: Any, *, path: str, batch_size: Annotated[int, Field(gt=0), UNHASHED]) -> list[list[float]]:
    """A reward source as a user writes it, with a setting that says how it is run."""
    return [[float(batch_size)]]


def bind_and_call(out: Path, *, node: dict[str, Any]) -> dict[str, float]:
    return {"given": component.bind("reward", node)(None)[0][0]}


def test_a_setting_declared_as_unhashed_reaches_its_component_and_makes_no_artifact_new(
    step: StepMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apm_exp.core.component._trusted_packages", {"tests"})
    node = {"_target_": f"{__name__}.own_source", "path": "none", "batch_size": 4}
    first = build(step(bind_and_call, node=node))
    assert first.counts == {"given": 4.0}
    assert build(step(bind_and_call, node=node | {"batch_size": 8})) == first
    assert (
        step(bind_and_call, node={"nested": node | {"batch_size": 8}}).key
        == step(bind_and_call, node={"nested": node}).key
    )
    assert step(bind_and_call, node=node | {"path": "other"}).key != first.key
    with pytest.raises(ValueError, match=r"^reward\.batch_size=0: input should be greater than 0"):
        component.bind("reward", node | {"batch_size": 0})


def test_an_edited_component_is_another_input(step: StepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "mine_for_test"
    package.mkdir()
    (package / "__init__.py").touch()
    source = package / "metric.py"
    wrapper = "import numpy\n\n\n@numpy.errstate(all='ignore')\n"  # stands in a file of the standard library
    decorated = f"{wrapper}def value(scores):\n    return "
    source.write_text(f"{decorated}scores\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("apm_exp.core.component._trusted_packages", {"mine_for_test"})
    node = {"_target_": "mine_for_test.metric.value"}
    before = step(metric=node).key
    named = step(metric=node)
    assert named.key == before
    source.write_text(f"{decorated}-scores\n")
    assert step(metric=node).key != before
    assert named.key == before


def test_a_failed_step_says_why_is_not_done_and_is_tried_again(step: StepMaker) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="number=3: refused"):
            build(step(refuse, number=3))
    folder = step(refuse, number=3).folder
    assert "number=3: refused" in (folder / "failed.txt").read_text()
    assert not (folder / "done").exists()
    assert read_done(step(refuse, number=3)) is None


def truncate(path: Path) -> None:
    path.write_text("")


def flip(path: Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def make_a_list(path: Path) -> None:
    path.write_text("[]")


def lose_the_counts(path: Path) -> None:
    path.write_text(json.dumps({"key": json.loads(path.read_text())["key"]} if path.name == "done" else {}))


def change_a_digit(path: Path) -> None:
    path.write_text(path.read_text().replace("6", "7"))


@pytest.mark.parametrize("damage", [truncate, flip, make_a_list, lose_the_counts, change_a_digit, Path.unlink])
@pytest.mark.parametrize("name", ["result.txt", "done"])
def test_damage_is_named_set_aside_and_built_again(
    step: StepMaker, damage: Callable[[Path], None], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    built = build(step(number=3))
    damage(built.path / name)
    again = build(
        Step("double", "", "test", double, {"number": 3}, built.path.parent.parent, FileDigests(Path("unused")))
    )
    assert (again.path / "result.txt").read_text() == "6"
    assert json.loads((again.path / "done").read_text())["key"] == built.key
    if not (name == "done" and damage is Path.unlink):
        assert "built again" in caplog.text
        assert len(list(built.path.parent.glob("*.damaged-*"))) == 1


def test_looking_moves_nothing(step: StepMaker) -> None:
    built = build(step(number=3))
    truncate(built.path / "result.txt")
    fresh = Step("double", "", "test", double, {"number": 3}, built.path.parent.parent, FileDigests(Path("unused")))
    assert read_done(fresh) is None
    assert [path.name for path in built.path.parent.iterdir()] == [built.path.name]


def test_a_process_that_waits_says_so(step: StepMaker, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    waiting = step(number=3)
    gate = tmp_path / "gate"
    slow = step(number=3, beside={"slow": gate})
    builder = threading.Thread(target=build, args=(slow,))
    builder.start()
    _wait_for(lambda: (tmp_path / "calls.txt").exists())
    with caplog.at_level("INFO"):
        waiter = threading.Thread(target=build, args=(waiting,))
        waiter.start()
        _wait_for(lambda: "waiting for another process" in caplog.text)
        gate.touch()
        for thread in (builder, waiter):
            thread.join(30)
    assert calls(tmp_path) == ["3"]


def test_rebuild_builds_again_what_another_command_has_built_whatever_the_clocks_say(
    step: StepMaker, tmp_path: Path
) -> None:
    built = build(step(number=3), command="first")
    os.utime(built.path / "done", (time.time() + 3600,) * 2)
    again = build(step(number=3), rebuild=True, command="second")
    assert calls(tmp_path) == ["3", "3"]
    assert again.build != built.build
    assert build(step(number=3), rebuild=True, command="second") == again  # another job of the same command
    assert calls(tmp_path) == ["3", "3"]


def chain(step: StepMaker) -> list[Step]:
    """A step, one that is given it, and one that is given a policy that the second made."""
    first = step(number=1)
    second = step(number=2, source=first)
    return [first, second, step(follow, policy=made_by(second))]


def made_by(maker: Step) -> Policy:
    return Policy(maker.folder, maker.key, "float32", "auto", False, made_by=maker)


def follow(out: Path, *, policy: Policy) -> dict[str, int]:
    assert policy.made_by is None  # a stage gets what crosses to other processes
    return {"number": int((policy.folder / "result.txt").read_text())}


def test_what_follows_from_what_is_built_again_is_built_again(step: StepMaker, tmp_path: Path) -> None:
    first, second, third = (build(one) for one in chain(step))
    assert [read_done(one) for one in chain(step)] == [first, second, third]
    assert build(chain(step)[1], rebuild=True, command="another").build != second.build
    assert read_done(chain(step)[0]) == first
    assert read_done(chain(step)[2]) is None
    again = build(chain(step)[2])
    assert (again.key, again.reused, again.build == third.build) == (third.key, False, False)
    assert not list(tmp_path.glob("*/*.replaced"))


@pytest.mark.parametrize("harm", [shutil.rmtree, lambda folder: (folder / "result.txt").write_text("0")])
def test_what_follows_from_what_is_gone_or_damaged_is_built_again_from_the_first_on(
    step: StepMaker, harm: Callable[[Path], object]
) -> None:
    built = [build(one) for one in chain(step)]
    harm(built[0].path)
    assert [read_done(one) for one in chain(step)] == [None, None, None]
    last = build(chain(step)[2])  # asked for alone
    assert last.counts == built[2].counts
    assert all(read_done(one) not in (None, before) for one, before in zip(chain(step), built, strict=True))


def without_builds(artifact: Artifact) -> None:
    """Make an artifact one of an earlier version."""
    done = artifact.path / "done"
    record = json.loads(done.read_text())
    done.write_text(json.dumps({name: record[name] for name in ("key", "counts", "seconds", "files")}))


def test_outputs_of_a_version_without_builds_are_taken_until_an_input_is_built_again(
    step: StepMaker, tmp_path: Path
) -> None:
    for one in chain(step):
        without_builds(build(one))
    assert [build(one).reused for one in chain(step)] == [True, True, True]
    build(chain(step)[0], rebuild=True, command="another")
    assert [build(one).reused for one in chain(step)] == [True, False, False]


def resume(out: Path, *, source: Artifact, gate: Path) -> dict[str, int]:
    """A stage that resumes from what it had begun."""
    begun = out / "begun"
    begun.write_text(begun.read_text() + "." if begun.exists() else ".")
    if not gate.exists():
        raise KeyboardInterrupt
    return {"attempts": len(begun.read_text())}


def test_what_an_attempt_had_begun_with_another_build_of_its_input_is_not_resumed(
    step: StepMaker, tmp_path: Path
) -> None:
    def later() -> Step:
        return step(resume, {"gate": tmp_path / "gate"}, source=step(number=1))

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            build(later())
    build(step(number=1), rebuild=True, command="another")
    with pytest.raises(KeyboardInterrupt):
        build(later())
    (tmp_path / "gate").touch()
    assert build(later()).counts == {"attempts": 2}


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"builds: {", None])
def test_an_attempt_whose_inputs_are_damaged_is_named_and_set_aside(
    step: StepMaker, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    folder = step(number=3).folder
    folder.mkdir(parents=True)
    (folder / "half.txt").touch()
    if content is not None:
        (folder / "inputs.yaml").write_bytes(content)
    assert not build(step(number=3)).reused
    assert f"{folder}: its inputs.yaml is damaged; moved to" in caplog.text
    (aside,) = folder.parent.glob("*.damaged-*")
    assert (aside / "half.txt").exists()


def test_an_attempt_whose_inputs_are_truncated_anywhere_is_set_aside_and_not_removed(
    step: StepMaker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is left of the file may be YAML that names no builds, or half of one: other inputs were read out of it."""

    def later() -> Step:
        return step(resume, {"gate": tmp_path / "gate"}, source=step(number=1))

    with pytest.raises(KeyboardInterrupt):
        build(later())
    inputs = later().folder / "inputs.yaml"
    text = inputs.read_text()
    (tmp_path / "gate").touch()
    for length in range(len(text)):
        inputs.write_text(text[:length])
        prepare(later(), {earlier.name: str(read_done(earlier).build) for earlier in [step(number=1)]})  # type: ignore[union-attr]
        (aside,) = inputs.parent.parent.glob("*.damaged-*")
        shutil.rmtree(inputs.parent)
        aside.rename(inputs.parent)
    assert len(caplog.messages) == len(text)
    assert all("its inputs.yaml is damaged; moved to" in message for message in caplog.messages)
    inputs.write_text(text)
    assert build(later()).counts == {"attempts": 2}  # whole: resumed


@pytest.mark.parametrize(
    "name", ["failed.txt", "provenance.json", "inputs.yaml", "partial.txt", ".result.txt.1.partial"]
)
def test_a_folder_in_the_place_of_a_file_of_an_attempt_is_named_and_set_aside_with_it(
    step: StepMaker, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    again = step(number=3)
    built = build(again)
    (built.path / "done").unlink()
    (built.path / name).unlink(missing_ok=True)
    (built.path / name).mkdir()
    assert build(again).build != built.build
    assert (again.folder / "result.txt").read_text() == "6"
    (aside,) = again.folder.parent.glob("*.damaged-*")
    assert (aside / name).is_dir()
    assert aside.name in caplog.text
    assert name in caplog.text


def test_what_a_stage_finds_in_its_way_is_not_moved_where_nothing_was_left(step: StepMaker) -> None:
    with pytest.raises(FileExistsError):
        build(step(making_twice, number=3))
    with pytest.raises(FileExistsError):  # after one try anew, of what the first has left
        build(step(making_twice, number=3))


def test_nobody_replaces_what_is_being_read(step: StepMaker, tmp_path: Path) -> None:
    build(step(number=1))
    gate = tmp_path / "gate"
    reader = threading.Thread(target=build, args=(step(number=2, source=step(number=1), beside={"slow": gate}),))
    reader.start()
    _wait_for(lambda: calls(tmp_path) == ["1", "2"])
    rebuilder = threading.Thread(target=build, args=(step(number=1),), kwargs={"rebuild": True, "command": "another"})
    rebuilder.start()
    rebuilder.join(0.3)
    assert read_done(step(number=1)) is not None
    gate.touch()
    for thread in (reader, rebuilder):
        thread.join(30)
    assert calls(tmp_path) == ["1", "2", "1"]
    assert read_done(step(number=2, source=step(number=1))) is None


def _build_in_process(root: Path, gate: Path) -> None:
    double_step = Step("double", "", "test", double, {"number": 7}, root, FileDigests(root / "d.json"), {"slow": gate})
    sys.exit(0 if (build(double_step).path / "result.txt").read_text() == "14" else 3)


def test_two_processes_that_want_the_same_build_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    gate = tmp_path / "gate"
    processes = [context.Process(target=_build_in_process, args=(tmp_path, gate)) for _ in range(2)]
    for process in processes:
        process.start()
    _wait_for(lambda: (tmp_path / "calls.txt").exists())
    gate.touch()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert calls(tmp_path) == ["7"]


def test_a_killed_builder_leaves_nothing_that_is_read_and_the_next_one_builds(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    gate = tmp_path / "gate"
    process = context.Process(target=_build_in_process, args=(tmp_path, gate))
    process.start()
    _wait_for(lambda: (tmp_path / "calls.txt").exists())
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join(60)
    gate.touch()
    same = Step("double", "", "test", double, {"number": 7}, tmp_path, FileDigests(tmp_path / "d.json"), {"slow": gate})
    assert read_done(same) is None
    assert (build(same).path / "result.txt").read_text() == "14"


def _wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def test_a_rebuild_that_fails_loses_nothing(step: StepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = build(step(number=3))

    def broken(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr("apm_exp.pipeline.build._written", broken)
    with pytest.raises(OSError, match="no room"):
        build(step(number=3), rebuild=True, command="another")
    kept = built.path.with_name(f"{built.path.name}.replaced")
    assert (kept / "result.txt").read_text() == "6"
    monkeypatch.undo()
    assert (build(step(number=3)).path / "result.txt").read_text() == "6"
    assert not kept.exists()


def editing(out: Path, *, node: dict[str, Any], edit: Callable[[], object]) -> dict[str, int]:
    """A stage during whose work a file of a setting, or of its component, is edited."""
    (out / "result.txt").write_text("made of something")
    edit()
    return {}


@pytest.mark.parametrize("where", ["data.jsonl", "weights/model.safetensors", "weights/new.json", "more-2.jsonl"])
def test_an_input_that_is_edited_while_a_step_reads_it_leaves_no_artifact(
    step: StepMaker, tmp_path: Path, where: str
) -> None:
    (tmp_path / "weights").mkdir()
    for name in ("data.jsonl", "weights/model.safetensors", "more-1.jsonl"):
        (tmp_path / name).write_text("old")
    paths = [str(tmp_path / name) for name in ("data.jsonl", "weights", "more-*.jsonl")]
    node = {"metric": {"path": paths}}
    one = step(editing, {"edit": lambda: (tmp_path / where).write_text("new")}, node=node)
    with pytest.raises(ValueError, match=r"^node\.metric\.path=.*data\.jsonl.*: was edited while .* run the command"):
        build(one)
    assert not one.folder.exists()
    (aside,) = one.folder.parent.glob("*.damaged-*")
    assert (aside / "result.txt").is_file()
    assert not (aside / "done").exists()
    assert build(step(editing, {"edit": lambda: None}, node=node)).key != one.key


def test_a_model_s_folder_that_is_edited_meanwhile_is_named(step: StepMaker, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_text("old")
    known = FileDigests(tmp_path / "digests.json")
    policy = Policy(weights, known.of_path(weights), "float32", "auto", False, local=True)
    one = step(ignore_policy, {"edit": lambda: (weights / "model.safetensors").write_text("new")}, policy=policy)
    with pytest.raises(ValueError, match=rf"^model\.path={weights}: was edited while"):
        build(one)


def ignore_policy(out: Path, *, policy: Policy, edit: Callable[[], object]) -> dict[str, int]:
    edit()
    return {}


def test_an_input_that_was_edited_before_a_step_begins_stops_it_before_its_work(
    step: StepMaker, tmp_path: Path
) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("old")
    one = step(editing, {"edit": lambda: pytest.fail("the stage was called")}, node={"path": str(data)})
    assert one.key
    for change in (lambda: data.write_text("new"), data.unlink):
        change()
        with pytest.raises(ValueError, match=rf"^node\.path={data}: was edited after this command read it"):
            build(one)
        assert not one.folder.exists()


def test_an_input_that_was_only_touched_is_no_other_one(step: StepMaker, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("same")
    assert build(step(editing, {"edit": lambda: os.utime(data, (1, 1))}, node={"path": str(data)})).key


def test_a_component_that_is_edited_meanwhile_leaves_no_artifact(
    step: StepMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "edited_meanwhile.py"
    source.write_text("def value(scores):\n    return scores\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("apm_exp.core.component._trusted_packages", {"edited_meanwhile"})
    node = {"_target_": "edited_meanwhile.value"}
    one = step(editing, {"edit": lambda: source.write_text("def value(scores):\n    return -scores\n")}, node=node)
    with pytest.raises(ValueError, match=r"^node\._target_=edited_meanwhile\.value: was edited while"):
        build(one)
    later = step(editing, {"edit": lambda: None}, node=node)  # its key has the new source, this process the old code
    with pytest.raises(ValueError, match=r"^node\._target_=edited_meanwhile\.value: was edited after this command"):
        build(later)


def test_what_a_step_follows_from(step: StepMaker) -> None:
    first, second, third = chain(step)
    both = step(ignore, policy=made_by(second), more={"earlier": first, "list": [first, third]})
    assert {one.key for one in lineage(both)} == {one.key for one in (both, first, second, third)}
    assert lineage(first) == [first]
