"""Rendering of self-contained HTML pages: values are escaped, and a missing name is an error."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from apm_exp.core.escaped import escaped
from apm_exp.core.files import write_text
from apm_exp.report.scores import minus

NONE = "\N{EN DASH}"
_TEMPLATES = Path(__file__).parent


def render(template: str, context: dict[str, Any], path: Path) -> Path:
    """Render a template of this folder to `path` atomically and return the path."""
    environment = Environment(
        loader=FileSystemLoader([_TEMPLATES, _TEMPLATES / "run", _TEMPLATES / "sweep", _TEMPLATES / "rewards"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters |= {"number": number, "count": count, "percent": percent, "seconds": seconds}
    environment.filters["breakable"] = breakable
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    write_text(environment.get_template(template).render(context), path)
    return path


def sorting() -> dict[str, str]:
    """Return the context of a page with tables that a click sorts: the script, and its digest for the page's policy."""
    script = (_TEMPLATES / "sort.js").read_text()
    return {"script": script, "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}


def _visible(value: Any) -> Any:
    """Return text with its control characters escaped, except for line breaks."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(map(escaped, value.split("\n")))


def number(value: float | None, places: int = 2, *, signed: bool = False) -> str:
    """Return a number with `places` decimals; a dash for None."""
    return NONE if value is None else minus(f"{value:{'+' if signed else ''},.{places}f}")


def breakable(text: str) -> Markup:
    """Return a name with possible line breaks after its slashes, dots, hyphens and underscores only."""
    return Markup("<wbr>").join(escape(part) for part in re.findall(r"[^/._-]*[/._-]+|[^/._-]+", escaped(text)))


def count(value: float) -> str:
    """Return a count with thousands separators."""
    return f"{value:,}"


def percent(share: float | None, places: int = 1) -> str:
    """Return a share as a percentage; a dash for None."""
    return NONE if share is None else f"{100 * share:.{places}f}%"


def seconds(value: float | None) -> str:
    """Return a duration in a suitable unit."""
    if value is None:
        return NONE
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h"
