"""A vLLM server of a policy: started here for one step, or one that runs already."""

import json
import logging
import shlex
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from apm_exp.core.component import UNHASHED
from apm_exp.core.files import write_json
from apm_exp.core.types import Policy
from apm_exp.data.endpoint.client import client_of, import_openai
from apm_exp.data.endpoint.endpoint import Endpoint
from apm_exp.runtime.servers.gpu_memory import memory_given_back
from apm_exp.runtime.servers.served import port_for, served

logger = logging.getLogger(__name__)
PLACE = "generate.vllm"
SERVED = "served.json"
NAME = "policy"  # the model's name on a server that is started here
_LOG = "vllm.log"
# The weights are in a local folder: nothing is fetched, and nobody is told.
_VARIABLES = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True)
class VllmServer:
    """The settings of a server that is started; see `vllm_server`."""

    command: list[str]
    options: list[str]
    port: int | None
    startup_timeout: float
    seconds_to_end: float


def vllm_server(
    *,
    command: Annotated[list[str] | str, Field(min_length=1), UNHASHED],
    options: list[str],
    port: Annotated[int | None, Field(ge=1, le=65535), UNHASHED],
    startup_timeout: Annotated[float, Field(gt=0), UNHASHED],
    seconds_to_end: Annotated[float, Field(gt=0), UNHASHED],
) -> VllmServer:
    """Return how a server is started.

    command: the program and its first arguments, as a list or as one text; the folder of the policy follows. options:
    further arguments; they are in the cache key, since they may change the responses. port: of 127.0.0.1; None: a free
    one. startup_timeout: seconds until it must be healthy. seconds_to_end: after SIGTERM, before it is killed.
    """
    words = shlex.split(command) if isinstance(command, str) else command
    return VllmServer(words, options, port, startup_timeout, seconds_to_end)


def check_command(server: VllmServer) -> None:
    """Raise ValueError if the program of the command cannot be found, or the given port cannot be used."""
    if not server.command or shutil.which(server.command[0]) is None:
        problem = (
            "no such program; give the vllm of its own environment, as generate.vllm.command=[/PATH/bin/vllm,serve]"
        )
        raise ValueError(f"{PLACE}.command={shlex.join(server.command)}: {problem}, or generate.endpoint=URL")
    port_for(PLACE, server.port)


@contextmanager
def server_of(
    policy: Policy, how: Callable[..., Endpoint], url: str | None, server: VllmServer, tokens: int, folder: Path
) -> Iterator[tuple[Endpoint, Callable[[], None]]]:
    """Yield the endpoint of a server with a policy, and a function that raises ValueError if the server has ended.

    url: of a running server; if it is None, a server is started and stopped after the block, which frees its GPU
    memory. how: makes the endpoint of an address and a model's name. tokens: the maximum for a prompt with its
    response. folder: for the server's log and version. Raises ValueError if the running server has another model.
    """
    if url is None:
        with _started(policy, server, tokens, folder) as (address, alive):
            yield how(url=address, model=NAME), alive
    else:
        name = name_on(how(url=url), policy)
        yield how(url=url, model=name), lambda: None


@contextmanager
def _started(policy: Policy, server: VllmServer, tokens: int, folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    address = f"http://127.0.0.1:{port_for(PLACE, server.port)}"
    folder.mkdir(exist_ok=True)
    arguments = {
        "--host": "127.0.0.1",
        "--port": address.rpartition(":")[2],
        "--served-model-name": NAME,
        "--dtype": policy.dtype,
        "--max-model-len": str(tokens),
        "--generation-config": "vllm",  # else the folder's own sampling values apply
        "--seed": "0",
    }
    kept = [word for name, value in arguments.items() if name not in server.options for word in (name, value)]
    trust = ["--trust-remote-code"] if policy.trust_remote_code else []
    command = [*server.command, str(policy.folder.absolute()), *kept, *trust, *server.options]
    with memory_given_back():
        logger.info("%s: %s", PLACE, shlex.join(command))
        with served(
            PLACE,
            command,
            f"{address}/health",
            folder / _LOG,
            startup_timeout=server.startup_timeout,
            seconds_to_end=server.seconds_to_end,
            variables=_VARIABLES,
        ) as alive:
            write_json({"command": command, "version": _version(address)}, folder / SERVED)
            yield f"{address}/v1", alive


def name_on(endpoint: Endpoint, policy: Policy) -> str:
    """Return the name under which a running server has the policy's folder. Raises ValueError if it has not."""
    openai = import_openai()
    with client_of(endpoint) as client:
        try:
            served_models = {each.id: getattr(each, "root", None) for each in client.models.list()}
        except openai.OpenAIError as error:
            problem = f"the server cannot be asked for its models ({error})"
            raise ValueError(
                f"generate.endpoint={endpoint.url}: {problem}; start it, or correct the address"
            ) from error
    for name, root in served_models.items():
        if root and Path(root).is_dir() and Path(root).samefile(policy.folder):
            return name
    shown = ", ".join(f"{name} ({root})" for name, root in served_models.items()) or "no model"
    problem = f"it serves {shown}, and not the policy, {policy.folder}"
    raise ValueError(f"generate.endpoint={endpoint.url}: {problem}; serve that folder, or leave generate.endpoint out")


def _version(address: str) -> str | None:
    """Return the server's version, None if it does not tell."""
    with suppress(OSError, ValueError):
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{address}/version", timeout=10) as reply:
            content: Any = json.loads(reply.read())
            return str(content["version"]) if isinstance(content, dict) and "version" in content else None
    return None
