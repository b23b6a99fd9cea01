"""How far two computations of the same log-probs may lie apart by rounding alone."""

TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2, "float16": 5e-3}  # nats a token
