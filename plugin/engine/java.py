"""Finds a Java that an engine runs on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .account import Account, succeeds_as
from .locks import Say, silent
from .recipe import JavaRange

SYSTEM_FOLDER = Path("/usr/lib/jvm")
VERSION_LINE = re.compile(r'version "(?:1\.)?(\d+)')


@dataclass(frozen=True)
class Java:
    """A Java runtime: `home` holds `bin/java`, `version` is its feature release (17, 21, ...)."""

    home: Path
    version: int

    @property
    def program(self) -> Path:
        return self.home / "bin" / "java"


def find_java(
    needed: JavaRange,
    account: Account,
    say: Say = silent,
    environment: Mapping[str, str] = os.environ,
    system_folder: Path = SYSTEM_FOLDER,
) -> Java | None:
    """The Java to run the engine on, or None.

    Looked at, in this order: OPENSEARCH_JAVA_HOME, JAVA_HOME, `java` on the PATH, and the folders of `/usr/lib/jvm`,
    newest first. Passed over: another version, one that `account` can't run, and a cut-down runtime without the
    locale data that the analysis modules need.
    """
    for home, named_by in candidates(environment, system_folder):
        version = feature_release(home)
        reason = (
            "has no working bin/java"
            if version is None
            else f"is Java {version}, and {needed} is needed"
            if not needed.fits(version)
            else "lacks locale data"
            if not has_locale_data(home)
            else f"can't be run by the user {account.name}"
            if not runs(home, account)
            else None
        )
        if version is not None and reason is None:
            return Java(home, version)
        if named_by:
            say(f"{named_by} is passed over: {home} {reason}")
    return None


def candidates(environment: Mapping[str, str], system_folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Java homes, each once, with the variable that names it, if one does."""
    seen: set[Path] = set()
    for home, named_by in all_candidates(environment, system_folder):
        if home.resolve() not in seen:
            seen.add(home.resolve())
            yield home, named_by


def all_candidates(environment: Mapping[str, str], system_folder: Path) -> Iterator[tuple[Path, str | None]]:
    for variable in ("OPENSEARCH_JAVA_HOME", "JAVA_HOME"):
        if environment.get(variable):
            yield Path(environment[variable]), variable
    on_path = shutil.which("java", path=environment.get("PATH", ""))
    if on_path:
        yield Path(on_path).resolve().parent.parent, None
    installed = [path for path in system_folder.glob("*") if (path / "bin" / "java").exists()]
    yield from ((path, None) for path in sorted(installed, key=lambda path: (-(feature_release(path) or 0), path)))


def feature_release(home: Path) -> int | None:
    """17 for Java 17.0.15, as the `release` file says, or else `java -version`; None where there is no Java."""
    if not (home / "bin" / "java").exists():
        return None
    named = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release_file(home), re.MULTILINE)
    if not named:
        try:
            shown = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            return None
        named = VERSION_LINE.search(shown.stderr + shown.stdout)
    return int(named[1]) if named else None


def release_file(home: Path) -> str:
    try:
        return (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def has_locale_data(home: Path) -> bool:
    modules = re.search(r'^MODULES="([^"]*)"', release_file(home), re.MULTILINE)
    return modules is None or "jdk.localedata" in modules[1].split()


def runs(home: Path, account: Account) -> bool:
    return succeeds_as(account, [home / "bin" / "java", "-version"])
