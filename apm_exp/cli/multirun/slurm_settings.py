"""Settings of Slurm's launcher that its plugin hands on to submitit and does not declare."""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra_plugins.hydra_submitit_launcher.config import SlurmQueueConf

from apm_exp.cli.multirun.slurm_launcher import SlurmLauncher


@dataclass
class SlurmSettings(SlurmQueueConf):
    """As the plugin's, and what submitit takes besides (submitit/slurm/slurm.py says what each does)."""

    use_srun: bool = True
    srun_args: list[str] | None = None
    nodelist: str | None = None
    dependency: str | None = None
    exclusive: bool | None = None
    mail_type: str | None = None
    mail_user: str | None = None
    teardown: list[str] | None = None


def declare() -> None:
    """Put them, and our launcher, in the place of the plugin's, before Hydra composes."""
    plugins = Plugins.instance()  # which runs the plugin's own file, and declares its settings
    plugins.class_name_to_class[SlurmQueueConf._target_] = SlurmLauncher
    ConfigStore.instance().store(
        group="hydra/launcher",
        name="submitit_slurm",
        node=SlurmSettings(),
        provider="apm_exp.cli.multirun.slurm_settings",
    )
