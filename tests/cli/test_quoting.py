"""Paths with characters that Hydra's grammar keeps for itself are quoted for the user."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from apm_exp.cli.arguments import prepare
from apm_exp.cli.quoting import typed_form

NAMES = (
    *("a b.jsonl", "a;b.jsonl", "a~b.jsonl", "a+b.jsonl", "\u00e9.jsonl", "\u65e5\u672c.jsonl", "run=3/a.jsonl"),
    *("[x]/a.jsonl", "a'b.jsonl", 'a"b.jsonl', "a,b.jsonl", "a{b}.jsonl", "a(b).jsonl", "a#b.jsonl", "a\\b.jsonl"),
    *(" lead.jsonl", "trail.jsonl ", "123", "1e5", "null", "true", "plain.jsonl"),
)


def values(override: str) -> object:
    parsed = OverridesParser.create().parse_override(override)
    return list(parsed.sweep_iterator()) if parsed.is_sweep_override() else parsed.value()


def text(value: object) -> str:
    return str(getattr(value, "text", value))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_there_needs_no_quotes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).touch()
    for flags in ([], ["-m"]):
        (override,) = prepare([*flags, f"dataset.path={name}"])[len(flags) :]
        assert text(values(override)) == name


def test_several_files_are_the_values_of_a_multirun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a b", "c+d"):
        Path(name).touch()
    (_, override) = prepare(["-m", "dataset.path=a b,c+d"])
    found = values(override)
    assert isinstance(found, list)
    assert list(map(text, found)) == ["a b", "c+d"]


def test_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.jsonl").touch()
    assert prepare(["dataset.path=~/a.jsonl"]) == [f"dataset.path={tmp_path}/a.jsonl"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("dataset.path=~/none.jsonl", "dataset.path=/home/me/none.jsonl"),
        ("dataset.path=[~/a.jsonl,~/b.jsonl]", "dataset.path=[/home/me/a.jsonl,/home/me/b.jsonl]"),
        ("output_root=~", "output_root=/home/me"),
        ("dataset.path=a~/b.jsonl", "dataset.path=a~/b.jsonl"),
        ("dataset.path=~no_such_user/x.jsonl", "dataset.path='~no_such_user/x.jsonl'"),
        ("model.path='~/sft'", "model.path='~/sft'"),
    ],
)
def test_a_path_below_the_home_folder_is_written_out(typed: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that does not exist, so that the message is about the path, not about Hydra's grammar."""
    monkeypatch.setenv("HOME", "/home/me")
    assert prepare([typed]) == [meant]


@pytest.mark.parametrize(
    "override",
    ["seed=1", "alpha=1,2", "dataset.path=absent;file", "evals=[a,b]", "+trainer.args.x={a: 1}", "a='b c'", "~x"],
)
def test_the_rest_stays_as_it_is(override: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert prepare(["-m", override]) == ["-m", override]


@pytest.mark.parametrize(
    ("override", "form"),
    [
        ("dataset.path=no;such.jsonl", "\"dataset.path='no;such.jsonl'\""),
        ("dataset.path=a$b c", "'dataset.path='\"'\"'a$b c'\"'\"''"),
        ("output_root=x", '"output_root=x"'),
    ],
)
def test_what_to_type(override: str, form: str) -> None:
    assert typed_form(override) == form
