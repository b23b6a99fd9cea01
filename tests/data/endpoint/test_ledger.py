"""The ceiling of what an endpoint costs, also over a kill."""

import threading

import pytest

from apm_exp.data.endpoint.endpoint import endpoint
from apm_exp.data.endpoint.ledger import FILE, CeilingReached, Ledger, read_totals, spent

PRICED = endpoint(url="http://127.0.0.1:1/v1", model="m", input_price=1e6, output_price=2e6, max_cost=100.0)


def test_a_request_counts_with_its_tokens_after_its_reply(tmp_path):
    ledger = Ledger(PRICED, tmp_path)
    with ledger.request(10, 20) as charge:  # at most 50
        charge.used = (4, 3)
    assert ledger.spent == 10
    with ledger.request(10, 20) as charge:
        charge.free = True
    assert ledger.spent == 10
    with ledger.request(1, 2):
        pass  # no reply, and not known to be free
    assert ledger.spent == 15
    ledger.close()
    assert spent(read_totals(tmp_path), PRICED) == 15


def test_a_request_that_was_in_flight_at_a_kill_counts_with_its_most(tmp_path):
    killed = Ledger(PRICED, tmp_path)
    with killed.request(1, 1) as charge:
        charge.used = (1, 1)
    killed.request(10, 20).__enter__()
    killed.close()
    with (tmp_path / FILE).open("a") as file:
        file.write('{"id": "1-3", "at_mo')  # a truncated line
    again = Ledger(PRICED, tmp_path)
    assert again.spent == 3 + 50
    with again.request(1, 1) as charge:
        charge.used = (1, 1)
    again.close()
    totals = read_totals(tmp_path)
    assert (totals.replies, totals.unanswered, spent(totals, PRICED)) == (2, 1, 56)


def test_a_request_waits_while_those_in_flight_may_use_up_the_ceiling():
    ledger, began, may_end = Ledger(PRICED, None), threading.Event(), threading.Event()

    def first() -> None:
        with ledger.request(0, 40) as charge:
            began.set()
            may_end.wait(5)
            charge.used = (0, 10)

    thread = threading.Thread(target=first)
    thread.start()
    began.wait(5)
    threading.Timer(0.05, may_end.set).start()
    with ledger.request(0, 30) as charge:  # 80 + 60 are too many, 20 + 60 are not
        assert may_end.is_set()
        charge.used = (0, 30)
    thread.join()
    assert ledger.spent == 80


def test_a_request_that_does_not_fit_is_one_line_with_what_was_spent():
    ledger = Ledger(PRICED, None)
    with ledger.request(0, 40) as charge:
        charge.used = (10, 40)
    with pytest.raises(CeilingReached) as error:
        ledger.request(0, 6).__enter__()
    assert str(error.value) == (
        "endpoint.max_cost=100: reached: 90 spent on 1 replies, and the next request may cost 12; "
        "finished work is kept; raise it to resume"
    )
    ledger.request(0, 5).__enter__()


def test_without_a_ceiling_all_requests_fit():
    ledger = Ledger(endpoint(url="http://127.0.0.1:1/v1", model="m"), None)
    with ledger.request(10**9, 10**9) as charge:
        charge.used = (1, 1)
    assert ledger.spent == 0
