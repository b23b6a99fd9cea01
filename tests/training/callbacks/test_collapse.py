from apm_exp.training.callbacks.collapse import CollapseAlarm
from tests.training.cases import task, trained


def row(change: float | None, margin: float | None) -> dict[str, float | None]:
    return {"chosen_change": change, "rewards/margins": margin}


def test_the_mean_of_five_rows_is_looked_at_and_each_sign_said_once():
    alarm = CollapseAlarm()
    assert [alarm.look(row(0.0, 0.0)) for _ in range(4)] == [[]] * 4
    assert alarm.look(row(-7.0, 99.0)) == []  # one batch alone: means of -1.4 and 19.8
    assert alarm.look(row(-1.5, 4.0)) == [  # -1.7 and 20.6
        "the log-prob of the chosen responses is 1.70 nats per token below the starting policy's (more than 1.5)",
        "the mean reward margin is 20.6 (more than 20)",
    ]
    assert alarm.look(row(-9.0, 99.0)) == []


def test_one_batch_of_two_sets_nothing_off():
    alarm = CollapseAlarm()
    assert [alarm.look(row(0.0, 0.0)), alarm.look(row(-3.1, 99.0))] == [[], []]


def test_rows_without_these_numbers_give_no_sign():
    alarm = CollapseAlarm()
    assert [alarm.look({"logps/chosen": -900.0}), alarm.look(row(None, None)), alarm.look(row(-50.0, 200.0))] == [
        []
    ] * 3


def test_a_training_that_destroys_its_policy_says_so_and_another_does_not(tmp_path, tiny_policy, scored, caplog):
    healthy = trained(task(tmp_path / "healthy", tiny_policy, scored), epochs=4)
    assert not any("collapse" in row for row in healthy)
    assert healthy[0]["chosen_change"] == 0
    assert abs(healthy[-1]["chosen_change"]) > 0.01
    assert not caplog.records
    rows = trained(task(tmp_path / "ill", tiny_policy, scored), epochs=4, learning_rate=0.5)
    (sign,) = [
        sign for row in rows for sign in row.get("collapse", []) if sign.startswith("the log-prob of the chosen")
    ]
    assert f"{sign}" in caplog.text
    assert "lower trainer.learning_rate" in caplog.text
