"""The page of a run that stopped at its selection: what its pairs say, and nothing of a training."""

from pathlib import Path

from apm_exp.pipeline.stages.report import report
from tests.pipeline.stages.test_report import outline, text_of
from tests.report.finished_run import finished_run


def test_a_run_that_stopped_at_its_selection_has_a_page_without_training(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "artifacts")
    del run["steps"]["policy"], run["steps"]["evaluation.win_rate"], run["shown"]["policy"]
    report(tmp_path, **run)
    page = (tmp_path / "report.html").read_text()
    headings = [attrs["id"] for name, attrs in outline(page).elements if name == "h2" and "id" in attrs]
    assert headings == ["selection", "explorer", "lengths", "examples", "refused", "cost", "reproduce"]
    linked = [attrs["href"] for name, attrs in outline(page).elements if name == "a"]
    assert [f"#{heading}" for heading in headings] == [link for link in linked if str(link)[1:] in headings]
    text = text_of(page)
    assert "kept 4 (40.0%). Nothing was trained: the run stopped at its selection." in text
    assert "with dpo" not in text
    assert "not evaluated" not in text
