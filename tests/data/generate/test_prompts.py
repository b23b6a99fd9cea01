from apm_exp.data.generate.prompts import read_prompts
from apm_exp.data.sources.rows import SourceRow


def rows(*contents):
    return [SourceRow(f"f:{line}", content, None) for line, content in enumerate(contents, 1)]


def user(text):
    return {"role": "user", "content": text}


def test_text_messages_and_pairs_all_have_a_prompt():
    system = {"role": "system", "content": "Be brief."}
    chosen, rejected = ([user("c"), {"role": "assistant", "content": text}] for text in ("1", "2"))
    answers = {"chosen": chosen, "rejected": rejected}
    found = read_prompts(rows({"prompt": "a"}, {"prompt": [system, user("b")], "prompt_id": "mine"}, answers))
    assert [prompt.messages for prompt in found.accepted] == [[user("a")], [system, user("b")], [user("c")]]
    assert [prompt.source for prompt in found.accepted] == ["f:1", "f:2", "f:3"]
    assert found.accepted[1].prompt_id == "mine"
    assert len({prompt.prompt_id for prompt in found.accepted}) == 3
    assert (found.rows, found.refused) == (3, [])


def test_an_id_depends_on_the_prompt_alone():
    one, other = read_prompts(rows({"prompt": "b"}, {"prompt": "a"})), read_prompts(rows({"prompt": [user("a")]}))
    assert one.accepted[1].prompt_id == other.accepted[0].prompt_id


def test_what_cannot_be_asked_is_refused_with_its_line():
    bad = [
        {"prompt": "a"},
        {"word": "b"},
        {"prompt": " "},
        {"prompt": None},
        {"prompt": [user("a"), {"role": "assistant", "content": "b"}]},
        {"prompt": "a"},
        {"prompt": "c", "prompt_id": "same"},
        {"prompt": "d", "prompt_id": "same"},
    ]
    found = read_prompts([*rows(*bad), SourceRow("f:9", None, "invalid JSON: Expecting value")])
    assert [prompt.source for prompt in found.accepted] == ["f:1", "f:7"]
    assert [(refusal["source"], refusal["reason"]) for refusal in found.refused] == [
        ("f:2", "missing column"),
        ("f:3", "empty prompt"),
        ("f:4", "null"),
        ("f:5", "last turn is the assistant's"),
        ("f:6", "duplicate prompt"),
        ("f:8", "duplicate prompt"),
        ("f:9", "invalid JSON"),
    ]
    assert found.refused[4]["detail"] == "the same prompt or prompt_id as f:1"
    assert found.rows == 9


def test_no_rows_are_no_prompts():
    assert read_prompts([]).rows == 0
