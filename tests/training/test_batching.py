import pytest

from apm_exp.training.batching import Batching, batching


@pytest.mark.parametrize(
    ("pairs", "global_batch", "epochs", "per_device", "processes", "expected"),
    [
        (1000, 128, 1, 8, 1, Batching(8, 16, 1, 8)),
        (1000, 128, 2, 8, 4, Batching(8, 4, 4, 16)),
        (100, 4, 1, 8, 1, Batching(4, 1, 1, 25)),
        (3, 128, 3, 8, 1, Batching(8, 16, 1, 3)),
        (100, 8, 1, 8, 8, Batching(1, 1, 8, 13)),
    ],
)
def test_accumulation_follows_from_the_global_batch(pairs, global_batch, epochs, per_device, processes, expected):
    found = batching(
        pairs=pairs, global_batch=global_batch, epochs=epochs, pairs_per_device=per_device, processes=processes
    )
    assert found == expected
    assert found.global_batch == global_batch


@pytest.mark.parametrize(
    ("global_batch", "per_device", "processes", "nearest"),
    [(12, 8, 1, "8 or 16"), (20, 4, 2, "16 or 24")],
)
def test_a_global_batch_that_does_not_divide_is_an_error(global_batch, per_device, processes, nearest):
    message = rf"^trainer.global_batch={global_batch}: not a multiple .*; set trainer.global_batch={nearest}, or"
    with pytest.raises(ValueError, match=message):
        batching(pairs=9, global_batch=global_batch, epochs=1, pairs_per_device=per_device, processes=processes)


@pytest.mark.parametrize(
    ("global_batch", "per_device", "processes", "nearest"),
    [(10, 2, 4, "8 or 16"), (2, 8, 4, "4"), (7, 4, 2, "6 or 8"), (9, 4, 2, "8 or 16"), (3, 8, 2, "2 or 4")],
)
def test_a_global_batch_that_processes_cannot_share_is_an_error(global_batch, per_device, processes, nearest):
    """Six pairs on two processes are three each, in one forward: a share below pairs_per_device is no fault."""
    message = rf"^trainer.global_batch={global_batch}: cannot be divided among {processes} .*_batch={nearest}, or"
    with pytest.raises(ValueError, match=message):
        batching(pairs=9, global_batch=global_batch, epochs=1, pairs_per_device=per_device, processes=processes)
