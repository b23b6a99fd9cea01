"""Imported by the fork server of a multirun: what every job needs, paid for once."""

import accelerate
import matplotlib.figure
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, Trainer

__all__ = [
    "AutoModelForCausalLM",
    "AutoTokenizer",
    "LlamaForCausalLM",
    "Trainer",
    "accelerate",
    "matplotlib",
    "transformers",
]

# A server that has touched the GPU cannot be forked.
assert not torch.cuda.is_initialized()
