from pathlib import Path

import huggingface_hub
import pytest

from apm_exp.core.digest import FileDigests
from apm_exp.models import pretrained as module
from apm_exp.models.pretrained import commit_of, folder_of, is_here, pretrained
from apm_exp.pipeline.resolve import starting_policy
from tests.conftest import COMMIT

LOADING = {"dtype": "auto", "attention": "auto", "trust_remote_code": False, "chat_template": None}


def test_local_folder_is_returned_as_it_is(tmp_path, monkeypatch):
    assert pretrained(path=str(tmp_path), revision=None, **LOADING) == tmp_path
    monkeypatch.chdir(tmp_path.parent)
    assert str(pretrained(path=tmp_path.name, revision=None, **LOADING)) == tmp_path.name


def test_local_folder_has_no_revision(tmp_path):
    with pytest.raises(ValueError, match=r"model\.revision=main: .* is a local folder; set model\.revision=null"):
        pretrained(path=str(tmp_path), revision="main", **LOADING)
    assert commit_of(tmp_path) is None


@pytest.mark.parametrize(
    "name",
    [
        "snapshots/step100",
        f"snapshots/{'0a' * 20}",
        "models--owner--model/snapshots/step100",
        f"models--owner--model/snapshots/{'0a' * 20}/step100",
        f"datasets--owner--rows/snapshots/{'0a' * 20}",
    ],
)
def test_a_folder_of_the_users_own_is_no_commit_whatever_its_name(name):
    assert commit_of(Path(name)) is None


def test_replaced_weights_in_a_folder_called_snapshots_are_other_weights(tmp_path):
    folder = tmp_path / "snapshots" / "step100"
    folder.mkdir(parents=True)
    node = {"_target_": "apm_exp.models.pretrained.pretrained", "path": str(folder), "revision": None, **LOADING}
    config = {"task": "run", "model": node | {"dtype": "float32"}, "runtime": {}}
    keys = []
    for weights in ("first", "second"):
        (folder / "model.safetensors").write_text(weights)
        keys.append(starting_policy(config, None, FileDigests(tmp_path / "digests.json")).key)
    assert keys[0] != keys[1]


@pytest.mark.parametrize("group", ["model", "reward"])
def test_a_folder_with_an_adapter_beside_the_model_is_refused(tmp_path, group):
    (tmp_path / "adapter_config.json").write_text("{}")
    assert folder_of(group, str(tmp_path), None, False) == tmp_path  # an adapter alone: preflight names it
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=rf"^{group}\.path={tmp_path}: the folder has an adapter, .* merge it"):
        folder_of(group, str(tmp_path), None, False)


def test_a_snapshot_with_an_adapter_beside_the_model_is_refused(tmp_path, monkeypatch):
    for name in ("config.json", "adapter_config.json"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setattr(module, "_snapshot", lambda *given: tmp_path)
    with pytest.raises(ValueError, match=r"^model\.path=owner/name: the folder has an adapter"):
        pretrained(path="owner/name", revision=None, **LOADING)


@pytest.mark.parametrize("path", ["./missing", "/no/such/folder", "a/b/c", "~/missing-model", ""])
def test_missing_folder_is_an_error(path):
    with pytest.raises(ValueError, match=rf"^model\.path={path}: no such folder; set a Hugging Face model folder"):
        pretrained(path=path, revision=None, **LOADING)


def test_file_is_no_folder(tmp_path):
    (tmp_path / "model.gguf").touch()
    with pytest.raises(ValueError, match="no such folder"):
        pretrained(path=str(tmp_path / "model.gguf"), revision=None, **LOADING)


def test_cached_hub_model_needs_no_network(offline_cache):
    assert pretrained(path="owner/model", revision=None, **LOADING) == offline_cache
    assert pretrained(path="owner/model", revision=COMMIT, **LOADING) == offline_cache
    assert commit_of(offline_cache) == COMMIT
    assert is_here(path="owner/model", revision=None)
    assert not is_here(path="owner/other", revision=None)


@pytest.mark.usefixtures("offline_cache")
def test_hub_model_that_is_not_there_is_one_line():
    with pytest.raises(ValueError, match=r"^reward\.path=owner/other: .*`hf download owner/other`$") as error:
        folder_of("reward", "owner/other", None, False)
    assert "\n" not in str(error.value)


def test_only_weights_tokenizer_and_settings_are_fetched(monkeypatch, tmp_path):
    asked = []

    def snapshot_download(name, **settings):
        asked.append((name, settings["revision"], settings["allow_patterns"]))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    module._snapshot.cache_clear()
    for trust in (False, False, True):
        assert folder_of("model", "owner/model", "main", trust) == tmp_path
    module._snapshot.cache_clear()
    weights = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "README.md"]
    assert asked == [("owner/model", "main", weights), ("owner/model", "main", [*weights, "*.py"])]  # asked once each
