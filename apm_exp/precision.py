"""How far two computations of the same log-probs may lie apart by rounding alone."""

TOLERANCE = {  # nats a token
    "float32": 1e-4,
    "tf32": 5e-3,  # float32 whose products CUDA rounds to 10 bits, as float16 has
    "bfloat16": 2e-2,
    "float16": 5e-3,
    "nf4": 0.5,  # frozen weights in 4 bits (QLoRA) against the weights that were scored
}
SHORT = 16  # tokens; in shorter responses single roundings do not average out, so they get the allowance of 16
