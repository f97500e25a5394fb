"""The embedder in the background of this machine: start, find, stop. Its files are in `<home>/embedder`."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from prodsim.plugin.errors import EmbedderError

from .__main__ import ERROR_PREFIX
from .client import EmbedderClient
from .processes import MARK, is_alive, marked, signal_process, stop_marked
from .server import files_of_ray, prepare
from .settings import ServerSettings

STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Running:
    """An embedder that `start` left running. `started` is Unix seconds; `mark` is in its processes' environment."""

    pid: int
    mark: str
    url: str
    model_id: str
    started: float

    def process_ids(self) -> list[int]:
        return marked(self.mark)


@dataclass(frozen=True)
class Started:
    running: Running
    was_up: bool
    seconds: float


def log_file(home: Path) -> Path:
    return home / "embedder" / "embedder.log"


def start(home: Path, settings: ServerSettings, timeout_s: float = 300.0) -> Started:
    """An embedder on this machine that is ready, the one that runs already or a new one.

    Raises:
        EmbedderError: another model runs, or the new one does not become ready; nothing of it is left then.
    """
    began = time.monotonic()
    with locked(home):
        running = find(home)
        was_up = running is not None
        if running is None:
            running = spawn(home, settings)
        else:
            check_same(running, settings)
    try:
        wait_until_ready(home, running, timeout_s)
    except BaseException:  # an interrupted start must not leave half an embedder
        if not was_up:
            stop(home)
        raise
    return Started(running, was_up, time.monotonic() - began)


def spawn(home: Path, settings: ServerSettings) -> Running:
    clear(recorded(home))
    prepared = prepare(settings)
    log = log_file(home)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    mark = secrets.token_hex(8)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prodsim.embedder", prepared.model_dump_json(exclude_defaults=True)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env={**os.environ, MARK: mark},
            start_new_session=True,
        )
    running = Running(process.pid, mark, prepared.url, ", ".join(prepared.declared()), time.time())
    state_file(home).write_text(json.dumps(asdict(running)))
    return running


def wait_until_ready(home: Path, running: Running, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    with EmbedderClient(running.url, verify=False) as client:  # its own certificate may name another host
        while not client.ready():
            reap(running.pid)
            if not is_alive(running.pid):
                raise EmbedderError(failure(home))
            if time.monotonic() > deadline:
                raise EmbedderError(f"the embedder is not ready after {timeout_s:g} s: see {log_file(home)}")
            time.sleep(0.1)


def check_same(running: Running, settings: ServerSettings) -> None:
    prepared_id = ", ".join(settings.declared())
    if (running.model_id, running.url) != (prepared_id, settings.url):
        raise EmbedderError(
            f"an embedder with model {running.model_id} runs at {running.url}: "
            "stop it first with 'prodsim-admin embedder down'"
        )


def failure(home: Path) -> str:
    """Why the last start failed, from the end of its log."""
    lines = [line for line in log_tail(home, 200) if line.strip()]
    errors = [line.removeprefix(ERROR_PREFIX) for line in lines if line.startswith(ERROR_PREFIX)]
    return errors[-1] if errors else f"the embedder stopped while it started: see {log_file(home)}"


def log_tail(home: Path, count: int) -> list[str]:
    """The last lines of the log; none where there is no log yet."""
    try:
        return log_file(home).read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []


def stop(home: Path) -> Running | None:
    """What was stopped, with every process of it gone; None where nothing ran."""
    with locked(home):
        running = find(home)
        if running is not None:
            signal_process(running.pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while is_alive(running.pid) and time.monotonic() < deadline:
                time.sleep(0.05)
                reap(running.pid)
        clear(recorded(home))
        state_file(home).unlink(missing_ok=True)
    return running


def reload(home: Path, timeout_s: float) -> list[str]:
    """Has the embedder read its models file again, and returns their names when all of them are ready.

    Raises:
        EmbedderError: none runs, it has no models file, the file can't be used, or a model does not load.
    """
    running = find(home)
    if running is None:
        raise EmbedderError("no embedder of `up` is running")
    seen = len(log_tail(home, 1 << 30))
    signal_process(running.pid, signal.SIGHUP)
    deadline = time.monotonic() + timeout_s
    while True:
        new = log_tail(home, 1 << 30)[seen:]
        for line in new:
            if line.startswith(("reload failed", "nothing to reload")):
                raise EmbedderError(line)
        if any(line.startswith("reloaded: ") for line in new):
            break
        if time.monotonic() > deadline or not is_alive(running.pid):
            raise EmbedderError(f"the models are not ready after {timeout_s:g} s: see {log_file(home)}")
        time.sleep(0.1)
    names = next(line for line in new if line.startswith("reloaded: ")).removeprefix("reloaded: ")
    state_file(home).write_text(json.dumps(asdict(running) | {"model_id": names}))
    return names.split(", ")


def find(home: Path) -> Running | None:
    """The embedder that `start` left running under this home, ready or not."""
    running = recorded(home)
    # another process may have got the id meanwhile: only ours has the mark
    return running if running and running.pid in marked(running.mark) else None


def recorded(home: Path) -> Running | None:
    """The last embedder that was started, running or not."""
    try:
        return Running(**json.loads(state_file(home).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def clear(last: Running | None) -> None:
    """Ends what is left of an embedder, should it have been killed, and removes its temporary files."""
    if last is not None:
        stop_marked(last.mark)
        shutil.rmtree(files_of_ray(last.mark), ignore_errors=True)


def state_file(home: Path) -> Path:
    return home / "embedder" / "running.json"


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """One start or stop at a time."""
    folder = home / "embedder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise EmbedderError(f"can't write to {folder} ({error.strerror}): set home to a folder of yours") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def reap(pid: int) -> None:
    """Takes note of a child's end, where it is this process's child."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
