"""Gets a Java from the distribution where none fits, or says how."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from prodsim.plugin.errors import LocalEngineError

from .account import Account
from .java import SYSTEM_FOLDER, Java, candidates, feature_release, find_java
from .locks import Say, silent
from .recipe import JavaRange

LONG_TERM_RELEASES = (17, 21, 25)  # the ones that distributions package


def find_or_install_java(needed: JavaRange, account: Account, engine_version: str, say: Say = silent) -> Java:
    """As `find_java`; where none fits, root on Debian or Ubuntu gets one by apt-get.

    Raises:
        LocalEngineError: none fits; the message names what to do.
    """
    java = find_java(needed, account, say)
    if java is not None:
        return java
    problem = f"OpenSearch {engine_version} needs {needed}, and this machine has {describe_found()}"
    package = debian_package(needed)
    if package is None and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"{problem}: asking apt-get for one")
        subprocess.run(["apt-get", "update"], capture_output=True, check=False)
        package = debian_package(needed)
    if package is None:
        raise LocalEngineError(f"{problem}: {advice(needed)}")
    if os.geteuid() != 0:
        raise LocalEngineError(f"{problem}: install one with `sudo apt-get install -y {package}`")
    say(f"{problem}: installing {package}")
    apt_get_install(package)
    java = find_java(needed, account, say)
    if java is None:
        raise LocalEngineError(f"{problem}, even after installing {package}: name one in OPENSEARCH_JAVA_HOME")
    return java


def describe_found() -> str:
    homes = (home for home, _ in candidates(os.environ, SYSTEM_FOLDER))
    found = sorted({version for home in homes if (version := feature_release(home))})
    return f"Java {' and '.join(map(str, found))}" if found else "no Java"


def fitting_releases(needed: JavaRange) -> list[int]:
    return [release for release in LONG_TERM_RELEASES if needed.fits(release)]


def debian_package(needed: JavaRange) -> str | None:
    """The Java package that apt can install, as far as its lists say; None on other systems."""
    if shutil.which("apt-get") is None or shutil.which("apt-cache") is None:
        return None
    packages = [f"openjdk-{release}-jre-headless" for release in fitting_releases(needed)]
    return next((package for package in packages if apt_knows(package)), None)


def apt_knows(package: str) -> bool:
    shown = subprocess.run(
        ["apt-cache", "policy", package], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=False
    )
    candidate = re.search(r"Candidate: (\S+)", shown.stdout)
    return candidate is not None and candidate[1] != "(none)"


def apt_get_install(package: str) -> None:
    command = ["apt-get", "install", "--yes", "--no-install-recommends", package]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:  # the package lists may be older than the mirror
        subprocess.run(["apt-get", "update"], capture_output=True, check=False)
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise LocalEngineError(f"`{' '.join(command)}` failed: {' '.join(reason)}")


def advice(needed: JavaRange) -> str:
    releases = fitting_releases(needed)
    if shutil.which("dnf"):
        return f"install one with `sudo dnf install -y java-{releases[-1]}-openjdk-headless`"
    return (
        f"install a JDK {' or '.join(map(str, releases))} (Eclipse Temurin has packages for every distribution),"
        " and name its folder in OPENSEARCH_JAVA_HOME unless it is in /usr/lib/jvm"
    )
