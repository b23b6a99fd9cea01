"""What is published names no folder of the machine."""

import pytest

from apm_exp.report.redact import public_command, replay_command


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("dataset.path=/home/me/my_pairs.jsonl", "dataset.path=my_pairs.jsonl"),
        ("dataset.path=~/my_pairs.jsonl", "dataset.path=my_pairs.jsonl"),
        ("'dataset.path=[/data/run=3/a.jsonl,/data/b.jsonl]'", "'dataset.path=[a.jsonl,b.jsonl]'"),
        ("--config-dir /home/me/my_conf", "--config-dir my_conf"),
        ("model.path=./sft dataset.path=owner/name", "model.path=./sft dataset.path=owner/name"),
        ("'trainer.args={a:0.5}'", "'trainer.args={a:0.5}'"),
    ],
)
def test_of_an_absolute_path_the_last_part_is_left(typed, shown):
    assert public_command(f"python -m apm_exp {typed}") == f"python -m apm_exp {shown}"


def test_a_path_with_spaces_loses_all_of_its_folders():
    command = public_command("""python -m apm_exp "dataset.path='/home/me/my pairs/a b.jsonl'" """)
    assert command.endswith("""'dataset.path='"'"'a b.jsonl'"'"''""")


def test_the_replay_keeps_everything_but_the_rule():
    made = "python -m apm_exp keep=top_k keep.k=5 +keep.x=1 output_root=/tmp/o rebuild=all metric=map alpha=2"
    assert replay_command(made, "HERE") == "python -m apm_exp metric=map alpha=2 keep=ids keep.path=HERE"
