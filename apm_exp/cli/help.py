"""The text of `--help`."""

from apm_exp.core.conf import options_of

HELP = """\
apm_exp: which of my preference pairs are worth training on?

  python -m apm_exp                                 score, select, train, evaluate, report: the embedded micro
                                                    world, on a CPU, nothing to download, about a minute
  python -m apm_exp metric=map alpha=2.5            another alpha: only selection, training and evaluation run again
  python -m apm_exp dataset=jsonl dataset.path=my_pairs.jsonl model=local model.path=./sft
                                                    your pairs, your model
  python -m apm_exp model=gemma2_9b_it dataset=gemma2_ultrafeedback_armorm loss=simpo
                                                    the paper's setting; its Table 3 values come by themselves
  python -m apm_exp -m metric=map,explicit,uniform alpha=0.5,2.5
                                                    many jobs, what they share computed once, one report
  python -m apm_exp task=plan ...                   what would run, what is reused, memory and disk; runs nothing
  python -m apm_exp sweeps=alpha task=status        how each job of a study stands; without a study: all of them
  python -m apm_exp task=clean                      what no run needs any more; clean.delete=true deletes it
  python -m apm_exp task=export run=latest          the pairs that a run has kept, with all scores and a card, for TRL,
                                                    SimPO's scripts and the Hub (export.push=owner/name)

Groups (group=option; settings inside as group.key=value)
{groups}
Settings at the top
  task=run|plan|status|clean|export  alpha=NUMBER|auto (weight of the implicit margin in metric=map)
  seed=NUMBER
  output_root=FOLDER  rebuild=none|all|STEP (build again)                           trusted_packages=[mine]
  until=logps|selection (stop there)  hydra/launcher=joblib|slurm (jobs at the same time: docs/cluster.md)

Flags
  -m, --multirun      one job for each combination of comma-separated values
  --cfg job           print the configuration and stop         --config-dir DIR   your own options
  --help              this text                                --hydra-help       Hydra's own flags

Everything is kept below outputs/: a run's record in outputs/runs/latest, its page in
outputs/runs/latest/report/report.html, the steps it used in outputs/<step>/. A step that exists is reused; a killed
command resumes when you run it again.
A value with = or brackets needs quotes, "key='a=b'", unless it is a file that is there.
"""
_GROUPS = {
    "dataset": "where the pairs come from",
    "model": "the policy that is scored and trained",
    "reward": "where the rewards come from",
    "generate": "sample the responses with the policy",
    "tokens": "how pairs become tokens",
    "metric": "how a pair is valued",
    "alpha_rule": "how alpha=auto is chosen",
    "keep": "which pairs are kept",
    "loss": "the objective",
    "trainer": "how it is trained",
    "adapter": "train LoRA's matrices alone (model.adapter=)",
    "runtime": "on what it runs",
    "deepspeed": "DeepSpeed's own schema",
    "evals": "how the policy is evaluated",
    "tracking": "Weights & Biases",
    "experiment": "recipes of the paper",
    "sweeps": "studies: many jobs by themselves",
}


def help_text() -> str:
    """Return the text of --help with the available options."""
    lines = []
    for group, meaning in _GROUPS.items():
        lines.append(f"  {group:<11} {meaning:<40} {' '.join(options_of(group))}".rstrip())
    return HELP.format(groups="\n".join(lines) + "\n")
