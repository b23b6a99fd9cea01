from dataclasses import replace

import pytest

from apm_exp.core.errors import UsageError
from apm_exp.jobs.request import Request
from apm_exp.jobs.tasks import TASKS
from tests.test_configs import compose


def test_every_bad_job_is_named_and_jobs_with_one_reason_share_a_line(caplog):
    good = Request("check", compose(), {}, [], "", "")
    bad = {1: {"seed": "two"}, 2: {"seed": "one"}, 4: {"seed": "one"}}
    requests = [replace(good, number=n, swept={"seed": str(n)}, config=good.config | bad.get(n, {})) for n in range(5)]
    with pytest.raises(UsageError, match=r"^jobs 2, 4: seed=one: ") as caught:
        TASKS["check_settings"](requests)
    assert "\n" not in str(caught.value)
    (line,) = caplog.messages
    assert line.startswith("job 1 (seed=1): seed=two: ")
