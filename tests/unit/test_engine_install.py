"""Installing an engine: whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from prodsim.plugin.engine.install import ensure_installed, is_installed, unpack
from prodsim.plugin.engine.recipe import Artifact, Recipe
from prodsim.plugin.errors import LocalEngineError
from tests.unit.engine_repository import Repository, repository, small_recipe, zipped


@pytest.fixture
def served() -> Iterator[Repository]:
    with repository() as served:
        yield served


def engines_in(home: Path) -> set[str]:
    return {path.name for path in (home / "engines").iterdir()} - {".lock"}


def with_broken_plugin(recipe: Recipe, served: Repository) -> Recipe:
    content = b"these are the bytes that were published, but no zip file"
    return recipe.model_copy(update={"plugins": {"broken": served.add("org.example:broken:zip:9.9.9.0", content)}})


def test_an_engine_is_put_together_from_its_parts(tmp_path: Path, served: Repository) -> None:
    recipe = small_recipe(served)
    engine = ensure_installed(recipe, tmp_path, url_of=served.url_of)
    assert engine == tmp_path / "engines" / "9.9.9"
    assert (engine / "lib" / "core.jar").read_text() == "core"
    assert (engine / "plugins" / "search-plugin" / "plugin.jar").read_text() == "p"
    module = engine / "modules" / "scripts"
    assert {path.name for path in module.glob("*.jar")} == {"scripts-9.9.9.jar", "asm-9.7.jar"}
    descriptor = (module / "plugin-descriptor.properties").read_text().splitlines()
    assert {"name=scripts", "classname=org.example.ScriptsPlugin", "extended.plugins=base"} <= set(descriptor)
    assert 'permission java.lang.RuntimePermission "getClassLoader";' in (module / "plugin-security.policy").read_text()


def test_another_user_can_read_an_engine_installed_under_a_strict_umask(tmp_path: Path, served: Repository) -> None:
    before = os.umask(0o077)
    try:
        engine = ensure_installed(small_recipe(served), tmp_path / "home", url_of=served.url_of)
    finally:
        os.umask(before)
    for path in [engine, engine.parent, engine.parent.parent, *engine.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o755 if path.is_dir() or path.parent.name == "bin" else 0o644), path


def test_an_installation_that_fails_half_way_leaves_no_engine(tmp_path: Path, served: Repository) -> None:
    recipe = with_broken_plugin(small_recipe(served), served)
    with pytest.raises(LocalEngineError, match=r"broken-9\.9\.9\.0\.zip is not a zip file"):
        ensure_installed(recipe, tmp_path, url_of=served.url_of)
    assert engines_in(tmp_path) == set()
    assert not is_installed(tmp_path, recipe)


def test_a_wrong_checksum_leaves_no_engine(tmp_path: Path, served: Repository) -> None:
    recipe = small_recipe(served)
    served.files[recipe.core.file_name] = b"?" * recipe.core.size_bytes
    with pytest.raises(LocalEngineError, match="checksum"):
        ensure_installed(recipe, tmp_path, url_of=served.url_of)
    assert engines_in(tmp_path) == set()


def test_a_failed_renewal_leaves_the_engine_that_was_there(tmp_path: Path, served: Repository) -> None:
    recipe = small_recipe(served)
    engine = ensure_installed(recipe, tmp_path, url_of=served.url_of)
    with pytest.raises(LocalEngineError):
        ensure_installed(with_broken_plugin(recipe, served), tmp_path, url_of=served.url_of)
    assert is_installed(tmp_path, recipe)
    assert (engine / "plugins" / "search-plugin").exists()


def test_what_a_killed_installation_left_is_removed_by_the_next(tmp_path: Path, served: Repository) -> None:
    leftover = tmp_path / "engines" / ".installing-killed" / "opensearch-9.9.9" / "lib"
    leftover.mkdir(parents=True)
    (leftover / "half.jar").write_text("half")
    ensure_installed(small_recipe(served), tmp_path, url_of=served.url_of)
    assert engines_in(tmp_path) == {"9.9.9"}


def test_a_folder_that_was_not_installed_whole_is_no_engine(tmp_path: Path, served: Repository) -> None:
    recipe = small_recipe(served)
    stray = tmp_path / "engines" / "9.9.9"
    stray.mkdir(parents=True)
    assert not is_installed(tmp_path, recipe)
    engine = ensure_installed(recipe, tmp_path, url_of=served.url_of)
    assert (engine / "lib" / "core.jar").exists()


def test_an_installed_engine_needs_no_network(tmp_path: Path, served: Repository) -> None:
    recipe = small_recipe(served)
    ensure_installed(recipe, tmp_path, url_of=served.url_of)
    asked = len(served.requests)
    for path in (tmp_path / "downloads").glob("*"):
        path.unlink()
    ensure_installed(recipe, tmp_path, url_of=served.url_of)
    assert len(served.requests) == asked


def test_an_engine_of_an_older_recipe_is_replaced(tmp_path: Path, served: Repository) -> None:
    recipe = small_recipe(served)
    ensure_installed(recipe, tmp_path, url_of=served.url_of)
    plugins = {"other": served.add("org.example:other:zip:9.9.9.1", zipped({"other.jar": "o"}))}
    engine = ensure_installed(recipe.model_copy(update={"plugins": plugins}), tmp_path, url_of=served.url_of)
    assert {path.name for path in (engine / "plugins").iterdir()} == {"other"}
    assert engines_in(tmp_path) == {"9.9.9"}


def test_two_installations_at_once_download_and_assemble_once(tmp_path: Path, served: Repository) -> None:
    recipe = small_recipe(served)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(ensure_installed, recipe, tmp_path, url_of=served.url_of) for _ in range(4)]
        assert {job.result() for job in jobs} == {tmp_path / "engines" / "9.9.9"}
    assert len(served.requests) == len(recipe.artifacts)


def test_downloads_can_be_shared_between_homes(tmp_path: Path, served: Repository) -> None:
    recipe = small_recipe(served)
    for home in ("one", "two"):
        ensure_installed(recipe, tmp_path / home, downloads=tmp_path / "cache", url_of=served.url_of)
    assert len(served.requests) == len(recipe.artifacts)


@pytest.mark.parametrize("name", ["../evil", "/evil", "inside/../../evil"])
def test_an_archive_can_not_write_outside_its_folder(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "bad.zip"
    archive.write_bytes(zipped({"good": "good", name: "evil"}))
    with pytest.raises(LocalEngineError, match="leaves its folder"):
        unpack(archive, tmp_path / "deep" / "target")
    assert not list(tmp_path.rglob("evil"))
    assert not Path("/evil").exists()


def test_an_archive_can_not_plant_a_link(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as content:
        content.writestr(entry, "/etc")
    (tmp_path / "bad.zip").write_bytes(memory.getvalue())
    with pytest.raises(LocalEngineError, match="leaves its folder"):
        unpack(tmp_path / "bad.zip", tmp_path / "target")


def test_a_disk_without_room_is_said_before_the_download(tmp_path: Path, served: Repository) -> None:
    huge = Artifact(artifact="org.example:huge:zip:1", size_bytes=1 << 60, sha256=hashlib.sha256(b"").hexdigest())
    recipe = small_recipe(served).model_copy(update={"core": huge})
    with pytest.raises(LocalEngineError, match=r"needs .* MB .* are free"):
        ensure_installed(recipe, tmp_path, url_of=served.url_of)
    assert served.requests == []
