"""With engine_aws_region set, each call carries a signature that AWS would accept."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]  # ships no types
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]

from prodsim.plugin.client import connect, engine_errors
from prodsim.plugin.config import load_settings
from prodsim.plugin.errors import ConfigError, EngineError

KEY_ID, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session-token"


class Verifies(BaseHTTPRequestHandler):
    """Works out the signature again with botocore and the secret key, as AWS does, and refuses any other with 403."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        valid = self.signature() == self.headers.get("authorization", "").rpartition("Signature=")[2]
        said = (
            b'{"version": {"number": "2.19.1"}}' if valid and self.unchanged(body) else b'{"message": "bad signature"}'
        )
        self.send_response(200 if valid else 403)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def signature(self) -> str:
        scheme, _, rest = self.headers.get("authorization", "").partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        if scheme != "AWS4-HMAC-SHA256":
            return "none"
        _, _, region, service, _ = parts["Credential"].split("/")
        signed = {name: self.headers[name] for name in parts["SignedHeaders"].split(";")}
        request = AWSRequest(self.command, f"http://{self.headers['host']}{self.path}", signed)
        request.context["timestamp"] = self.headers["x-amz-date"]
        auth = SigV4Auth(Credentials(KEY_ID, SECRET, TOKEN), service, region)
        text = auth.string_to_sign(request, auth.canonical_request(request))
        found: str = auth.signature(text, request)
        return found

    def unchanged(self, body: bytes) -> bool:
        import hashlib

        return self.headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()

    do_GET = do_POST = do_PUT = do_HEAD = answer

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Verifies)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The credentials of a process with a role, as its platform sets them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    return monkeypatch


@pytest.mark.usefixtures("role")
@pytest.mark.parametrize("service", ["es", "aoss"])
def test_calls_are_signed_with_query_and_body(url: str, service: str) -> None:
    client = connect(load_settings(engine_url=url, engine_aws_region="eu-central-1", engine_aws_service=service))
    assert client.info()["version"]
    for path, params, body in [
        ("/products/_search/template", {"routing": "a b/c+d"}, {"id": "prodsim-search", "params": {"q": "größer"}}),
        ("/products/_doc/A%2FB%201", None, None),
        ("/_bulk", {"refresh": "true", "pipeline": "_none"}, '{"index":{"_id":"1"}}\n{"title":"lamp"}\n'),
    ]:
        assert client.transport.perform_request("POST", path, params=params, body=body)["version"], path


def test_another_secret_key_is_refused(url: str, role: pytest.MonkeyPatch) -> None:
    role.setenv("AWS_SECRET_ACCESS_KEY", "another")
    client = connect(load_settings(engine_url=url, engine_aws_region="eu-central-1"))
    with pytest.raises(EngineError) as refused, engine_errors("reading the version"):
        client.info()
    assert "another" not in str(refused.value)


def test_without_credentials_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(ConfigError, match="no AWS credentials"):
        connect(load_settings(engine_aws_region="eu-central-1"))
