"""The report on a run: its numbers against numbers made by hand, and what the page may never do."""

import base64
import hashlib
import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from apm_exp.pipeline.stages.report import report
from apm_exp.report.render import NONE
from apm_exp.report.run.explorer.section import script
from tests.report.finished_run import IMPLICIT, finished_run, score, write_evaluation

ATTACK = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m"
VOID = {"meta", "link", "br", "wbr", "img", "input"}


class Outline(HTMLParser):
    """Open elements at the end, and every (element, attributes)."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    assert parser.open == []
    return parser


def text_of(page: str) -> str:
    """What a reader sees, on one line."""
    body = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).replace(NONE, "none").split())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    counts = report(root, **finished_run(root / "artifacts", texts=ATTACK))
    page = (root / "report.html").read_text()
    assert counts == {"figures": 11, "bytes": (root / "report.html").stat().st_size}
    return page


def test_the_headline_has_its_error_interval_and_n(page: str) -> None:
    # 0.675 +- 0.0234 with the interval +- 1.96 standard errors: 0.6291 to 0.7209.
    assert "67.5% ± 2.3 95% interval 62.9% to 72.1%, n = 400" in text_of(page)


def test_the_starting_policy_stands_beside_the_scores(page: str) -> None:
    # 12.5 +- 1.96 * 0.31 and 11.5 +- 1.96 * 0.29.
    row = "length 12.50 0.31 11.89 to 13.11 400 11.50 ± 0.29 10.93 to 12.07, n = 400 tokens"
    assert row in text_of(page)


def test_what_was_done_is_one_sentence(page: str) -> None:
    text = text_of(page)
    assert "Of 10 training pairs from my/pairs.jsonl , scored with the starting policy tiny-sft" in text
    assert "the metric map (alpha 0.5, rescale false) with the rule top_fraction (fraction 0.4) kept 4 (40.0%)" in text
    assert "dpo (beta 0.1) : learning rate 5e-07, 128 pairs per optimizer step, 1 epoch" in text
    assert "Settings: documented defaults of dpo." in text


def test_how_many_kept_pairs_rounding_could_replace_is_said(page: str) -> None:
    assert "Rounding of the log-probabilities could replace at most 3 of the kept pairs." in text_of(page)


def test_there_is_a_blank_between_two_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.report.finished_run.EXPLICIT_MARGINS", [-2.0, -1.0, 0.0, *range(4, 11)])
    report(tmp_path, **finished_run(tmp_path / "artifacts"))
    text = text_of((tmp_path / "report.html").read_text())
    first = "the starting policy's preference (log-probabilities per token). In 2 pairs, 0 of them kept,"
    assert f"{first} the reward prefers the rejected response. In 1 pair both rewards are equal." in text


def test_overlap_and_lengths_are_those_counted_by_hand(page: str) -> None:
    text = text_of(page)
    # Kept by map: pairs 1 to 4. Explicit keeps 0 to 3; by chance 1.6 / 6.4.
    assert "map (this run) 4 4 (100.0%) 1.00 none 6.500 0.225" in text
    assert "explicit 4 3 (75.0%) 0.60 0.25 7.500 2.450" in text
    # Lengths of pairs 1 to 4: chosen 20 30 40 50, rejected 10 20 50 40; differences 10 10 -10 10.
    assert "kept 4 35.0 30.0 +5.0 ± 5.0 75.0%" in text
    # The others: chosen 10 60 70 80 90 100, rejected 10 60 60 70 100 90; differences 0 0 10 10 -10 10.
    assert "not kept 6 68.3 65.0 +3.3 ± 3.3 50.0%" in text
    assert "all 10 55.0 51.0 +4.0 ± 2.7 60.0%" in text


def test_refused_rows_are_counted_by_reason(page: str) -> None:
    text = text_of(page)
    assert "3 refused. reason rows empty response 2 not JSON 1" in text
    assert "pairs.jsonl:7 not JSON <b>bold</b>" in text
    assert "Tokenizing and scoring None." in text


def test_cost_is_seconds_of_each_artifact(page: str) -> None:
    # rewards 2.5, logps 12, selection 0.5; training 30.
    assert "took 15.0 s, training 30.0 s: 0.50 seconds of scoring" in text_of(page)


def test_what_an_evaluations_judge_took_is_no_scoring(tmp_path: Path) -> None:
    arguments = finished_run(tmp_path / "artifacts")
    for name in ("rewards.win_rate", "rewards.win_rate-starting"):
        arguments["steps"][name] = replace(arguments["steps"]["rewards"], key=name, seconds=100.0)
    arguments["steps"]["rewards.responses"] = replace(arguments["steps"]["rewards"], key="of responses", seconds=3.0)
    report(tmp_path, **arguments)
    assert "took 18.0 s, training 30.0 s" in text_of((tmp_path / "report.html").read_text())


def test_of_several_selections_and_trainings_the_page_says_which_it_shows(tmp_path: Path, page: str) -> None:
    assert "This page shows the last ones" not in text_of(page)
    arguments = finished_run(tmp_path / "artifacts")
    steps = arguments["steps"]
    last = {f"{kind}.2": steps.pop(kind) for kind in ("selection", "policy")}
    first = {f"selection.1{part}": replace(last["selection.2"], key=part) for part in ("", "-evolved")}
    first["policy.1"] = replace(last["policy.2"], key="first")
    report(tmp_path, **arguments | {"steps": steps | first | last})
    text = text_of((tmp_path / "report.html").read_text())
    said = "The run has 3 selections and 2 trainings. This page shows the last ones: selection.2 , policy.2 ."
    assert said in text
    assert "scored with a policy that began as tiny-sft" in text


def test_the_run_can_be_repeated_from_the_page(page: str) -> None:
    text = text_of(page)
    assert "python -m apm_exp dataset=jsonl dataset.path=my/pairs.jsonl" in text
    assert "python -m apm_exp task=export run=the-run" in text
    assert "_target_: apm_exp.selection.metrics.map.alignment_potential" in text
    assert "commit 0123abc with uncommitted changes (2 lines of diff)" in text
    assert "torch 2.13.0, trl 1.16.0" in text


def test_examples_show_both_sides_of_the_cut(page: str) -> None:
    # Values: 7.9, 6.8, 5.9, 4.95 (pairs 1 to 4) | 4.5 (pair 0), 2.85 (6), ... -0.5 (5).
    heads = re.findall(r"<summary>p .*? (\d)\s.*?value ([^ ]+) ", page, flags=re.DOTALL)
    order = [number for number, _ in heads]
    assert order == ["1", "2", "3", "4", "0", "6", "9", "5"]
    assert heads[4][1] == "4.500"
    assert heads[-1][1] == "\N{MINUS SIGN}0.500"


def test_examples_show_all_fields_of_messages_and_the_tools(page: str) -> None:
    for name, text in (
        ("reasoning_content", "as I see &lt;it&gt;"),
        ("tool_calls", html.escape('[{"function": {"name": "look"}}]')),
        ("tools", html.escape('[{"name": "look"}]')),
    ):
        shown = html.unescape(f'<p class="role">{name}</p><pre>{text}</pre>')
        assert html.unescape(page).count(shown) == 8, name


def test_texts_are_escaped(page: str) -> None:
    (ours,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert page.count("<script") == page.count("</script") == 1
    assert ours == script()
    digest = base64.b64encode(hashlib.sha256(ours.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'\"" in page
    assert "<img" not in page
    assert html.escape(ATTACK.replace("\x1b", r"\x1b")) in page
    assert "\x1b" not in page
    assert {tag for tag, _ in outline(page).elements} & {"img", "iframe", "object"} == set()


def test_the_page_asks_for_nothing_outside_itself(page: str) -> None:
    assert "http" not in page.replace("http-equiv", "")
    assert "@import" not in page
    for _, attributes in outline(page).elements:
        for name in ("src", "href", "action", "srcset", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,"))
        assert not any(name.startswith("on") for name in attributes)


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    elements = outline(page).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(attributes["href"])[1:] for tag, attributes in elements if tag == "a"}
    assert links <= set(ids)


def test_figures_and_tables_say_what_they_are(page: str) -> None:
    elements = [tag for tag, _ in outline(page).elements]
    assert elements.count("figure") == elements.count("figcaption") == elements.count("svg") == 11
    assert elements.count("table") == elements.count("thead")
    assert all(attributes["aria-label"] for tag, attributes in outline(page).elements if tag == "svg")
    assert re.search(r'<html lang="en">.*<title>map \(alpha 0.5\) with dpo', page, flags=re.DOTALL)


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    arguments = finished_run(tmp_path / "artifacts")
    pages = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        report(tmp_path / name, **arguments)
        pages.append((tmp_path / name / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_without_rewards_one_sentence_replaces_the_scatter(tmp_path: Path) -> None:
    arguments = finished_run(tmp_path / "artifacts", with_rewards=False)
    arguments["config"] = {**arguments["config"], "metric": IMPLICIT}
    assert report(tmp_path, **arguments)["figures"] == 10
    text = text_of((tmp_path / "report.html").read_text())
    assert "These pairs have no rewards, so there is no explicit margin" in text
    assert "explicit not computed: this metric needs rewards, and the pairs have none" in text
    assert "implicit (this run) 4" in text


def test_without_evaluations_the_page_says_so(tmp_path: Path) -> None:
    arguments = finished_run(tmp_path / "artifacts")
    report(tmp_path, **{**arguments, "steps": arguments["shown"]})
    assert text_of((tmp_path / "report.html").read_text()).count("This run was not evaluated") == 2


def test_an_evaluation_without_scores_says_so(tmp_path: Path) -> None:
    arguments = finished_run(tmp_path / "artifacts")
    arguments["steps"]["evaluation.held_out_pairs"] = write_evaluation(tmp_path, "held_out_pairs", {})
    report(tmp_path, **arguments)
    assert "held_out_pairs No scores" in text_of((tmp_path / "report.html").read_text())


def test_signs_of_collapse_stand_at_the_top(tmp_path: Path, page: str) -> None:
    assert "collapsed" not in text_of(page)
    arguments = finished_run(tmp_path / "artifacts")
    log = arguments["shown"]["policy"].path / "metrics.jsonl"
    log.write_text(log.read_text() + '{"step": 13, "collapse": ["the mean reward margin is 99.0 (more than 20)"]}\n')
    scores = {"length": score(12.5, 0.3, 400, "tokens"), "starting_length": score(6.1, 0.3, 400, "tokens")}
    arguments["steps"]["evaluation.win_rate"] = write_evaluation(tmp_path, "win_rate", scores)
    report(tmp_path, **arguments)
    text = text_of((tmp_path / "report.html").read_text())
    assert "from optimizer step 13: the mean reward margin is 99.0 (more than 20)" in text
    assert "win_rate: the responses are 12.5 tokens long, the starting policy's 6.1" in text
