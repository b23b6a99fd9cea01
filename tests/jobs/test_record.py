import os

from apm_exp.jobs.record import point


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
