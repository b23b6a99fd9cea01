"""The text of `--help`."""

from apm_exp.core.conf import options_of

HELP = """\
apm_exp: which of my preference pairs are worth training on?

  python -m apm_exp                                 score, select, train, evaluate, report: the embedded micro
                                                    world, on a CPU, nothing to download, about a minute
  python -m apm_exp metric=map alpha=2.5            another alpha: only selection, training and evaluation are rebuilt
  python -m apm_exp dataset=jsonl dataset.path=my_pairs.jsonl model=local model.path=./sft
                                                    your pairs, your model
  python -m apm_exp model=gemma2_9b_it dataset=gemma2_ultrafeedback_armorm loss=simpo
                                                    the paper's setting, with the values of its Table 3
  python -m apm_exp -m metric=map,explicit,uniform alpha=0.5,2.5
                                                    many jobs that share their common steps, and one report
  python -m apm_exp task=plan ...                   print what would run, what is reused, memory and disk
  python -m apm_exp sweeps=alpha task=status        the state of each job of a sweep, or of all sweeps
  python -m apm_exp task=clean                      list what no run needs; clean.delete=true deletes it
  python -m apm_exp task=export run=latest          export a run's kept pairs, with all scores and a card, for TRL,
                                                    SimPO's scripts and the Hub (export.push=owner/name)

Groups (group=option; their settings as group.key=value)
{groups}
Top-level settings
  task=run|plan|status|clean|export  alpha=NUMBER|auto (weight of the implicit margin in metric=map)
  seed=NUMBER
  output_root=FOLDER  rebuild=none|all|STEP (rebuild)                               trusted_packages=[mine]
  until=logps|selection (stop there)  hydra/launcher=joblib|slurm (jobs in parallel: docs/cluster.md)

Flags
  -m, --multirun      one job for each combination of comma-separated values
  --cfg job           print the configuration and stop         --config-dir DIR   your own options
  --help              this text                                --version          versions of apm_exp and its libraries
  --hydra-help        Hydra's own flags

All outputs are below outputs/: a run's record in outputs/runs/latest, its report in
outputs/runs/latest/report/report.html, the steps it used in outputs/<step>/. A step that exists is reused; a killed
command resumes when you run it again.
A value with = or brackets needs quotes, "key='a=b'", unless it is an existing file.
"""
_GROUPS = {
    "dataset": "source of the pairs",
    "model": "the policy that is scored and trained",
    "reward": "source of the rewards",
    "pipeline": "steps of a run",
    "generate": "sampler of responses",
    "pairing": "which responses make a pair",
    "evolve": "rewriting of prompts",
    "tokens": "tokenization of the pairs",
    "metric": "value of a pair",
    "alpha_rule": "choice of alpha=auto",
    "keep": "which pairs to keep",
    "loss": "training loss",
    "trainer": "training settings",
    "adapter": "adapter to train (model.adapter=)",
    "runtime": "devices and processes",
    "deepspeed": "DeepSpeed configuration",
    "evals": "evaluation of the policy",
    "tracking": "Weights & Biases",
    "experiment": "experiments of the paper",
    "sweeps": "sweeps: multiruns from a file",
}


def help_text() -> str:
    """Return the text of --help with the available options."""
    lines = []
    for group, meaning in _GROUPS.items():
        lines.append(f"  {group:<11} {meaning:<40} {' '.join(options_of(group))}".rstrip())
    return HELP.format(groups="\n".join(lines) + "\n")
