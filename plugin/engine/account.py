"""The user that an engine runs as: OpenSearch refuses to run as root."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from prodsim.plugin.errors import LocalEngineError, UsageError

from .locks import Say, silent

SYSTEM_USER = "prodsim"


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int

    @property
    def is_this_process(self) -> bool:
        return self.uid == os.geteuid()


def start_as(
    account: Account, command: Sequence[str | Path], folder: Path, environment: Mapping[str, str], output: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Starts `command` in `folder` with the rights of `account`, none of this process's groups, and its own session."""
    switch = not account.is_this_process
    return subprocess.Popen(
        command,
        user=account.uid if switch else None,
        group=account.gid if switch else None,
        extra_groups=[] if switch else None,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def succeeds_as(account: Account, command: Sequence[str | Path], timeout_s: float = 30.0) -> bool:
    """Whether `command` exits with 0 when `account` runs it."""
    with open(os.devnull, "wb") as nowhere:
        try:
            process = start_as(account, command, Path("/"), {"PATH": os.defpath}, nowhere)
        except OSError:
            return False
    try:
        return process.wait(timeout_s) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False


def account_for_engine(wanted: str | None = None, say: Say = silent) -> Account:
    """Who runs the engine: for root the user `wanted`, or `prodsim`, created where it is missing; else who asks.

    Raises:
        UsageError: there is no such user, or it can't be used.
        LocalEngineError: the system user can't be created.
    """
    if os.geteuid() != 0:
        this = pwd.getpwuid(os.geteuid())
        if wanted not in (None, this.pw_name):
            raise UsageError(f"only root can start the engine as {wanted}: leave out --user")
        return Account(this.pw_name, this.pw_uid, this.pw_gid)
    name = wanted or SYSTEM_USER
    if not exists(name):
        if wanted is not None:
            raise UsageError(f"there is no user {wanted} on this machine")
        create_system_user(say)
    entry = pwd.getpwnam(name)
    if entry.pw_uid == 0:
        raise UsageError("OpenSearch refuses to run as root: leave out --user, or name another user")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def create_system_user(say: Say) -> None:
    say(f"OpenSearch refuses to run as root: creating the system user {SYSTEM_USER} for it")
    program = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise LocalEngineError(f"no useradd on this machine: create a user {SYSTEM_USER}, or name one with --user")
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    if SYSTEM_USER in {entry.gr_name for entry in grp.getgrall()}:
        options[1:2] = ["--gid", SYSTEM_USER]
    done = subprocess.run(
        [program, *options, "--shell", "/usr/sbin/nologin", SYSTEM_USER], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LocalEngineError(f"the system user {SYSTEM_USER} can't be created: {' '.join(done.stderr.split())}")


def require_access(account: Account, folder: Path) -> None:
    """Raises LocalEngineError unless `account` can read `folder`, which exists."""
    if account.is_this_process:
        return
    if not succeeds_as(account, ["test", "-r", folder, "-a", "-x", folder]):
        way = [*reversed(folder.parents), folder]
        closed = next((path for path in way if not succeeds_as(account, ["test", "-x", path])), folder)
        raise LocalEngineError(
            f"the engine runs as {account.name}, who can't enter {closed}:"
            " name another folder in PRODSIM_HOME, or another user with --user"
        )
