"""The engine's process: started apart from the terminal, found again, stopped, never mistaken for another."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from prodsim.plugin.errors import LocalEngineError

from .account import Account, start_as
from .instance import Instance, Record, heap_bytes, jvm_arguments, write
from .java import Java
from .recipe import Recipe

MAIN_CLASS = "org.opensearch.bootstrap.OpenSearch"
GRACE_S = 30.0
POLL_S = 0.05


def spawn(
    instance: Instance, recipe: Recipe, record: Record, engine: Path, java: Java, account: Account
) -> subprocess.Popen[bytes]:
    """Starts the engine in its own session, with the rights of `account`, and writes its pid file.

    Java is called as `bin/opensearch` would call it in the end. The script runs four short Java programs first, which
    is 1.3 s (2.19.1) to 2.5 s (3.5.0) of every start on two cores, and gives the process no name until then.
    """
    arguments = jvm_arguments(
        recipe,
        java.version,
        heap=record.heap,
        direct_memory_bytes=heap_bytes(record.heap) // 2,
        engine=engine,
        config=instance.config,
        logs=instance.logs,
        tmp=instance.tmp,
    )
    command: list[str | Path] = [java.program, *arguments, "-cp", f"{engine}/lib/*", MAIN_CLASS]
    with instance.console_file.open("wb") as console:
        environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "JAVA_HOME": str(java.home)}
        process = start_as(account, command, engine, environment, console)
    write(instance.pid_file, f"{process.pid}\n")
    return process


def find_process(instance: Instance) -> int | None:
    """The pid of the instance's process, or None.

    The pid file is only a hint: a process counts when its command line names this instance. Where the file is lost
    or names another process, all are looked at.
    """
    hint = pid_in_file(instance)
    if hint is not None and belongs_to(hint, instance):
        return hint
    others = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return next((pid for pid in others if belongs_to(pid, instance)), None)


def pid_in_file(instance: Instance) -> int | None:
    try:
        return int(instance.pid_file.read_text())
    except (OSError, ValueError):
        return None


def belongs_to(pid: int, instance: Instance) -> bool:
    """Whether `pid` runs this instance; not so for a zombie, whose command line is empty."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(instance.marker) in arguments and MAIN_CLASS.encode() in arguments


def terminate(instance: Instance, grace_s: float = GRACE_S) -> bool:
    """Stops the instance's process: asks, waits `grace_s`, then kills. False where there was none.

    Raises:
        LocalEngineError: the process belongs to another user, or survives even that.
    """
    pid = find_process(instance)
    if pid is None:
        return False
    for kind, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 10.0)):
        try:
            os.kill(pid, kind)
        except ProcessLookupError:
            return True
        except PermissionError:
            owner = instance.record.user if instance.record else "another user"
            raise LocalEngineError(
                f"the engine {instance.name} (process {pid}) runs as {owner}: stop it as root, or as that user"
            ) from None
        if wait_until_gone(pid, instance, patience_s):
            return True
    raise LocalEngineError(f"the engine {instance.name} (process {pid}) does not stop, even when killed")


def wait_until_gone(pid: int, instance: Instance, timeout_s: float) -> bool:
    give_up = time.monotonic() + timeout_s
    while belongs_to(pid, instance):
        if time.monotonic() > give_up:
            return False
        time.sleep(POLL_S)
    return True
