"""`prodsim-admin engine`, on engines of its own: installed, started, stopped, killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from prodsim.plugin.config import default_home
from prodsim.plugin.errors import ExitCode

PORT, EPHEMERAL_PORT, TAKEN_PORT = 9310, 9312, 9314
HEAP = "512m"
ENGINE_UP = ["engine", "up", "--heap", HEAP, "--port"]
COMMAND = [sys.executable, "-c", "from prodsim.plugin.cli.main import main; main()"]


@dataclass(frozen=True)
class Machine:
    """A home of its own, and `prodsim-admin` on it."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PRODSIM_HOME": str(self.home)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments], env=self.environment, cwd=self.home, capture_output=True, text=True, check=False
        )

    def run_json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=heed_interrupts,
        )


def heed_interrupts() -> None:
    """A run of the tests in the background ignores Ctrl-C, and its children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """Nothing installed, but the downloads are those of the other tests. The engine's user can enter its home."""
    downloads = default_home() / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="prodsim-test-"))
    home.chmod(0o755)
    (home / "downloads").symlink_to(downloads)
    machine = Machine(home)
    yield machine
    machine.run("engine", "down", "--all", "--purge", "--yes")
    shutil.rmtree(home)


def wait_for(reached: Callable[[], object], timeout_s: float = 300.0) -> None:
    give_up = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < give_up, "waited too long"
        time.sleep(0.01)


def only(rows: list[dict[str, Any]]) -> dict[str, Any]:
    (row,) = rows
    return row


def test_an_engine_survives_all_that_happens_to_it(machine: Machine) -> None:
    """One long story, since each start takes its time: killed while installing, up, down, up again, killed, purged."""
    installing = machine.start(*ENGINE_UP, str(PORT))
    wait_for(lambda: list((machine.home / "engines").glob(".installing-*/opensearch-2.19.1/lib/*.jar")))
    installing.kill()
    installing.wait()
    assert not (machine.home / "engines" / "2.19.1").exists()

    engine = machine.run_json(*ENGINE_UP, str(PORT))
    assert engine["url"] == f"http://127.0.0.1:{PORT}"
    assert not engine["was_running"]
    assert not list((machine.home / "engines").glob(".installing-*"))
    if os.geteuid() == 0:
        assert Path(f"/proc/{engine['pid']}").stat().st_uid != 0
    assert os.getsid(engine["pid"]) == engine["pid"], "the engine would end with the terminal"
    assert ml_commons_accepts_a_connector_to_the_engine_itself(engine["url"])
    httpx.put(f"{engine['url']}/kept/_doc/1?refresh=true", json={"name": "jacket"}).raise_for_status()

    row = only(machine.run_json("engine", "status"))
    assert (row["state"], row["pid"], row["version"], row["heap"]) == ("running", engine["pid"], "2.19.1", HEAP)
    assert row["health"] in ("green", "yellow")
    assert row["data_size_bytes"] > 0
    assert "opensearch-knn" in row["plugins"]

    again = machine.run(*ENGINE_UP, str(PORT))
    assert again.returncode == 0
    assert re.search(rf"is up already: {engine['url']} \(process {engine['pid']},", again.stdout)
    for difference in (["--heap", "1g"], ["--version", "3.5.0"], ["--ephemeral"]):
        refused = machine.run("engine", "up", "--port", str(PORT), *difference)
        assert refused.returncode == ExitCode.FAILED
        assert "an engine runs on port 9310 already" in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert httpx.get(f"{engine['url']}/kept/_doc/1").json()["found"]

    shown = machine.run("engine", "logs", "--port", str(PORT), "-n", "3")
    assert len(shown.stdout.splitlines()) == 3

    down = machine.run("engine", "down", "--port", str(PORT))
    assert (down.returncode, down.stderr) == (0, "2.19.1-9310: stopped\n")
    assert only(machine.run_json("engine", "status"))["state"] == "stopped"
    down = machine.run("engine", "down", "--port", str(PORT))
    assert (down.returncode, down.stderr) == (0, "no engine is running on port 9310\n")

    engine = machine.run_json(*ENGINE_UP, str(PORT))
    assert httpx.get(f"{engine['url']}/kept/_doc/1").json()["_source"] == {"name": "jacket"}

    os.kill(engine["pid"], signal.SIGKILL)
    wait_for(lambda: only(machine.run_json("engine", "status"))["state"] == "stale pid", 30)
    purged = machine.run("engine", "down", "--port", str(PORT), "--purge", "--yes")
    assert (purged.returncode, purged.stderr) == (0, "2.19.1-9310: was not running, data deleted\n")
    assert machine.run_json("engine", "status") == []


def ml_commons_accepts_a_connector_to_the_engine_itself(url: str) -> bool:
    connector = {
        "name": "self",
        "description": "the engine calls itself",
        "version": 1,
        "protocol": "http",
        "parameters": {},
        "credential": {"key": "none"},
        "actions": [{"action_type": "predict", "method": "POST", "url": f"{url}/_search", "request_body": "{}"}],
    }
    created = httpx.post(f"{url}/_plugins/_ml/connectors/_create", json=connector, timeout=10.0)
    return created.status_code == 200


def test_an_interrupted_start_leaves_nothing_running_and_an_ephemeral_engine_leaves_nothing(machine: Machine) -> None:
    up = [*ENGINE_UP, str(EPHEMERAL_PORT), "--ephemeral"]
    pid_file = machine.home / "instances" / f"2.19.1-{EPHEMERAL_PORT}-ephemeral" / "engine.pid"
    starting = machine.start(*up)
    wait_for(pid_file.exists)
    pid = int(pid_file.read_text())
    starting.send_signal(signal.SIGINT)
    assert starting.wait(60) == 130
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), 10)  # the kernel takes a moment to clear its memory away

    engine = machine.run_json(*up)
    httpx.put(f"{engine['url']}/gone/_doc/1?refresh=true", json={"name": "jacket"}).raise_for_status()
    assert machine.run("engine", "down", "--port", str(EPHEMERAL_PORT)).returncode == 0
    assert not pid_file.parent.exists()


def test_a_port_in_use_is_said_in_one_line_with_who_uses_it(machine: Machine) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", TAKEN_PORT))
        listener.listen()
        refused = machine.run("engine", "up", "--port", str(TAKEN_PORT))
    assert refused.returncode == ExitCode.FAILED
    assert f"process {os.getpid()}" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_start_that_fails_says_why_and_leaves_nothing_running(machine: Machine) -> None:
    failed = machine.run("engine", "up", "--port", str(TAKEN_PORT), "--heap", "90000g", "--ephemeral")
    assert failed.returncode == ExitCode.FAILED
    assert "stopped while starting (exit code 1)" in failed.stderr.splitlines()[-1]
    assert "console.log" in failed.stderr.splitlines()[-1]
    row = only(machine.run_json("engine", "status", "--port", str(TAKEN_PORT)))
    assert (row["state"], row["pid"]) == ("stopped", None)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["up", "--version", "1.0.0"], ExitCode.USAGE, "2.19.1"),
        (["up", "--heap", "lots"], ExitCode.USAGE, "not a heap size"),
        (["up", "--user", "no-such-user", "--port", "9316"], ExitCode.USAGE, "no-such-user"),
        (["down", "--all", "--port", "9316"], ExitCode.USAGE, "exclude each other"),
        (["down", "--port", "9316"], ExitCode.DONE, "no engine is running on port 9316"),
        (["logs", "--port", "9316"], ExitCode.NOT_FOUND, "no engine on port 9316 has a log"),
    ],
)
def test_a_wrong_command_is_answered_in_one_line(
    machine: Machine, arguments: list[str], exit_code: ExitCode, message: str
) -> None:
    done = machine.run("engine", *arguments)
    assert done.returncode == exit_code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_dry_run_says_what_up_would_do_and_does_nothing(machine: Machine) -> None:
    plan = machine.run_json("engine", "up", "--port", "9316", "--version", "2.19.1", "--dry-run")
    assert (plan["name"], plan["running"]) == ("2.19.1-9316", False)
    assert machine.run_json("engine", "status", "--port", "9316") == []
