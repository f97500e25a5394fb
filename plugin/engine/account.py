"""The user that an engine runs as: OpenSearch refuses to run as root."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


def run_as(account: Account, command: Sequence[str | Path], timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Runs `command` with the rights of `account`; its output, stdout and stderr together, as text."""
    return subprocess.run(
        command,
        **identity(account),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )


def identity(account: Account) -> dict[str, object]:
    """Arguments for `subprocess` that make the child run as `account`, without this process's groups."""
    if account.is_this_process:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


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
    if name not in {entry.pw_name for entry in pwd.getpwall()}:
        if wanted is not None:
            raise UsageError(f"there is no user {wanted} on this machine")
        create_system_user(say)
    entry = pwd.getpwnam(name)
    if entry.pw_uid == 0:
        raise UsageError("OpenSearch refuses to run as root: leave out --user, or name another user")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


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
    if run_as(account, ["test", "-r", folder, "-a", "-x", folder]).returncode:
        closed = next(
            (path for path in [*reversed(folder.parents), folder] if run_as(account, ["test", "-x", path]).returncode),
            folder,
        )
        raise LocalEngineError(
            f"the engine runs as {account.name}, who can't enter {closed}:"
            " name another folder in PRODSIM_HOME, or another user with --user"
        )
