import pyarrow as pa
import pytest

from apm_exp.types import Policy, TokenisedPair
from tests.training.cases import logps_table


@pytest.fixture(scope="session")
def scored(tiny_policy: Policy, tiny_pairs: list[TokenisedPair]) -> pa.Table:
    """The rows of logps.parquet of `tiny_pairs`, all of them for training."""
    from apm_exp.models.load import load_model
    from apm_exp.scoring import score_pairs

    names = [f"p{index:02d}" for index in range(len(tiny_pairs))]
    values = {index: logps for index, *logps in score_pairs(load_model(tiny_policy, "cpu"), tiny_pairs, names, 1000)}
    return logps_table(tiny_pairs, [values[index] for index in range(len(tiny_pairs))], ["train"] * len(tiny_pairs))
