import pytest

from apm_exp.training.checkpoints import keep_newest, mark_complete, newest_complete

HOW = {"zero_stage": None, "processes": 1}


@pytest.fixture
def folder(tmp_path):
    """Complete checkpoints of steps 2, 4 and 10."""
    for step in (10, 2, 4):
        checkpoint = tmp_path / f"checkpoint-{step}"
        (checkpoint / "inner").mkdir(parents=True)
        (checkpoint / "inner" / "weights").write_bytes(b"weights")
        mark_complete(checkpoint, HOW)
    return tmp_path


def test_the_one_with_the_most_steps_is_the_newest(folder):
    assert newest_complete(folder, HOW).name == "checkpoint-10"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda c: (c / "COMPLETE").unlink(), "half-written"),
        (lambda c: (c / "COMPLETE").write_text('{"how":'), "half-written"),
        (lambda c: (c / "inner" / "weights").write_bytes(b"wei"), "lost files or parts"),
        (lambda c: (c / "inner" / "weights").unlink(), "lost files or parts"),
    ],
)
def test_a_damaged_one_is_skipped_with_a_warning(folder, damage, says, caplog):
    damage(folder / "checkpoint-10")
    assert newest_complete(folder, HOW).name == "checkpoint-4"
    assert says in caplog.text
    assert not (folder / "checkpoint-10").exists()


def test_one_that_was_made_in_another_way_is_not_gone_on_from(folder, caplog):
    assert newest_complete(folder, {"zero_stage": 2, "processes": 1}) is None
    assert "'zero_stage': None" in caplog.text


def test_no_folder_no_checkpoint(tmp_path):
    assert newest_complete(tmp_path / "checkpoints", HOW) is None


def test_older_ones_go(folder):
    keep_newest(folder, 1)
    assert [path.name for path in folder.iterdir()] == ["checkpoint-10"]
    keep_newest(folder, 0)
    assert not folder.exists()
