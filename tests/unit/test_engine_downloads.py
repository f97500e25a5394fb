"""Downloads: verified, resumed, tried again, never half there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prodsim.plugin.engine import downloads
from prodsim.plugin.engine.downloads import fetch_all
from prodsim.plugin.engine.recipe import Artifact
from prodsim.plugin.errors import LocalEngineError
from tests.unit.engine_repository import Repository, repository

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setattr(downloads, "LONGEST_PAUSE_S", 0.01)
    with repository() as served:
        yield served


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


def test_files_come_complete_and_in_the_order_asked(tmp_path: Path, served: Repository) -> None:
    artifacts = [served.add(f"org.example:part-{number}:1", f"{number}".encode() * 100) for number in range(7)]
    paths = fetch_all(artifacts, tmp_path, url_of=served.url_of)
    assert [path.read_bytes()[:1] for path in paths] == [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]
    assert files_in(tmp_path) == {f"part-{number}-1.jar" for number in range(7)}


def test_a_file_with_another_checksum_is_refused_in_one_line_and_removed(tmp_path: Path, served: Repository) -> None:
    artifact = served.add("org.example:core:zip:1", CONTENT)
    served.files[artifact.file_name] = CONTENT[:-1] + b"?"
    with pytest.raises(LocalEngineError, match=artifact.sha256) as caught:
        fetch_all([artifact], tmp_path, url_of=served.url_of)
    assert "\n" not in str(caught.value)
    assert files_in(tmp_path) == set()


def test_a_file_longer_than_promised_is_refused_and_removed(tmp_path: Path, served: Repository) -> None:
    artifact = served.add("org.example:core:zip:1", CONTENT)
    served.files[artifact.file_name] = CONTENT + b"more"
    with pytest.raises(LocalEngineError, match="checksum"):
        fetch_all([artifact], tmp_path, url_of=served.url_of)
    assert files_in(tmp_path) == set()


def test_a_busy_server_is_asked_again(tmp_path: Path, served: Repository) -> None:
    artifact = served.add("org.example:core:zip:1", CONTENT)
    served.faults[artifact.file_name] = [503, 429]
    (path,) = fetch_all([artifact], tmp_path, url_of=served.url_of)
    assert path.read_bytes() == CONTENT
    assert len(served.requests) == 3


def test_a_download_that_breaks_off_goes_on_where_it_stopped(tmp_path: Path, served: Repository) -> None:
    artifact = served.add("org.example:core:zip:1", CONTENT)
    served.faults[artifact.file_name] = ["cut"]
    (path,) = fetch_all([artifact], tmp_path, url_of=served.url_of)
    assert path.read_bytes() == CONTENT
    assert served.requests == [(artifact.file_name, None), (artifact.file_name, f"bytes={len(CONTENT) // 2}-")]


def test_what_an_earlier_run_left_damaged_is_downloaded_anew(tmp_path: Path, served: Repository) -> None:
    artifact = served.add("org.example:core:zip:1", CONTENT)
    (tmp_path / f"{artifact.file_name}.part").write_bytes(b"?" * 1000)
    (path,) = fetch_all([artifact], tmp_path, url_of=served.url_of)
    assert path.read_bytes() == CONTENT
    assert files_in(tmp_path) == {artifact.file_name}


def test_a_file_that_is_there_is_not_downloaded_again(tmp_path: Path, served: Repository) -> None:
    artifact = served.add("org.example:core:zip:1", CONTENT)
    fetch_all([artifact], tmp_path, url_of=served.url_of)
    fetch_all([artifact], tmp_path, url_of=served.url_of)
    assert len(served.requests) == 1


def test_a_file_that_was_damaged_on_the_disk_is_replaced(tmp_path: Path, served: Repository) -> None:
    artifact = served.add("org.example:core:zip:1", CONTENT)
    (path,) = fetch_all([artifact], tmp_path, url_of=served.url_of)
    path.write_bytes(b"?" + CONTENT[1:])
    fetch_all([artifact], tmp_path, url_of=served.url_of)
    assert path.read_bytes() == CONTENT


def test_a_file_that_is_not_published_is_said_at_once(tmp_path: Path, served: Repository) -> None:
    artifact = Artifact(artifact="org.example:gone:zip:1", size_bytes=1, sha256="0" * 64)
    with pytest.raises(LocalEngineError, match=r"gone-1\.zip can't be downloaded: .*404"):
        fetch_all([artifact], tmp_path, url_of=served.url_of)
    assert len(served.requests) == 1


def test_without_a_network_the_error_says_where_to_put_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "LONGEST_PAUSE_S", 0.01)
    artifact = Artifact(artifact="org.example:core:zip:1", size_bytes=1, sha256="0" * 64)
    with pytest.raises(LocalEngineError, match=f"Connect this machine to the network, or put .* into {tmp_path}"):
        fetch_all([artifact], tmp_path, url_of=lambda _: "http://127.0.0.1:9/core-1.zip")


def test_one_failure_ends_the_other_downloads(tmp_path: Path, served: Repository) -> None:
    artifacts = [served.add(f"org.example:part-{number}:1", f"{number}".encode() * 100) for number in range(20)]
    gone = Artifact(artifact="org.example:gone:1", size_bytes=1 << 20, sha256="0" * 64)
    with pytest.raises(LocalEngineError, match=r"gone-1\.jar"):
        fetch_all([gone, *artifacts], tmp_path, url_of=served.url_of)
    assert not list(tmp_path.glob("gone*"))
