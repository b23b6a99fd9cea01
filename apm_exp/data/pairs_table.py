"""The table pairs.parquet: its columns, and writing it from the spool in the order of pair ids."""

import json
from collections.abc import Iterator, Sequence
from itertools import batched
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from apm_exp.files import atomic
from apm_exp.progress import track

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
PAIRS_SCHEMA = pa.schema(
    [
        ("pair_id", pa.string()),
        ("prompt", MESSAGES),
        ("chosen", MESSAGES),
        ("rejected", MESSAGES),
        ("responses", pa.list_(pa.string())),
        ("chosen_index", pa.int32()),
        ("rejected_index", pa.int32()),
        ("recorded_rewards", pa.list_(pa.float64())),
        ("split", pa.string()),
        ("source", pa.string()),
    ]
)
_ROWS_PER_GROUP = 1000
