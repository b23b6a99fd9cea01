"""Steps and artifacts: a stage with its inputs, named by the hash of exactly what it is given.

A folder `<output_root>/<kind>/<slug>-<key8>/` with a `done` (written last: the full key, the build, the builds of its
inputs, the counts, and every file's size and sha256) is an artifact. One without is resumed by the stage or
overwritten, never read: build.py.

A build is a random id, new each time that a step is built. What was given a build that is no longer there is no
artifact: it is built anew, whoever built its input again. Artifacts of versions without builds have the build None, and
so are taken as they are until something that they were given is built again.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.artifact import DONE, Artifact, changed
from apm_exp.core.digest import FileDigests, canonical, local_paths, text_digest
from apm_exp.core.sealed import Damaged, read_sealed
from apm_exp.core.types import Policy
from apm_exp.models.loading import in_key

Seen = dict[str, "Artifact | None"]
OfSource = Callable[[Path], str | None]


@dataclass(frozen=True, eq=False)
class Step:
    """A stage and what it is given.

    kind: the stage's name in STAGES. at: which of a run's steps of that kind, "" if there is one. inputs: hashed into
    the key (nodes, earlier steps, policies, numbers). beside: how it is run, never hashed.
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
        """What is hashed: the stage's name and version, and the identity of each input."""
        return self.identify(self.digests.of_file)

    def identify(self, of_source: OfSource) -> dict[str, Any]:
        """The identity as it is now. of_source: the digest of a component's source file."""
        version = inspect.getmodule(self.stage).VERSION  # type: ignore[union-attr]
        inputs = {name: _identity(value, self.digests, of_source) for name, value in self.inputs.items()}
        return {"stage": self.stage.__name__, "version": version, "inputs": inputs}

    @cached_property
    def key(self) -> str:
        """sha256 of the identity."""
        return text_digest(canonical(self.identity))

    @property
    def name(self) -> str:
        """The name of the step in its run, such as selection.2-evolved."""
        return f"{self.kind}.{self.at}" if self.at else self.kind

    @property
    def place(self) -> str:
        """The folder of the artifact below the root, which is its name among all runs."""
        return f"{self.kind}/{self.slug}-{self.key[:8]}"

    @property
    def folder(self) -> Path:
        """The folder of the artifact."""
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
    """A node is its values, the content of the files that a `path` names, and its component's source.

    Settings that the component declares as component.UNHASHED say how it is run and are left out.
    """
    identity = {key: _identity(value, digests, of_source) for key, value in component.identifying(node).items()}
    if paths := local_paths(node.get("path")):
        identity["path"] = [digests.of_path(path) for path in paths]
    if "_target_" in node:
        identity["_source_"] = of_source(component.source_of(component.locate("config", node)))
    return identity


def read_done(step: Step, seen: Seen | None = None) -> Artifact | None:
    """The finished artifact of a step; None unless it is whole and made of what its inputs are now; only looks.

    seen: what was read of other steps so far, by key.
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
    """What `done` says; a record of no key where it is damaged, None where it is not there."""
    try:
        return read_sealed(step.folder / "done", *DONE)
    except FileNotFoundError:
        return None
    except Damaged:
        return {"key": None}


def outdated(step: Step, record: Mapping[str, Any], seen: Seen | None = None) -> str | None:
    """The name of a step whose present build is not the one that this was made of, or None. record: its `done`."""
    seen = {} if seen is None else seen
    known = record.get("inputs", {})
    for earlier in earlier_steps(step):
        artifact = read_done(earlier, seen)
        if artifact is None or artifact.build != known.get(earlier.place):
            return earlier.place
    return None


def damage(step: Step, record: Mapping[str, Any]) -> str | None:
    """What is wrong with a finished artifact, or None: every file must be as it was written."""
    if record["key"] != step.key:
        return "its record 'done' is damaged or of another key"
    return changed(step.folder, record["files"], step.digests)


def lineage(step: Step) -> list[Step]:
    """Return a step and all that it follows from, each once."""
    found, waiting = {step.key: step}, [step]
    while waiting:
        for earlier in earlier_steps(waiting.pop()):
            if earlier.key not in found:
                found[earlier.key] = earlier
                waiting.append(earlier)
    return list(found.values())


def earlier_steps(step: Step) -> list[Step]:
    """The steps whose artifacts a step is given, each once."""
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
