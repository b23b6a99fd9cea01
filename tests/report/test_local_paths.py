"""Folders of the machine are taken out of texts, wherever they begin a path, and nothing else is."""

from pathlib import Path

from apm_exp.report.redact import local_folders, without_folders

CONFIG = {
    "dataset": {"path": ["/data/ours/2026/*.jsonl", "relative/pairs.jsonl"]},
    "model": {"path": "/home/me/r&d/sft", "name": "owner/name"},
    "alpha": 1.0,
}
COMMAND = "python -m apm_exp --config-dir /etc/ours/conf 'output_root=/scratch/me/outputs'"


def test_a_configuration_keeps_the_last_part_of_its_paths() -> None:
    assert without_folders(CONFIG, local_folders(CONFIG, COMMAND)) == {
        "dataset": {"path": [".../*.jsonl", "relative/pairs.jsonl"]},
        "model": {"path": ".../sft", "name": "owner/name"},
        "alpha": 1.0,
    }


def test_a_page_keeps_its_links_and_images() -> None:
    folders = local_folders(CONFIG, COMMAND)
    page = f'<td>/data/ours/2026/a.jsonl:3</td><a href="https://x.org/data/ours/2026/a">{Path.cwd()}/b</a>'
    page += '<img src="data:image/png;base64,A/scratch/me/B"> output_root=/scratch/me/outputs /home/me/r&amp;d/sft/x'
    assert without_folders(page, folders) == (
        '<td>.../a.jsonl:3</td><a href="https://x.org/data/ours/2026/a">.../b</a>'
        '<img src="data:image/png;base64,A/scratch/me/B"> output_root=.../outputs .../sft/x'
    )
