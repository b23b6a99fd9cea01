"""A license is what a card says it is, and unknown without one."""

import pytest

from apm_exp.report.export.license import UNKNOWN, license_of, words

CARD = "---\nlicense: other\nlicense_name: gemma\nlicense_link: LICENSE\ntags: [a]\n---\n# Title\n"


def test_beside_a_file_above_its_data_folder_and_in_a_folder(tmp_path):
    (tmp_path / "data").mkdir()
    rows = tmp_path / "data" / "train.jsonl"
    rows.touch()
    assert license_of(str(rows), "dataset", None) == UNKNOWN
    (tmp_path / "README.md").write_text(CARD)
    expected = {"license": "other", "license_name": "gemma", "license_link": "LICENSE"}
    for path in (str(rows), [str(tmp_path / "data" / "*.jsonl")], str(tmp_path)):
        assert license_of(path, "dataset", None) == expected
    (tmp_path / "data" / "README.md").write_text("---\nlicense: [mit, cc-by-4.0]\n---\n")
    assert words(license_of(str(rows), "dataset", None)) == "mit, cc-by-4.0"
    assert words(expected) == "other (gemma, LICENSE)"


@pytest.mark.parametrize(
    "card", ["no metadata", "---\ntags: [a]\n---\n", "---\n{: broken\n---\n", "---\n- list\n---\n"]
)
def test_a_card_without_one_is_unknown(tmp_path, card):
    (tmp_path / "README.md").write_text(card)
    assert license_of(str(tmp_path), "model", None) == UNKNOWN


def test_of_a_hub_name_it_is_read_from_the_cache(tmp_path, monkeypatch):
    snapshot = tmp_path / "datasets--owner--name" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "README.md").write_text("---\nlicense: mit\n---\n")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert license_of("owner/name", "dataset", "a" * 40) == {"license": "mit"}
    assert license_of("owner/name", "model", "a" * 40) == UNKNOWN
    assert license_of("not a name/at all", "model", None) == UNKNOWN
    assert license_of(None, "model", None) == UNKNOWN
