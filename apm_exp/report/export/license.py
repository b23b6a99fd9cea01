"""The license of the source of a data set or a model, if it states one; read without network access."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from apm_exp.core.digest import local_paths

FIELDS = ("license", "license_name", "license_link")
UNKNOWN = {"license": "unknown"}


def license_of(path: Any, repo_type: str, commit: str | None) -> dict[str, Any]:
    """Return the FIELDS in the card's metadata, or UNKNOWN.

    path: a Hub name, whose card is read from the Hub's cache; a folder with a README.md; files with one beside them, or
    in the parent folder if their folder is called data; or None. commit: of a Hub name.
    """
    for card in (*_local_cards(path), *_cached_card(path, repo_type, commit)):
        if fields := _fields(card):
            return fields
    return dict(UNKNOWN)


def words(license: Mapping[str, Any]) -> str:
    """Return the license as text."""
    identifiers = license["license"] if isinstance(license["license"], list) else [license["license"]]
    named = ", ".join(map(str, identifiers))
    more = [str(license[name]) for name in FIELDS[1:] if name in license]
    return f"{named} ({', '.join(more)})" if more else named


def _local_cards(path: Any) -> Iterator[Path]:
    for source in local_paths(path)[:1]:
        folder = source if source.is_dir() else source.parent
        yield folder / "README.md"
        if folder.name == "data":
            yield folder.parent / "README.md"


def _cached_card(path: Any, repo_type: str, commit: str | None) -> Iterator[Path]:
    from huggingface_hub import try_to_load_from_cache

    if isinstance(path, str) and path.count("/") == 1 and not Path(path).exists():
        try:
            card = try_to_load_from_cache(path, "README.md", repo_type=repo_type, revision=commit)
        except ValueError:  # not a valid repository name
            return
        if isinstance(card, str):
            yield Path(card)


def _fields(card: Path) -> dict[str, Any]:
    import yaml
    from huggingface_hub import metadata_load

    try:
        metadata = metadata_load(card) or {}
    except (OSError, ValueError, yaml.YAMLError):  # no card, or an invalid one
        return {}
    return {name: metadata[name] for name in FIELDS if metadata.get(name)} if metadata.get("license") else {}
