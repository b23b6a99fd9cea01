import os

from apm_exp.core.sealed import write_sealed
from apm_exp.jobs.run_record import point, say_of_an_earlier_version


def test_a_link_is_moved_and_a_folder_in_its_place_is_set_aside(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    link = tmp_path / "latest"
    for name in ("first", "second"):
        point(link, tmp_path / name)
        assert os.readlink(link) == name
    link.unlink()
    link.mkdir()
    (link / "result.json").touch()
    point(link, tmp_path / "first")
    assert os.readlink(link) == "first"
    (aside,) = tmp_path.glob("latest.damaged-*")
    assert (aside / "result.json").exists()


def test_outputs_of_an_earlier_version_are_named_once_and_left_alone(tmp_path, caplog):
    """A record whose steps had no states yet."""
    latest = tmp_path / "runs" / "latest"
    latest.mkdir(parents=True)
    with caplog.at_level("INFO"):
        say_of_an_earlier_version(tmp_path)
        write_sealed({"steps": {"policy": {"key": "k", "state": "done"}}}, latest / "result.json")
        say_of_an_earlier_version(tmp_path)
        assert caplog.messages == []
        write_sealed({"steps": {"policy": {"key": "k", "reused": False}}}, latest / "result.json")
        say_of_an_earlier_version(tmp_path)
    expected = f"{tmp_path}: was written by an earlier version; steps are rebuilt, and nothing is deleted"
    assert caplog.messages == [expected]
