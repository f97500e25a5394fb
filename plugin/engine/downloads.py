"""Published files into a folder: verified, resumable, several at once."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

import httpx

from prodsim.plugin.errors import LocalEngineError

from .locks import Say, locked, silent
from .recipe import Artifact

TRIES = 5
LONGEST_PAUSE_S = 8.0
PARALLEL_DOWNLOADS = 4
PROGRESS_EVERY_S = 5.0
WORTH_ANOTHER_TRY = frozenset({408, 429, 500, 502, 503, 504})


def published_url(artifact: Artifact) -> str:
    """Where the artifact is published: the public Maven repository, as the `maven-artifact` library knows it."""
    from maven_artifact import Artifact as Coordinates  # type: ignore[import-untyped]  # the library ships no types
    from maven_artifact import Resolver

    return str(Resolver.default().uri_for_artifact(Coordinates.parse(artifact.artifact)))


def fetch_all(
    artifacts: Sequence[Artifact],
    folder: Path,
    say: Say = silent,
    url_of: Callable[[Artifact], str] = published_url,
) -> list[Path]:
    """The files of `artifacts` in `folder`, in their order, each with the checksum it should have.

    What is there already is hashed again: a damaged file is replaced. A download cut short goes on where it stopped.

    Raises:
        LocalEngineError: a file can't be had, or has another checksum.
    """
    with locked(folder / ".lock", f"another prodsim-admin is downloading into {folder}", say):
        wanted = [artifact for artifact in artifacts if not is_intact(folder / artifact.file_name, artifact)]
        if wanted:
            download_all(wanted, folder, say, url_of)
    return [folder / artifact.file_name for artifact in artifacts]


def is_intact(path: Path, artifact: Artifact) -> bool:
    try:
        return path.stat().st_size == artifact.size_bytes and sha256_of(path) == artifact.sha256
    except FileNotFoundError:
        return False


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Progress:
    """Bytes that arrived, told every few seconds whichever thread they arrive on."""

    def __init__(self, artifacts: Sequence[Artifact], say: Say) -> None:
        self.total_bytes, self.say = sum(artifact.size_bytes for artifact in artifacts), say
        self.done_bytes: dict[str, int] = {}
        self.told_at = time.monotonic()
        self.lock = threading.Lock()

    def update(self, file_name: str, done_bytes: int) -> None:
        with self.lock:
            self.done_bytes[file_name] = done_bytes
            if time.monotonic() - self.told_at > PROGRESS_EVERY_S:
                self.told_at = time.monotonic()
                self.say(f"downloaded {megabytes(sum(self.done_bytes.values()))} of {megabytes(self.total_bytes)}")


def megabytes(count_bytes: int) -> str:
    return f"{count_bytes / 1e6:.0f} MB"


class Stopped(Exception):
    """Another download failed, so this one is not needed any more."""


def download_all(artifacts: Sequence[Artifact], folder: Path, say: Say, url_of: Callable[[Artifact], str]) -> None:
    progress = Progress(artifacts, say)
    say(f"downloading {megabytes(progress.total_bytes)} into {folder}")
    stop = threading.Event()
    with (
        httpx.Client(timeout=httpx.Timeout(30.0, connect=10.0), follow_redirects=True) as client,
        ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool,
    ):
        jobs = [
            pool.submit(download, client, artifact, url_of(artifact), folder, progress, stop)
            for artifact in sorted(artifacts, key=lambda artifact: -artifact.size_bytes)
        ]
        try:
            wait(jobs, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()  # no-op where all are done; else it ends the others after their next chunk
            pool.shutdown(wait=True, cancel_futures=True)
    failures = [job.exception() for job in jobs if not job.cancelled() and job.exception()]
    for failure in failures:
        if failure and not isinstance(failure, Stopped):
            raise failure


def download(
    client: httpx.Client, artifact: Artifact, url: str, folder: Path, progress: Progress, stop: threading.Event
) -> None:
    part = folder / f"{artifact.file_name}.part"
    for attempt in range(TRIES):
        resumed = part.exists()
        try:
            receive(client, url, part, artifact, progress, stop)
        except httpx.HTTPError as error:
            answered = isinstance(error, httpx.HTTPStatusError)
            if attempt == TRIES - 1 or (answered and not is_worth_another_try(error)):
                raise LocalEngineError(
                    f"{artifact.file_name} can't be downloaded: {' '.join(str(error).split()) or type(error).__name__}."
                    f" Connect this machine to the network, or put the file from {url} into {folder}"
                ) from None
        else:
            if is_intact(part, artifact):
                make_durable(part)
                part.replace(folder / artifact.file_name)
                return
            found = sha256_of(part)
            part.unlink()
            if not resumed:  # what an earlier run left may be damaged: only a whole download can be judged
                raise LocalEngineError(
                    f"{artifact.file_name} from {url} has the checksum {found} and should have {artifact.sha256}:"
                    " it was removed. Run the command again; if it stays so, do not trust the download"
                )
        stop.wait(random.uniform(0, min(LONGEST_PAUSE_S, 0.5 * 2**attempt)))
        if stop.is_set():
            raise Stopped
    raise LocalEngineError(f"{artifact.file_name} from {url} arrives damaged each time: run the command again later")


def is_worth_another_try(error: httpx.HTTPError) -> bool:
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code in WORTH_ANOTHER_TRY


def receive(
    client: httpx.Client, url: str, part: Path, artifact: Artifact, progress: Progress, stop: threading.Event
) -> None:
    """Appends to `part` what it lacks. Raises httpx.HTTPError when the transfer breaks off."""
    have_bytes = part.stat().st_size if part.exists() else 0
    if have_bytes >= artifact.size_bytes:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have_bytes}-"} if have_bytes else {})
    with client.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        with part.open("ab" if response.status_code == 206 else "wb") as file:
            for chunk in response.iter_raw():
                if stop.is_set():
                    raise Stopped
                file.write(chunk)
                progress.update(artifact.file_name, file.tell())
                if file.tell() > artifact.size_bytes:
                    return


def make_durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
