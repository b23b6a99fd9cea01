"""The memory of activations: kept by the forward, and allocated by the backward, in bytes.

Counted on Llama's blocks as transformers writes them (RMSNorm, rotary embeddings, gated MLP): of each token a layer
keeps its two inputs, both norms before and after their weight, query, key and value, the attention's result twice, and
the MLP's gate, its SiLU, up and product.
"""

from apm_exp.jobs.plan.memory.training import Lengths, Training
from apm_exp.models.shape import Shape

_FLOAT32 = 4
# As models/forward/output_head.py and row.py have them, which take torch; a test compares.
BLOCK = {"cpu": (512, 4096), "cuda": (2048, 8192)}
TILE = 128


def tokens_of(training: Training) -> int:
    """Tokens of the largest forward: of each pair the prompt once, but twice and padded where rows are."""
    if not training.padded:
        return sum(sum(pair) - 2 for pair in training.forward)
    return 2 * len(training.forward) * max((pair[0] + max(pair[1:]) for pair in training.forward), default=0)


def kept(training: Training) -> int:
    """Return the bytes that the forward keeps for the backward, without the output head."""
    layers, tokens = training.shape.layers, tokens_of(training)
    ends = 3 * _FLOAT32 * training.shape.hidden * tokens  # the embeddings, the last norm and its result
    if training.checkpointing:
        return ends + layers * tokens * training.shape.hidden * _residual(training)
    return ends + layers * layer(training) + _cast_weights(training)


def laid_out(training: Training) -> int:
    """Return the bytes that one layer's backward allocates; with checkpointing, all of the recomputed layer."""
    shape, each = training.shape, _product(training)
    gradients = tokens_of(training) * each * (3 * shape.intermediate + 2 * shape.hidden)
    return gradients + (layer(training) + _cast_weights(training) if training.checkpointing else 0)


def layer(training: Training) -> int:
    """Return the bytes that one layer keeps."""
    shape, each, tokens = training.shape, _product(training), tokens_of(training)
    hidden = {(4, True): 24, (2, True): 26, (2, False): 20}[each, _residual(training) == _FLOAT32]
    wide = training.on_gpu and not training.padded  # its kernel shares keys among heads
    attention = 3 * shape.attended + 2 * (shape.shared if wide else shape.attended)
    a_token = hidden * shape.hidden + each * (attention + 4 * shape.intermediate) + _FLOAT32 * shape.heads
    adapter = training.frozen.a_token // shape.layers if training.frozen else 0
    return tokens * (a_token + adapter) + _copied(training) + _scores(training)


def small_share(training: Training, most: int) -> float:
    """Return the share of a layer's activations in tensors of at most so many bytes."""
    shape, row = training.shape, tokens_of(training) * _product(training)
    tensors = ((4, shape.intermediate), (6, shape.hidden), (5, shape.attended))  # how many of each width
    small = sum(count * width for count, width in tensors if row * width <= most)
    return small / sum(count * width for count, width in tensors)


def output_head(training: Training) -> int:
    """Return the bytes of the output head in its backward: a block of logits, hidden states, the weight's gradient."""
    shape = training.shape
    responses = sum(pair[1] + pair[2] for pair in training.forward)
    if training.padded:  # the logits of all of them, their softmax and its gradient
        return 3 * _FLOAT32 * tokens_of(training) * shape.vocabulary
    block = block_of_logits(shape, responses, training.on_gpu)
    weight = shape.vocabulary * shape.hidden * _FLOAT32
    gradient = 0 if training.frozen else weight
    casts = 0 if _product(training) == _FLOAT32 else weight + gradient // 2 + block // 2
    return block + gradient + casts + 2 * _FLOAT32 * responses * shape.hidden


def block_of_logits(shape: Shape, responses: int, on_gpu: bool) -> int:
    """Return the bytes of the logits of one block of so many tokens."""
    tokens, entries = BLOCK["cuda" if on_gpu else "cpu"]
    return _FLOAT32 * min(tokens, responses) * min(entries, shape.vocabulary)


def _product(training: Training) -> int:
    """Return the bytes of an element of the factors of matrix products."""
    return training.bytes_of_dtype


def _residual(training: Training) -> int:
    """Return the bytes of an element between layers.

    Autocast leaves it float32; with DeepSpeed's or with frozen weights it is model.dtype.
    """
    return training.bytes_of_dtype if training.zero is not None or training.frozen else _FLOAT32


def _cast_weights(training: Training) -> int:
    """Autocast has the weights in 16 bits as well, from the forward to its backward."""
    return 2 * training.shape.parameters if _product(training) < _residual(training) else 0


def _copied(training: Training) -> int:
    """Keys and values of long prompts, which stand before those of the second response again."""
    if training.padded or training.on_gpu:
        return 0
    again = sum(pair[0] + pair[2] - 1 for pair in training.forward if sum(pair) - 2 > TILE)
    return again * 2 * training.shape.attended * _product(training)


def _scores(training: Training) -> int:
    """Attention scores of the soft-capped attention, which no kernel of torch has: four tensors of them."""
    if not training.shape.scored or training.on_gpu:
        return 0
    return 4 * training.shape.heads * _FLOAT32 * sum(map(_seen, training.forward))


def _seen(pair: Lengths) -> int:
    first = pair[0] + pair[1]
    return first * first + pair[2] * (pair[0] + pair[2])
