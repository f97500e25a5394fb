"""A repository on this machine, with small artifacts, and faults on demand."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prodsim.plugin.engine.recipe import Artifact, JavaRange, Module, Recipe


@dataclass
class Repository:
    """`files` by name; each entry of `faults` spoils one answer: a status, or `cut`, which breaks off half way."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[int | str]] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def add(self, coordinates: str, content: bytes) -> Artifact:
        artifact = Artifact(artifact=coordinates, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        self.files[artifact.file_name] = content
        return artifact

    def url_of(self, artifact: Artifact) -> str:
        return f"{self.url}/{artifact.file_name}"


@contextmanager
def repository() -> Iterator[Repository]:
    served = Repository()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, asked = self.path.lstrip("/"), self.headers.get("Range")
            served.requests.append((name, asked))
            fault = served.faults[name].pop(0) if served.faults.get(name) else None
            content = served.files.get(name)
            if content is None or isinstance(fault, int):
                self.send_error(fault if isinstance(fault, int) else 404)
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start : len(content) // 2] if fault == "cut" else content[start:])

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def zipped(files: dict[str, str]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return memory.getvalue()


def small_recipe(served: Repository) -> Recipe:
    """An engine of a core, one module of two jars and one plugin."""
    core = {"opensearch-9.9.9/bin/opensearch": "#!/bin/sh\n", "opensearch-9.9.9/lib/core.jar": "core"}
    return Recipe(
        version="9.9.9",
        summary="small",
        java=JavaRange(minimum=17, maximum=21),
        core=served.add("org.example:opensearch:zip:9.9.9", zipped(core)),
        plugins={"search-plugin": served.add("org.example:search-plugin:zip:9.9.9.0", zipped({"plugin.jar": "p"}))},
        modules={
            "scripts": Module(
                class_name="org.example.ScriptsPlugin",
                extends=("base",),
                permissions=('java.lang.RuntimePermission "getClassLoader"',),
                jars=(served.add("org.example:scripts:9.9.9", b"jar 1"), served.add("org.example:asm:9.7", b"jar 2")),
            )
        },
        jvm_options=(),
        settings={},
        logging={},
    )
