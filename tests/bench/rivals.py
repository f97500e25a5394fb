"""Other embedders on this machine, each in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from prodsim.embedder.model_files import packaged_model_folder
from prodsim.plugin.config import default_home

PLAIN_PORT = 18994
INFINITY_PORT = 18995
# The releases that it runs with, torch the one of requirements.lock: with newer ones it does not start.
INFINITY = [
    "infinity-emb[torch,server]==0.0.78",
    "torch==2.15.0",
    "transformers==4.57.6",
    "sentence-transformers==3.4.1",
    "huggingface-hub==0.36.2",
    "numpy==1.26.4",
    "fastapi==0.165.0",
    "uvicorn==0.32.1",
    "typer==0.12.5",
    "click==8.1.8",
]
READY_S = 300.0


@contextmanager
def plain_serve() -> Iterator[str]:
    """The URL of the embeddings of tests/bench/plain_serve.py."""
    script = Path(__file__).with_name("plain_serve.py")
    command = [sys.executable, str(script), str(PLAIN_PORT), str(packaged_model_folder())]
    url = f"http://127.0.0.1:{PLAIN_PORT}/"
    with running(command, url, {"RAY_USAGE_STATS_ENABLED": "0"}):
        yield url


@contextmanager
def infinity() -> Iterator[str]:
    """The URL of the embeddings of infinity-emb with its torch engine, from an environment of its own."""
    program = infinity_program()
    folder = str(packaged_model_folder())
    command = [str(program), "v2", "--model-id", folder, "--engine", "torch", "--device", "cpu"]
    command += ["--host", "127.0.0.1", "--port", str(INFINITY_PORT), "--no-bettertransformer"]
    url = f"http://127.0.0.1:{INFINITY_PORT}/embeddings"
    settings = {"DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0", "HF_HUB_OFFLINE": "1"}
    with running(command, url, settings):
        yield url


def infinity_program() -> Path:
    """Installs it where it is not; skips the test, and says so, where it can't be."""
    folder = Path(os.environ.get("INFINITY_ENVIRONMENT") or default_home() / "bench" / "infinity")
    program = folder / "bin" / "infinity_emb"
    if not program.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
        installed = subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *INFINITY],
            capture_output=True,
            text=True,
            check=False,
        )
        if installed.returncode:
            pytest.skip(f"infinity-emb can't be installed here: {installed.stderr[-200:]}. This check did not run")
    return program


@contextmanager
def running(command: list[str], url: str, environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + READY_S
        while not answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{Path(command[0]).name} does not answer at {url}: exit code {process.poll()}")
            time.sleep(0.5)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    try:
        return httpx.post(url, json={"input": ["a"]}, trust_env=False, timeout=30).status_code == 200
    except httpx.HTTPError:
        return False
