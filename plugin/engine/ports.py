"""Which ports are free, and who has those that are not."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import httpx

HOST = "127.0.0.1"
LISTENING = "0A"  # the state TCP_LISTEN in /proc/net/tcp
CONFIG_OPTION = b"-Dopensearch.path.conf="


def is_free(port: int) -> bool:
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free for a server
        try:
            candidate.bind((HOST, port))
        except OSError:
            return False
    return True


def transport_port_for(port: int) -> int:
    """`port` + 100, or any free port where that one is taken."""
    if port + 100 <= 65535 and is_free(port + 100):
        return port + 100
    with socket.socket() as candidate:
        candidate.bind((HOST, 0))
        return int(candidate.getsockname()[1])


def describe_holder(port: int) -> str:
    """Who has `port`, as far as this user can see: "OpenSearch 2.19.1 (java, process 4711)", "another program"."""
    process = listening_process(port)
    name = search_engine_name(port) or "another program"
    if process is None:
        return name
    home = prodsim_home_of(process)
    return f"{name} ({program_name(process)}, process {process}{f', started with PRODSIM_HOME={home}' if home else ''})"


def search_engine_name(port: int) -> str | None:
    try:
        version = httpx.get(f"http://{HOST}:{port}/", timeout=2.0).json()["version"]
        kind = "OpenSearch" if version.get("distribution") == "opensearch" else "Elasticsearch"
        return f"{kind} {version['number']}"
    except (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError):
        return None


def prodsim_home_of(process: int) -> Path | None:
    """The home of the local engine that `process` is, or None where it is something else."""
    try:
        arguments = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    named = [argument for argument in arguments if argument.startswith(CONFIG_OPTION)]
    folders = [Path(os.fsdecode(argument.removeprefix(CONFIG_OPTION))) for argument in named]
    return next((folder.parents[2] for folder in folders if folder.parent.parent.name == "instances"), None)


def listening_process(port: int) -> int | None:
    """The process that listens on `port`, where /proc shows it to this user."""
    sockets = {f"socket:[{inode}]" for inode in listening_inodes(port)}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        try:
            if os.readlink(descriptor) in sockets:
                return int(descriptor.parts[2])
        except OSError:
            continue
    return None


def listening_inodes(port: int) -> list[str]:
    inodes = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        rows = (line.split() for line in lines)
        inodes += [row[9] for row in rows if row[3] == LISTENING and int(row[1].rsplit(":", 1)[1], 16) == port]
    return inodes


def program_name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return "unknown"
