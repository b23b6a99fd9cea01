import logging

import pytest
from omegaconf import OmegaConf

from apm_exp.training.unfinished import say_unfinished

INPUTS = {"logps": {"artifact": "a" * 64}, "loss": {"beta": 0.1, "_source_": "b" * 64}, "seed": 0}


@pytest.fixture
def folder(tmp_path):
    """Makes a step's folder, with a checkpoint unless it is to be `begun` only."""

    def folder(name, *, begun=False, **changes):
        out = tmp_path / name
        (out if begun else out / "checkpoints").mkdir(parents=True)
        OmegaConf.save({"stage": "train", "version": 3, "inputs": INPUTS | changes}, out / "inputs.yaml")
        return out

    return folder


def test_what_differs_from_an_unfinished_training_is_said(folder, caplog):
    caplog.set_level(logging.INFO)
    other = folder("dpo-map-ab12cd34", loss=INPUTS["loss"] | {"beta": 0.5}, logps={"artifact": "c" * 64})
    folder("dpo-map-alpha1-ab12cd34")  # of another slug
    (folder("dpo-map-11111111") / "done").touch()
    say_unfinished(folder("dpo-map-22222222", begun=True))
    said = (
        f"not resuming {other}, which is unfinished, because its inputs differ: another logps, loss.beta=0.5 (now 0.1)"
    )
    assert [record.getMessage() for record in caplog.records] == [said]


def test_a_training_that_goes_on_and_one_that_is_the_first_say_nothing(folder, caplog):
    caplog.set_level(logging.INFO)
    say_unfinished(folder("simpo-22222222", begun=True))
    folder("dpo-map-ab12cd34", seed=1)
    say_unfinished(folder("dpo-map-22222222"))
    assert not caplog.records


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"inputs: {", b"version: 3\ninputs: 7\n"])
def test_damaged_inputs_of_another_training_stop_nothing(folder, caplog, content):
    caplog.set_level(logging.INFO)
    other = folder("dpo-ab12cd34")
    (other / "inputs.yaml").write_bytes(content)
    say_unfinished(folder("dpo-22222222", begun=True))
    assert f"{other}, which is unfinished, because its inputs differ: inputs.yaml=damaged (now None)" in caplog.text


def test_of_many_differences_some_are_shown(folder, caplog):
    caplog.set_level(logging.INFO)
    folder("dpo-ab12cd34", loss={"beta": 0.1, "_source_": "c" * 64}, one=1, two=2, three=3, four=4)
    say_unfinished(folder("dpo-22222222", begun=True))
    assert (
        "differ: another source of loss, one=1 (now None), two=2 (now None), three=3 (now None) and 1 more\n"
        in caplog.text
    )
