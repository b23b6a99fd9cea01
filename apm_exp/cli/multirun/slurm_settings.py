"""Settings of the Slurm launcher that its plugin passes to submitit but does not declare."""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra_plugins.hydra_submitit_launcher.config import SlurmQueueConf

from apm_exp.cli.multirun.slurm_launcher import SlurmLauncher


@dataclass
class SlurmSettings(SlurmQueueConf):
    """The plugin's settings, and further ones of submitit (documented in submitit/slurm/slurm.py)."""

    use_srun: bool = True
    srun_args: list[str] | None = None
    nodelist: str | None = None
    dependency: str | None = None
    exclusive: bool | None = None
    mail_type: str | None = None
    mail_user: str | None = None
    teardown: list[str] | None = None


def declare() -> None:
    """Replace the plugin's settings and launcher by ours, before Hydra composes the configuration."""
    plugins = Plugins.instance()  # runs the plugin's own file, which declares its settings
    plugins.class_name_to_class[SlurmQueueConf._target_] = SlurmLauncher
    ConfigStore.instance().store(
        group="hydra/launcher",
        name="submitit_slurm",
        node=SlurmSettings(),
        provider="apm_exp.cli.multirun.slurm_settings",
    )
