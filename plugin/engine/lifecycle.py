"""Starts and stops engines on this machine."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from prodsim.plugin.errors import LocalEngineError, NotFound

from . import logs, ports, process
from .account import Account, account_for_engine, require_access
from .install import ensure_installed, make_folders
from .instance import (
    DEFAULT_HEAP,
    Instance,
    Record,
    configure,
    heap_bytes,
    instance_for,
    instances_folder,
    make_folders_of,
)
from .java_package import find_or_install_java
from .locks import Say, locked, silent
from .ready import wait_until_ready
from .recipe import Recipe, recipe_for
from .running import Engine, described, process_on, require_free, running_engine
from .security import http_client, install_users, make_secure
from .status import EngineStatus, health_of, list_engines

DEFAULT_PORT = 9200
DEFAULT_TIMEOUT_S = 180.0


def start_engine(
    home: Path,
    version: str | None = None,
    port: int = DEFAULT_PORT,
    heap: str | None = None,
    ephemeral: bool = False,
    user: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    downloads: Path | None = None,
    say: Say = silent,
    settings: Mapping[str, str] | None = None,
    secure: bool = False,
) -> Engine:
    """A running OpenSearch on 127.0.0.1:`port`, installed and started first where needed; returns once it is ready.

    Software and data are below `home`, downloads in `downloads` (default: `<home>/downloads`). With `ephemeral` the
    data are new and go away with `stop_engine`; otherwise they are those that this version on this port had before.
    `heap` is a size such as 512m (default: 1g, or that of the engine that runs). `timeout_s` bounds the start, not the
    installation. `say` gets what a person waiting wants to know. `settings` go into its opensearch.yml; an engine that
    runs already keeps its own. With `secure` it has the security plugin: TLS, and a user for each of prodsim's roles.

    Raises:
        UsageError: an unknown version, heap or user.
        LocalEngineError: it can't be installed or started, the port is taken, or what runs there is another engine.
    """
    if sys.platform != "linux":
        raise LocalEngineError("engines are started on Linux only: elsewhere let engine_url name a running OpenSearch")
    recipe = recipe_for(version, secure)
    heap_bytes(heap or DEFAULT_HEAP)
    home = home.resolve()
    wanted = instance_for(home, recipe.name, port, ephemeral)
    engine = running_engine(home, wanted, port, heap, user)
    if engine is not None:
        with http_client(wanted, port, secure) as client:
            wait_until_ready(client, False, lambda: None, timeout_s)
        return engine
    require_free(home, port)
    account = account_for_engine(user, say)
    java = find_or_install_java(recipe.java, account, recipe.version, say)
    prepare(home, account)
    software = ensure_installed(recipe, home, downloads, say)
    with lock_port(home, port, say):
        engine = running_engine(home, wanted, port, heap, user)
        if engine is not None:
            return engine
        if process_on(home, port) is not None:
            say(f"{wanted.name} is starting already: waiting for it")
            wait_until_up(wanted, recipe, port, timeout_s)
            return described(wanted, was_running=True)
        require_free(home, port)
        record = Record(
            version=recipe.version,
            port=port,
            transport_port=ports.transport_port_for(port),
            heap=heap or DEFAULT_HEAP,
            ephemeral=ephemeral,
            user=account.name,
            java=str(java.home),
            settings=dict(settings or {}),
            secure=secure,
        )
        with stopped_on_failure(wanted):
            if ephemeral:
                shutil.rmtree(wanted.folder, ignore_errors=True)
            make_folders_of(wanted)
            further = make_secure(wanted, software, java) if secure else {}
            configure(wanted, recipe, record, account, further)
            log_offset_bytes = logs.size_bytes(wanted.log_file)
            say(f"starting OpenSearch {recipe.version} on port {port}, {record.heap} heap, as the user {account.name}")
            child = process.spawn(wanted, recipe, record, software, java, account)
            wait_until_up(wanted, recipe, port, timeout_s, log_offset_bytes, child)
        if health_of(wanted, record) == "red":
            say(f"its health is red: some of its data can't be read, see {wanted.log_file}")
        return described(wanted, was_running=False)


def prepare(home: Path, account: Account) -> None:
    """Raises LocalEngineError unless `home` can be made and `account` can enter it."""
    try:
        make_folders(home)
    except OSError as error:
        raise LocalEngineError(f"{home} can't be made ({error}): name another folder in PRODSIM_HOME") from None
    require_access(account, home)


@contextlib.contextmanager
def lock_port(home: Path, port: int, say: Say) -> Iterator[None]:
    """One start or stop at a time for `port`. Raises LocalEngineError for what the file system refuses meanwhile."""
    lock_file = instances_folder(home) / f".port-{port}.lock"
    try:
        make_folders(instances_folder(home))
        with locked(lock_file, f"another prodsim-admin is busy with port {port}", say):
            yield
    except OSError as error:
        raise LocalEngineError(f"the engine's folder {home} can't be used: {error}") from None


@contextlib.contextmanager
def stopped_on_failure(instance: Instance) -> Iterator[None]:
    """An engine that did not get ready, or whose start was interrupted, is not left running."""
    try:
        yield
    except BaseException:
        process.terminate(instance)
        instance.pid_file.unlink(missing_ok=True)
        raise


def wait_until_up(
    instance: Instance,
    recipe: Recipe,
    port: int,
    timeout_s: float,
    log_offset_bytes: int = 0,
    child: subprocess.Popen[bytes] | None = None,
) -> None:
    """Waits for the engine, `child` where this process started it, and notes in its record that it is ready."""

    def still_starting() -> None:
        code = child.poll() if child else None
        if code in (-signal.SIGTERM, 128 + signal.SIGTERM):
            raise LocalEngineError(f"the engine {instance.name} was stopped from elsewhere while it was starting")
        if code is not None or process.find_process(instance) is None:
            raise LocalEngineError(
                f"the engine {instance.name} stopped while starting ({describe_exit(code)}):"
                f" {logs.startup_problem(instance, log_offset_bytes)}. Its log: {logs.log_of(instance)}"
            )

    try:
        with http_client(instance, port, recipe.secure) as client:
            wait_until_ready(client, recipe.has_ml_commons, still_starting, timeout_s)
            if recipe.secure:
                install_users(instance, client)
    except LocalEngineError as error:
        if child is None or child.poll() is not None:
            raise
        raise LocalEngineError(f"{error}. It was stopped; its log: {logs.log_of(instance)}") from None
    record = instance.record
    if record is not None:
        instance.write_record(record.model_copy(update={"ready": True}))


def describe_exit(code: int | None) -> str:
    if code is None:
        return "exit code unknown"
    if code == -9:
        return "killed by signal 9, often for lack of memory: try a smaller --heap"
    return f"exit code {code}" if code >= 0 else f"stopped by signal {-code}"


def stop_engine(home: Path, name: str, purge: bool = False, say: Say = silent) -> bool:
    """Stops the engine `name` and returns whether it ran. Its data stay, unless it is ephemeral or for `purge`.

    A start that is under way is given up.

    Raises:
        NotFound: there is no such engine.
        LocalEngineError: it can't be stopped, or its data can't be removed.
    """
    home = home.resolve()
    instance = Instance(instances_folder(home) / name)
    record = instance.record
    if record is None:
        raise NotFound(f"no engine {name} in {home}: `prodsim-admin engine status` lists them")
    ran = process.terminate(instance)
    with lock_port(home, record.port, say):
        ran = process.terminate(instance) or ran  # a start that waited for the lock may have come in between
        instance.pid_file.unlink(missing_ok=True)
        if purge or record.ephemeral:
            shutil.rmtree(instance.folder)
    return ran


def engines_to_stop(home: Path, port: int | None, purge: bool) -> list[EngineStatus]:
    """What `down` is about: on `port`, or everywhere for None, the engines that run or left something to tidy up.

    To purge they may also be stopped ones; but where an engine runs on `port`, it alone is meant.
    """
    engines = list_engines(home, port)
    unfinished = [engine for engine in engines if engine.state != "stopped" or engine.ephemeral]
    return engines if purge and (port is None or not unfinished) else unfinished
