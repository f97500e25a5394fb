"""The engine's process: never mistaken for another, and its traces."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
import yaml

from prodsim.plugin.engine import engines_to_stop, list_engines, ports, process, start_engine, stop_engine
from prodsim.plugin.engine.account import Account, account_for_engine
from prodsim.plugin.engine.instance import Instance, Record, configure, known_instances
from prodsim.plugin.engine.logs import follow, last_lines, log_lines, startup_problem
from prodsim.plugin.engine.recipe import recipe_for
from prodsim.plugin.errors import LocalEngineError, NotFound, UsageError


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    instance = Instance(tmp_path / "instances" / "2.19.1-9399")
    instance.logs.mkdir(parents=True)
    instance.data.mkdir()
    instance.write_record(
        Record(
            version="2.19.1",
            port=9399,
            transport_port=9499,
            heap="1g",
            ephemeral=False,
            user="prodsim",
            java="/jvm",
            ready=True,
        )
    )
    return instance


@pytest.fixture
def stand_in(instance: Instance) -> Iterator[subprocess.Popen[bytes]]:
    """A process with the command line of the instance's engine, which takes no notice of SIGTERM."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, instance.marker, process.MAIN_CLASS]
    running = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert running.stdout
    running.stdout.readline()
    yield running
    running.kill()
    running.wait()
    running.stdout.close()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(["sleep", "60"])
    yield running
    running.kill()
    running.wait()


def test_a_process_that_got_the_pid_of_a_dead_engine_is_left_alone(
    instance: Instance, stranger: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    instance.pid_file.write_text(f"{stranger.pid}\n")
    assert [engine.state for engine in list_engines(tmp_path)] == ["stale pid"]
    assert stop_engine(tmp_path, instance.name) is False
    assert stranger.poll() is None
    assert [engine.state for engine in list_engines(tmp_path)] == ["stopped"]


def test_an_engine_of_another_instance_is_left_alone(instance: Instance, stand_in: subprocess.Popen[bytes]) -> None:
    other = Instance(instance.folder.with_name("2.19.1-9398"))
    other.folder.mkdir()
    other.pid_file.write_text(f"{stand_in.pid}\n")
    assert process.find_process(other) is None
    assert process.terminate(other) is False
    assert stand_in.poll() is None


@pytest.mark.parametrize("content", [None, "", "not a number", "1"])
def test_an_engine_is_found_and_stopped_whatever_its_pid_file_says(
    instance: Instance, stand_in: subprocess.Popen[bytes], content: str | None
) -> None:
    if content is not None:
        instance.pid_file.write_text(content)
    assert process.find_process(instance) == stand_in.pid
    assert process.terminate(instance, grace_s=0.1) is True
    assert stand_in.wait() == -signal.SIGKILL


def test_an_engine_that_crashed_is_shown_and_tidied_up(instance: Instance, tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    instance.pid_file.write_text(f"{dead.pid}\n")
    (status,) = list_engines(tmp_path)
    assert (status.state, status.pid, status.health) == ("stale pid", None, None)
    assert [engine.name for engine in engines_to_stop(tmp_path, 9399, purge=False)] == [instance.name]
    stop_engine(tmp_path, instance.name)
    assert instance.data.exists()
    assert engines_to_stop(tmp_path, 9399, purge=False) == []


def test_purging_a_stopped_engine_removes_its_folder(instance: Instance, tmp_path: Path) -> None:
    (instance.data / "shard").write_bytes(b"x" * 1000)
    (status,) = engines_to_stop(tmp_path, None, purge=True)
    assert status.data_size_bytes == 1000
    stop_engine(tmp_path, status.name, purge=True)
    assert not instance.folder.exists()
    assert list_engines(tmp_path) == []


def test_purging_a_port_means_the_engine_that_runs_there(
    instance: Instance, stand_in: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    other = Instance(instance.folder.with_name("3.5.0-9399"))
    other.folder.mkdir()
    record = instance.record
    assert record is not None
    other.write_record(record.model_copy(update={"version": "3.5.0"}))
    assert [known.name for known in known_instances(tmp_path, 9399)] == ["2.19.1-9399", "3.5.0-9399"]
    assert [engine.name for engine in engines_to_stop(tmp_path, 9399, purge=True)] == [instance.name]
    assert len(engines_to_stop(tmp_path, None, purge=True)) == 2


def test_stopping_an_engine_that_never_was_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"2\.19\.1-9200"):
        stop_engine(tmp_path, "2.19.1-9200")


def test_a_record_that_can_not_be_read_is_no_engine(instance: Instance, tmp_path: Path) -> None:
    instance.record_file.write_text(json.dumps({"version": "2.19.1"}))
    assert list_engines(tmp_path) == []


def test_a_start_cut_short_while_its_keystore_was_written_does_not_spoil_the_next(instance: Instance) -> None:
    """The engine refuses to start for ever where it finds an unfinished keystore of its own."""
    record = instance.record
    assert record is not None
    account = Account("this", os.geteuid(), os.getegid())
    configure(instance, recipe_for("2.19.1"), record, account)
    (instance.config / "opensearch.keystore.tmp").touch()
    (instance.config / "opensearch.keystore").touch()
    configure(instance, recipe_for("2.19.1"), record, account)
    assert {path.name for path in instance.config.iterdir()} == {
        "opensearch.keystore",
        "opensearch.yml",
        "log4j2.properties",
    }


def test_an_engine_listens_on_this_machine_alone(instance: Instance) -> None:
    record = instance.record
    assert record is not None
    configure(instance, recipe_for("3.5.0"), record, Account("this", os.geteuid(), os.getegid()))
    settings = yaml.safe_load((instance.config / "opensearch.yml").read_text())
    assert settings["network.host"] == "127.0.0.1"
    assert (settings["http.port"], settings["transport.port"]) == (9399, 9499)
    assert settings["path.data"] == str(instance.data)


@pytest.mark.skipif(os.geteuid() != 0, reason="for others it is another refusal")
def test_the_engine_is_never_run_as_root() -> None:
    with pytest.raises(UsageError, match="refuses to run as root"):
        account_for_engine("root")


def test_an_unknown_user_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no-such-user"):
        account_for_engine("no-such-user")


def test_a_port_in_use_is_said_with_who_uses_it_before_anything_is_downloaded(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(LocalEngineError, match=rf"port {port} is used by .*process {os.getpid()}.*--port"):
            start_engine(tmp_path / "home", port=port)
    assert not (tmp_path / "home").exists()


def test_the_transport_port_is_a_hundred_up_or_else_free() -> None:
    with socket.socket() as first:
        first.bind(("127.0.0.1", 0))
        base = first.getsockname()[1] - 100
    assert ports.transport_port_for(base) == base + 100
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + 100))
        taken.listen()
        chosen = ports.transport_port_for(base)
    assert chosen != base + 100
    assert ports.is_free(chosen)


def test_a_failed_start_is_explained_by_the_root_cause_in_the_log(instance: Instance) -> None:
    earlier = "[ERROR] java.lang.IllegalStateException: an older failure\n"
    instance.log_file.write_text(
        earlier + "[INFO ] starting ...\n[ERROR] uncaught exception in thread [main]\n"
        "org.opensearch.bootstrap.StartupException: failed\n\tat org.opensearch.Bootstrap.init(Bootstrap.java:1)\n"
        "Caused by: java.io.IOException: failed to obtain node locks\n"
        "\tat org.opensearch.Env.lock(Env.java:2)\n\t... 5 more\n"
    )
    problem = startup_problem(instance, len(earlier))
    assert problem == "java.io.IOException: failed to obtain node locks"


def test_a_start_that_java_refuses_is_explained_by_what_java_printed(instance: Instance) -> None:
    instance.console_file.write_text(
        "WARNING: A terminally deprecated method in java.lang.System has been called\n"
        "Error occurred during initialization of VM\n"
    )
    assert "Error occurred during initialization of VM" in startup_problem(instance, 0)


def test_a_start_that_left_no_message_is_said_so(instance: Instance) -> None:
    assert startup_problem(instance, 0) == "it left no message"


def test_the_last_lines_of_a_log_are_shown_in_order(instance: Instance, tmp_path: Path) -> None:
    instance.log_file.write_text("".join(f"line {number}\n" for number in range(100)))
    assert list(log_lines(tmp_path, 9399, 2)) == ["line 98", "line 99"]
    assert last_lines(instance.log_file, 0) == []


def test_logs_of_a_port_without_an_engine_are_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no engine on port 9398"):
        list(log_lines(tmp_path, 9398, 2))


def test_following_a_log_goes_on_through_its_rotation(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    path.write_text("before\n")
    seen: list[str] = []

    def read() -> None:
        for line in follow(path):
            seen.append(line)
            if line == "after":
                return

    reader = Thread(target=read)
    reader.start()
    time.sleep(0.1)
    with path.open("a") as file:
        file.write("first\n")
    wait_for(lambda: seen == ["first"])
    path.rename(tmp_path / "engine-1.log")
    path.write_text("after\n")
    reader.join(5)
    assert seen == ["first", "after"]


def wait_for(reached: object, timeout_s: float = 5.0) -> None:
    assert callable(reached)
    give_up = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < give_up
        time.sleep(0.02)
