"""Puts an engine together from its downloads, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from prodsim.plugin.errors import LocalEngineError

from .downloads import fetch_all, make_durable, megabytes, published_url
from .locks import Say, locked, silent
from .recipe import Artifact, Module, Recipe

STAMP = "prodsim-engine.json"
UNFINISHED = ".installing-"
UNPACKED_SHARE = 1.3  # measured: unpacked engines are 1.02 and 1.22 times their downloads


def engine_folder(home: Path, name: str) -> Path:
    return home / "engines" / name


def is_installed(home: Path, recipe: Recipe) -> bool:
    """Whether exactly this recipe is installed; a folder without its stamp is not one of ours."""
    try:
        stamp = json.loads((engine_folder(home, recipe.name) / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(stamp, dict) and stamp.get("fingerprint") == recipe.fingerprint


def ensure_installed(
    recipe: Recipe,
    home: Path,
    downloads: Path | None = None,
    say: Say = silent,
    url_of: Callable[[Artifact], str] = published_url,
) -> Path:
    """The folder of the engine, installed first where it is not. It is read-only to who runs it.

    The engine is assembled beside its final place and renamed into it, so that a folder under its final name is
    complete whenever the process, or the machine, stops. Downloads stay in `downloads` (default: `<home>/downloads`).

    Raises:
        LocalEngineError: a file can't be had or is not what it should be, or the disk refuses.
    """
    target = engine_folder(home, recipe.name)
    if is_installed(home, recipe):
        return target
    try:
        downloads = downloads or home / "downloads"
        make_folders(target.parent, downloads)
        with locked(target.parent / ".lock", f"another prodsim-admin is installing an engine in {home}", say):
            remove_unfinished(target.parent)
            if not is_installed(home, recipe):
                require_space(recipe, downloads, target.parent)
                fetch_all(recipe.artifacts, downloads, say, url_of)
                say(f"assembling OpenSearch {recipe.version} in {target}")
                assemble(recipe, downloads, target)
    except OSError as error:
        raise LocalEngineError(f"OpenSearch {recipe.version} can't be installed in {home}: {error}") from None
    return target


def make_folders(*folders: Path) -> None:
    """Creates what is missing, enterable by every user whatever the umask: the engine may run as another one."""
    for folder in folders:
        for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
            missing.mkdir(exist_ok=True)
            missing.chmod(0o755)


def remove_unfinished(engines: Path) -> None:
    for leftover in engines.glob(f"{UNFINISHED}*"):
        shutil.rmtree(leftover)


def require_space(recipe: Recipe, downloads: Path, engines: Path) -> None:
    missing = [artifact for artifact in recipe.artifacts if not (downloads / artifact.file_name).exists()]
    download_bytes = sum(artifact.size_bytes for artifact in missing)
    unpacked_bytes = round(UNPACKED_SHARE * sum(artifact.size_bytes for artifact in recipe.artifacts))
    for folder, needed_bytes in ((downloads, download_bytes), (engines, unpacked_bytes + download_bytes)):
        free_bytes = shutil.disk_usage(folder).free
        if free_bytes < needed_bytes:
            raise LocalEngineError(
                f"OpenSearch {recipe.version} needs {megabytes(needed_bytes)} in {folder}, and {megabytes(free_bytes)}"
                " are free: make room, or name another folder in PRODSIM_HOME"
            )


def assemble(recipe: Recipe, downloads: Path, target: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=target.parent))
    try:
        engine = work / f"opensearch-{recipe.version}"
        unpack(downloads / recipe.core.file_name, work)
        for name, module in recipe.modules.items():
            build_module(name, module, recipe.version, downloads, engine / "modules" / name)
        for name, plugin in recipe.plugins.items():
            unpack(downloads / plugin.file_name, engine / "plugins" / name)
        (engine / STAMP).write_text(json.dumps({"version": recipe.version, "fingerprint": recipe.fingerprint}))
        settle(engine)
        if target.exists():  # made from an older recipe; a running engine keeps the files that it has open
            target.replace(work / "replaced")
        engine.replace(target)
        make_durable(target.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def unpack(archive: Path, target: Path) -> None:
    """Extracts a zip into `target`. Raises LocalEngineError for an entry that would land outside, or is a link."""
    target.mkdir(parents=True, exist_ok=True)
    root = target.resolve()
    try:
        with zipfile.ZipFile(archive) as content:
            for entry in content.infolist():
                place = (root / entry.filename).resolve()
                if not place.is_relative_to(root) or stat.S_ISLNK(entry.external_attr >> 16):
                    raise LocalEngineError(f"{archive} holds an entry that leaves its folder: {entry.filename}")
                content.extract(entry, root)
    except zipfile.BadZipFile as error:
        raise LocalEngineError(f"{archive} is not a zip file ({error}): remove it and run the command again") from None


def build_module(name: str, module: Module, version: str, downloads: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for jar in module.jars:
        shutil.copyfile(downloads / jar.file_name, folder / jar.file_name)
    descriptor = {
        "name": name,
        "description": name,
        "version": version,
        "opensearch.version": version,
        "java.version": "11",
        "classname": module.class_name,
        "extended.plugins": ",".join(module.extends),
        "has.native.controller": "false",
    }
    lines = [f"{key}={value}\n" for key, value in descriptor.items()]
    (folder / "plugin-descriptor.properties").write_text("".join(lines))
    grants = [f"  permission {permission};\n" for permission in module.permissions]
    (folder / "plugin-security.policy").write_text("grant {\n" + "".join(grants) + "};\n")


def settle(engine: Path) -> None:
    """Makes the tree readable by all, writable by the owner alone, and waits until it is on the disk."""
    for folder, _, files in os.walk(engine):
        for path in [Path(folder, name) for name in files]:
            path.chmod(0o755 if path.parent.name == "bin" else 0o644)
            make_durable(path)
        os.chmod(folder, 0o755)
        make_durable(Path(folder))
