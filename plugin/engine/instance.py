"""One engine on one port: its folder, its configuration and what is known about it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prodsim.plugin.errors import UsageError

from .account import Account
from .ports import HOST
from .recipe import Recipe

DEFAULT_HEAP = "1g"
HEAP = re.compile(r"(\d+)([mg])", re.IGNORECASE)
SMALLEST_HEAP_BYTES = 256 << 20
VERSION_LINE = re.compile(r"(\d+)(?:-(\d*))?:(-.*)")


def heap_bytes(heap: str) -> int:
    """1073741824 for `1g`. Raises UsageError for what is not a size from 256m up."""
    size = HEAP.fullmatch(heap)
    count_bytes = int(size[1]) << (20 if size[2].lower() == "m" else 30) if size else 0
    if count_bytes < SMALLEST_HEAP_BYTES:
        raise UsageError(f"{heap} is not a heap size: use a number of megabytes or gigabytes from 256m up, such as 1g")
    return count_bytes


class Record(BaseModel):
    """What `engine up` was asked for and found; `ready` is set once search and ML Commons answered."""

    model_config = ConfigDict(frozen=True)

    version: str
    port: int
    transport_port: int
    heap: str
    ephemeral: bool
    user: str
    java: str
    settings: dict[str, str] = Field(default_factory=dict)
    secure: bool = False
    ready: bool = False

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://{HOST}:{self.port}"


@dataclass(frozen=True)
class Instance:
    """Folders below `<home>/instances/<name>`. Root owns it, so what the engine's user writes can't mislead root."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def tmp(self) -> Path:
        return self.folder / "tmp"

    @property
    def log_file(self) -> Path:
        return self.logs / "engine.log"

    @property
    def console_file(self) -> Path:
        """What the Java process printed itself since its last start."""
        return self.folder / "console.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / "engine.pid"

    @property
    def record_file(self) -> Path:
        return self.folder / "instance.json"

    @property
    def record(self) -> Record | None:
        try:
            return Record.model_validate_json(self.record_file.read_bytes())
        except (OSError, ValidationError):
            return None

    def write_record(self, record: Record) -> None:
        write(self.record_file, record.model_dump_json(indent=2) + "\n")

    @property
    def marker(self) -> str:
        """The argument by which the process of this instance is known."""
        return f"-Dopensearch.path.conf={self.config}"


def instances_folder(home: Path) -> Path:
    return home / "instances"


def instance_for(home: Path, version: str, port: int, ephemeral: bool) -> Instance:
    name = f"{version}-{port}-ephemeral" if ephemeral else f"{version}-{port}"
    return Instance(instances_folder(home).resolve() / name)


def known_instances(home: Path, port: int | None = None) -> list[Instance]:
    """Instances that were started at least once and not purged, by port, then version."""
    instances = [Instance(path.parent) for path in instances_folder(home).resolve().glob("*/instance.json")]
    records = [(instance, record) for instance in instances if (record := instance.record)]
    records.sort(key=lambda pair: (pair[1].port, pair[0].name))
    return [instance for instance, record in records if port in (None, record.port)]


def write(path: Path, text: str) -> None:
    """Replaces `path`, never writes through a link that someone else put there; readable by all."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def make_folders_of(instance: Instance) -> None:
    instance.folder.mkdir(exist_ok=True)
    instance.folder.chmod(0o755)
    shutil.rmtree(instance.tmp, ignore_errors=True)
    for folder in (instance.config, instance.data, instance.logs, instance.tmp):
        folder.mkdir(exist_ok=True)


def configure(
    instance: Instance,
    recipe: Recipe,
    record: Record,
    account: Account,
    further: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Makes the folders of the instance, owned by the engine's user, and writes its configuration anew."""
    make_folders_of(instance)
    for unfinished in instance.config.glob("*.tmp"):  # a keystore that a start cut short left fails every later start
        unfinished.unlink()
    settings = {
        **recipe.settings,
        **further,
        **record.settings,
        "node.name": "prodsim",
        "http.port": record.port,
        "transport.port": record.transport_port,
        "path.data": str(instance.data),
        "path.logs": str(instance.logs),
    }
    write(instance.config / "opensearch.yml", yaml.safe_dump(settings, sort_keys=False))
    lines = [f"{key} = {value}\n" for key, value in recipe.logging.items()]
    write(instance.config / "log4j2.properties", "".join(lines))
    if os.geteuid() == 0:
        for folder in (instance.config, instance.data, instance.logs, instance.tmp):
            give_to(account, folder)
    instance.write_record(record)


def give_to(account: Account, folder: Path) -> None:
    """Makes the tree `account`'s, if it is not: another user may have run this instance before."""
    if folder.stat().st_uid == account.uid and all(path.stat().st_uid == account.uid for path in folder.iterdir()):
        return
    for path, _, files in os.walk(folder):
        for place in (path, *(os.path.join(path, name) for name in files)):
            os.chown(place, account.uid, account.gid, follow_symlinks=False)


def jvm_arguments(recipe: Recipe, java_version: int, **values: object) -> Iterator[str]:
    """The recipe's options that hold for this Java, their `{names}` filled in."""
    for option in recipe.jvm_options:
        limited = VERSION_LINE.fullmatch(option)
        if limited is None:
            yield option.format(**values)
            continue
        first, last, held = limited.groups()
        newest = int(first) if last is None else int(last or java_version)
        if int(first) <= java_version <= newest:
            yield held.format(**values)
