from types import SimpleNamespace

import pytest

from apm_exp.training.callbacks.checkpoints import (
    MarkComplete,
    how_made,
    keep_newest,
    leave_newest,
    mark_complete,
    newest_complete,
)

HOW = how_made(None, 1)


@pytest.fixture
def folder(tmp_path):
    """Complete checkpoints of steps 2, 4 and 10."""
    for step in (10, 2, 4):
        checkpoint = tmp_path / f"checkpoint-{step}"
        (checkpoint / "inner").mkdir(parents=True)
        (checkpoint / "inner" / "weights").write_bytes(b"weights")
        (checkpoint / "trainer_state.json").write_text(f'{{"global_step": {step}}}')
        mark_complete(checkpoint, HOW)
    return tmp_path


def test_the_one_with_the_most_steps_is_the_newest(folder):
    assert newest_complete(folder, HOW).name == "checkpoint-10"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda c: (c / "COMPLETE").write_text('{"how":'), "COMPLETE is damaged"),
        (lambda c: (c / "COMPLETE").write_text("[]"), "COMPLETE is damaged"),
        (lambda c: edit(c / "COMPLETE", b'"zero_stage": null', b'"zero_stage": 2'), "COMPLETE is damaged"),
        (lambda c: edit(c / "inner" / "weights", b"weights", b"wei"), "inner/weights has changed"),
        (lambda c: edit(c / "inner" / "weights", b"weights", b"weighty"), "inner/weights has changed"),
        (lambda c: edit(c / "trainer_state.json", b"10", b"11"), "trainer_state.json has changed"),
        (lambda c: (c / "inner" / "weights").unlink(), "inner/weights is missing"),
    ],
)
def test_a_damaged_one_is_named_and_set_aside_and_the_one_before_is_used(folder, damage, says, caplog):
    damage(folder / "checkpoint-10")
    assert newest_complete(folder, HOW).name == "checkpoint-4"
    assert f"checkpoint-10: {says}" in caplog.text
    assert (folder / "damaged-checkpoint-10").is_dir()
    assert newest_complete(folder, HOW).name == "checkpoint-4"
    keep_newest(folder, 1)
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-4", "damaged-checkpoint-10"]
    leave_newest(folder, 0)
    assert not folder.exists()


def edit(path, old, new):
    path.write_bytes(path.read_bytes().replace(old, new))


def test_a_half_written_one_is_removed(folder, caplog):
    (folder / "checkpoint-10" / "COMPLETE").unlink()
    assert newest_complete(folder, HOW).name == "checkpoint-4"
    assert "checkpoint-10 is incomplete" in caplog.text
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-2", "checkpoint-4"]


def test_another_number_of_processes_goes_on_from_whole_states(folder):
    assert newest_complete(folder, how_made(None, 4)).name == "checkpoint-10"


def test_one_that_was_made_in_another_way_stays_and_the_error_says_which(folder):
    with pytest.raises(ValueError, match=r"^deepspeed=zero2 runtime.processes=4: .*10 was made with deepspeed=none;"):
        newest_complete(folder, how_made(2, 4))
    mark_complete(folder / "checkpoint-10", how_made(2, 2))
    with pytest.raises(
        ValueError, match=r"deepspeed=zero2 runtime.processes=2; .* or remove .* start from the beginning"
    ):
        newest_complete(folder, how_made(2, 4))
    assert (folder / "checkpoint-10").exists()


def test_no_folder_no_checkpoint(tmp_path):
    assert newest_complete(tmp_path / "checkpoints", HOW) is None


def test_older_ones_go(folder):
    keep_newest(folder, 1)
    assert [path.name for path in folder.iterdir()] == ["checkpoint-10"]
    keep_newest(folder, 0)
    assert not folder.exists()


def test_while_a_training_goes_on_the_one_before_stays(folder):
    state = SimpleNamespace(is_world_process_zero=True, global_step=12)
    (folder / "checkpoint-12").mkdir()
    MarkComplete((), HOW, keep=0).on_save(SimpleNamespace(output_dir=str(folder)), state, None)
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-10", "checkpoint-12"]
