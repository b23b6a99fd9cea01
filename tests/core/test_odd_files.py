import os
import socket

import pytest

from apm_exp.core.odd_files import refuse_odd_files
from apm_exp.data.sources.source_files import files_of


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path / "model"


def pipe(path):
    os.mkfifo(path)


def link(path):
    path.symlink_to("nowhere")


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(("make", "kind"), [(pipe, "a named pipe"), (link, "a broken link"), (a_socket, "a socket")])
def test_what_is_no_file_in_a_folder_is_named_and_never_opened(folder, make, kind):
    refuse_odd_files({"model": {"_target_": "x", "path": str(folder)}})
    make(folder / "x")
    for group in ("model", "reward", "dataset", "keep"):
        with pytest.raises(ValueError, match="not a regular file") as caught:
            refuse_odd_files({group: {"_target_": "x", "path": str(folder)}})
        remedy = "remove it or set another path"
        assert str(caught.value) == f"{group}.path={folder}: {folder}/x is {kind}, not a regular file; {remedy}"

    nested = {"reward": {"_target_": "x", "sources": {"one": {"_target_": "x", "path": str(folder)}}}}
    with pytest.raises(ValueError, match=rf"^reward\.sources\.one\.path=.*: {folder}/x is {kind}, not a regular file"):
        refuse_odd_files(nested)


def test_a_pipe_as_data_or_as_a_template_is_named(folder):
    pipe(folder / "p.jsonl")
    with pytest.raises(
        ValueError, match=rf"dataset\.path={folder}/p\.jsonl: is a named pipe, not a regular file; write its"
    ):
        files_of(str(folder / "p.jsonl"))
    with pytest.raises(ValueError, match=r"model\.chat_template=.*: .*/p\.jsonl is a named pipe, not a regular file"):
        refuse_odd_files({"model": {"_target_": "x", "path": None, "chat_template": str(folder / "p.jsonl")}})


def test_links_to_files_and_what_no_key_knows_are_fine(folder):
    (folder / "link.json").symlink_to(folder / "config.json")
    (folder / ".cache").mkdir()
    pipe(folder / ".cache" / "lock")
    refuse_odd_files({"model": {"_target_": "x", "path": str(folder)}})
