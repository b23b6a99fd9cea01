"""`model.attention`: which attention the log-probs of pairs are computed with, and which a device has."""

OF_PAIRS = ("auto", "segments", "flex")  # they share a pair's prompt; any other name is transformers' own, padded
_EVERYWHERE = ("auto", "segments", "sdpa", "eager")


def in_key(attention: str) -> str:
    """What an artifact's key knows of an attention: those that share prompts, and `auto`, differ by rounding alone."""
    return "shared" if attention in OF_PAIRS else attention


def of_transformers(attention: str) -> str | None:
    """The attn_implementation that a model is loaded with; None leaves the choice to transformers."""
    return None if attention in OF_PAIRS else attention


def check_attention(attention: str, device: str) -> None:
    """Raise ValueError, with what there is, for an attention that the device lacks.

    On a GPU other names are transformers' to judge: it knows which of its kernels are installed.
    """
    if not device.startswith("cuda") and attention not in _EVERYWHERE:
        raise ValueError(f"model.attention={attention}: the device {device} has {', '.join(_EVERYWHERE)}")
