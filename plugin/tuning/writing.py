"""A tuned profile as a file: what it inherits, and the numbers that changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from prodsim.plugin.errors import UsageError
from prodsim.plugin.ranking.files import PROFILE_SUFFIXES, shipped_names

from .tune import Tuned


def parent_of(profile: str, out: Path) -> str:
    """What a profile written to `out` inherits to be the profile asked for with other numbers.

    Raises:
        UsageError: from there it could not be found, or is the file itself.
    """
    path = Path(profile)
    if out.suffix not in PROFILE_SUFFIXES:
        raise UsageError(f"--out {out}: a profile's file ends with {' or '.join(PROFILE_SUFFIXES)}")
    if path.suffix not in PROFILE_SUFFIXES:
        beside = any((out.parent / f"{profile}{suffix}").is_file() for suffix in PROFILE_SUFFIXES)
        if not beside and profile not in shipped_names():
            raise UsageError(f"--out {out}: write it beside profile {profile}, which it inherits")
        return profile
    if path.resolve() == out.resolve():
        raise UsageError(f"--out {out} is the profile that is tuned: name another file")
    if path.resolve().parent != out.resolve().parent:
        raise UsageError(f"--out {out}: write it into {path.resolve().parent}, where {path.name} is, which it inherits")
    return path.stem


def profile_text(tuned: Tuned, parent: str) -> str:
    """YAML with the parent, how the numbers were found, and what they are."""
    gain = tuned.gain.estimate
    said = (
        f"# Found by 'prodsim-admin ranking tune' on {tuned.queries} judged queries.\n"
        f"# {tuned.measure} on held-out queries: {gain.signed} against {parent}, {tuned.folds} folds.\n"
    )
    content: dict[str, Any] = {"inherits": parent}
    for path, (_, after, *_rest) in tuned.changes.items():
        put(content, path, after)
    content.setdefault("words", {}).update(tuned.words)
    if not content["words"]:
        del content["words"]
    return said + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def put(content: dict[str, Any], path: str, value: float) -> None:
    head, _, rest = path.partition(".")
    if not rest:
        content[head] = value
    elif head == "fields":
        content.setdefault("fields", {})[rest] = value
    else:
        put(content.setdefault(head, {}), rest, value)


def write_profile(text: str, out: Path) -> None:
    """Raises UsageError where the file can't be written."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out} can't be written: {error.strerror or error}") from None


def changed_numbers(changes: Mapping[str, tuple[float, float, float, float]]) -> list[dict[str, Any]]:
    """Rows for tables and JSON."""
    return [
        {"number": path, "before": before, "after": after, "folds": [least, most]}
        for path, (before, after, least, most) in changes.items()
    ]
