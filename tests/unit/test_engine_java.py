"""Which Java an engine gets."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from prodsim.plugin.engine.account import Account
from prodsim.plugin.engine.java import find_java
from prodsim.plugin.engine.java_package import advice
from prodsim.plugin.engine.recipe import recipe_for

OLD, NEW = recipe_for("2.19.1").java, recipe_for("3.5.0").java
THIS = pwd.getpwuid(os.geteuid())
ME = Account(THIS.pw_name, THIS.pw_uid, THIS.pw_gid)


def fake_java(folder: Path, version: str, release: bool = True, modules: str = "java.base jdk.localedata") -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    program.chmod(0o755)
    if release:
        (folder / "release").write_text(f'IMPLEMENTOR="Debian"\nJAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    return folder


@pytest.fixture
def jvms(tmp_path: Path) -> Path:
    for version in ("11.0.2", "17.0.15", "25.0.3"):
        fake_java(tmp_path / "jvm" / f"java-{version.split('.')[0]}", version)
    return tmp_path / "jvm"


def test_each_engine_gets_a_java_that_it_runs_on(jvms: Path) -> None:
    old, new = (find_java(needed, ME, environment={}, system_folder=jvms) for needed in (OLD, NEW))
    assert old is not None
    assert new is not None
    assert (old.version, old.home.name) == (17, "java-17")
    assert (new.version, new.home.name) == (25, "java-25")


def test_among_those_that_fit_the_newest_is_taken(jvms: Path) -> None:
    fake_java(jvms / "a-21", "21.0.1")
    java = find_java(OLD, ME, environment={}, system_folder=jvms)
    assert java is not None
    assert java.version == 21


def test_the_java_that_a_variable_names_comes_first(jvms: Path, tmp_path: Path) -> None:
    named = fake_java(tmp_path / "mine", "17.0.1")
    environment = {"JAVA_HOME": str(jvms / "java-17"), "OPENSEARCH_JAVA_HOME": str(named)}
    java = find_java(OLD, ME, environment=environment, system_folder=jvms)
    assert java is not None
    assert java.home == named


def test_a_named_java_that_does_not_fit_is_passed_over_and_said(jvms: Path) -> None:
    said: list[str] = []
    environment = {"JAVA_HOME": str(jvms / "java-25"), "OPENSEARCH_JAVA_HOME": "/nowhere"}
    java = find_java(OLD, ME, said.append, environment, jvms)
    assert java is not None
    assert java.version == 17
    assert said == [
        "OPENSEARCH_JAVA_HOME is passed over: /nowhere has no working bin/java",
        f"JAVA_HOME is passed over: {jvms}/java-25 is Java 25, and Java 17 to 21 is needed",
    ]


def test_a_java_on_the_path_is_found_through_its_link(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "opt" / "jdk", "17.0.9")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    java = find_java(OLD, ME, environment={"PATH": str(tmp_path / "bin")}, system_folder=tmp_path / "none")
    assert java is not None
    assert java.home == home


def test_a_java_without_a_release_file_is_asked_for_its_version(tmp_path: Path) -> None:
    fake_java(tmp_path / "jvm" / "unlabelled", "17.0.2", release=False)
    java = find_java(OLD, ME, environment={}, system_folder=tmp_path / "jvm")
    assert java is not None
    assert java.version == 17


def test_a_cut_down_java_without_locale_data_is_passed_over(tmp_path: Path) -> None:
    fake_java(tmp_path / "jvm" / "small", "17.0.2", modules="java.base java.logging")
    assert find_java(OLD, ME, environment={}, system_folder=tmp_path / "jvm") is None


def test_a_java_that_does_not_start_is_passed_over(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "jvm" / "broken", "17.0.2")
    (home / "bin" / "java").write_text("#!/bin/sh\nexit 1\n")
    assert find_java(OLD, ME, environment={}, system_folder=tmp_path / "jvm") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look through another user's eyes")
def test_a_java_that_the_engines_user_can_not_enter_is_passed_over(jvms: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    account = Account("nobody", nobody.pw_uid, nobody.pw_gid)
    jvms.chmod(0o700)
    assert find_java(OLD, account, environment={}, system_folder=jvms) is None


def test_without_any_java_there_is_none_and_the_advice_names_releases(tmp_path: Path) -> None:
    assert find_java(NEW, ME, environment={}, system_folder=tmp_path) is None
    assert "21" in advice(NEW) or "25" in advice(NEW)
    assert "17" in advice(OLD) or "21" in advice(OLD)
