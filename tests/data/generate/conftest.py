import pytest

from apm_exp.core.types import Policy
from tests.micro_world_policy import small_policy


@pytest.fixture(scope="session")
def micro_policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return small_policy(tmp_path_factory.mktemp("micro_policy"))
