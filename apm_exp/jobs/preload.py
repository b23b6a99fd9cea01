"""Imported by the fork server of a multirun: what every job needs, paid for once."""

import gc
import importlib.util

import accelerate
import matplotlib.figure
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, Trainer

import apm_exp.data.generate.transformers_sampler
import apm_exp.jobs.checks.preflight
import apm_exp.jobs.job
import apm_exp.models.load
import apm_exp.models.score_pairs
import apm_exp.report.run.page
import apm_exp.training.run
from apm_exp.core import component
from apm_exp.core.component_sources import note_sources
from apm_exp.core.console import configure_logging
from apm_exp.runtime.device import may_have_gpus
from apm_exp.runtime.provenance import versions

__all__ = [
    "AutoModelForCausalLM",
    "AutoTokenizer",
    "LlamaForCausalLM",
    "Trainer",
    "accelerate",
    "apm_exp",
    "matplotlib",
    "transformers",
]

versions()
configure_logging()
note_sources(component.trusted())
# accelerate imports DeepSpeed for every training. It looks for a GPU as it is imported, so only where there is none.
if importlib.util.find_spec("deepspeed") and not may_have_gpus():
    import deepspeed  # noqa: F401

# A server that has touched the GPU cannot be forked.
assert not torch.cuda.is_initialized()
gc.freeze()  # a job that looked through all this for garbage would copy its memory
