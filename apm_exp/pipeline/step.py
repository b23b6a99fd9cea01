"""Steps and artifacts: a step is a stage with its inputs, and its key is the hash of these inputs.

A folder `<output_root>/<kind>/<slug>-<key8>/` with a file `done` (written last: the full key, the build, the builds of
its inputs, the counts, and every file's size and sha256) is an artifact. A folder without it is partial work, which the
stage resumes or overwrites, and which is never read as an input (build.py).

A build is a random id, new each time that a step is built. If an input of an artifact has been rebuilt, by any command,
the artifact is outdated and is rebuilt too. Artifacts of versions without builds have the build None, and are reused
until one of their inputs is rebuilt.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.artifact import DONE, Artifact, changed
from apm_exp.core.component_sources import source_of
from apm_exp.core.digest import FileDigests, canonical, local_paths, text_digest
from apm_exp.core.sealed import Damaged, read_sealed
from apm_exp.core.types import Policy
from apm_exp.models.loading import in_key

Seen = dict[str, "Artifact | None"]
OfSource = Callable[[Path], str | None]


@dataclass(frozen=True, eq=False)
class Step:
    """A stage and its arguments.

    kind: the stage's name in STAGES. at: the part of the run, which tells apart steps of one kind; "" if there is one
    such step. inputs: hashed into the key (nodes, earlier steps, policies, numbers). beside: arguments that do not
    change the result, never hashed.
    """

    kind: str
    at: str
    slug: str
    stage: Callable[..., Mapping[str, int | float]]
    inputs: Mapping[str, Any]
    root: Path
    digests: FileDigests
    beside: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Return the content that is hashed: the stage's name and version, and the identity of each input."""
        return self.identify(self.digests.of_file)

    def identify(self, of_source: OfSource) -> dict[str, Any]:
        """Compute the identity from the present inputs. of_source: returns the digest of a component's source file."""
        version = inspect.getmodule(self.stage).VERSION  # type: ignore[union-attr]
        inputs = {name: _identity(value, self.digests, of_source) for name, value in self.inputs.items()}
        return {"stage": self.stage.__name__, "version": version, "inputs": inputs}

    @cached_property
    def key(self) -> str:
        """Return the sha256 of the identity."""
        return text_digest(canonical(self.identity))

    @property
    def name(self) -> str:
        """Return the name of the step in its run, such as selection.2-evolved."""
        return f"{self.kind}.{self.at}" if self.at else self.kind

    @property
    def place(self) -> str:
        """Return the folder of the artifact relative to the root, which identifies it in all runs."""
        return f"{self.kind}/{self.slug}-{self.key[:8]}"

    @property
    def folder(self) -> Path:
        """Return the folder of the artifact."""
        return self.root / self.place


def _identity(value: Any, digests: FileDigests, of_source: OfSource) -> Any:
    if isinstance(value, Step):
        return {"artifact": value.key}
    if isinstance(value, Policy):
        template = text_digest(value.chat_template) if value.chat_template else None
        settings = {"dtype": value.rounding, "attention": in_key(value.attention), "chat_template": template}
        given = {"chat_template_kwargs": value.chat_template_kwargs or {}, "template_date": value.template_date}
        return {"policy": digests.of_path(value.folder) if value.local else value.key, **settings, **given}
    if isinstance(value, Mapping):
        return _node_identity(value, digests, of_source)
    if isinstance(value, list | tuple):
        return [_identity(item, digests, of_source) for item in value]
    return value


def _node_identity(node: Mapping[str, Any], digests: FileDigests, of_source: OfSource) -> dict[str, Any]:
    """Return the identity of a node: its values, the digests of the files in `path`, and of its component's source.

    Settings that the component declares as component.UNHASHED do not change the result, and are left out.
    """
    identity = {key: _identity(value, digests, of_source) for key, value in component.identifying(node).items()}
    if paths := local_paths(node.get("path")):
        identity["path"] = [digests.of_path(path) for path in paths]
    if "_target_" in node:
        identity["_source_"] = of_source(source_of(component.locate("config", node)))
    return identity


def read_done(step: Step, seen: Seen | None = None) -> Artifact | None:
    """Return the finished artifact of a step; None if it is missing, damaged or outdated. Nothing is changed on disk.

    seen: a cache of the artifacts that were read so far, by key.
    """
    seen = {} if seen is None else seen
    if step.key not in seen:
        record = record_of(step)
        if record is None or damage(step, record) or outdated(step, record, seen):
            seen[step.key] = None
        else:
            counts, seconds = record["counts"], record["seconds"]
            seen[step.key] = Artifact(step.kind, step.folder, step.key, counts, seconds, record.get("build"))
    return seen[step.key]


def record_of(step: Step) -> dict[str, Any] | None:
    """Return the content of `done`; with the key None if it is damaged, and None if it is missing."""
    try:
        return read_sealed(step.folder / "done", *DONE)
    except FileNotFoundError:
        return None
    except Damaged:
        return {"key": None}


def outdated(step: Step, record: Mapping[str, Any], seen: Seen | None = None) -> str | None:
    """Return the place of an input that was rebuilt after this step was built, or None. record: the step's `done`."""
    seen = {} if seen is None else seen
    known = record.get("inputs", {})
    for earlier in earlier_steps(step):
        artifact = read_done(earlier, seen)
        if artifact is None or artifact.build != known.get(earlier.place):
            return earlier.place
    return None


def damage(step: Step, record: Mapping[str, Any]) -> str | None:
    """Return how a finished artifact differs from what was written, or None if no file has changed."""
    if record["key"] != step.key:
        return "its file 'done' is damaged or has another key"
    return changed(step.folder, record["files"], step.digests)


def lineage(step: Step) -> list[Step]:
    """Return a step and all steps that it depends on, directly or indirectly, each once."""
    steps, waiting = {step.key: step}, [step]
    while waiting:
        for earlier in earlier_steps(waiting.pop()):
            if earlier.key not in steps:
                steps[earlier.key] = earlier
                waiting.append(earlier)
    return list(steps.values())


def earlier_steps(step: Step) -> list[Step]:
    """Return the steps whose artifacts are inputs of a step, each once."""
    return list({earlier.key: earlier for earlier in _steps_in(step.inputs)}.values())


def _steps_in(value: Any) -> Iterator[Step]:
    if isinstance(value, Policy):
        value = value.made_by
    if isinstance(value, Step):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _steps_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _steps_in(item)
