"""The security plugin of a local engine: certificates, configuration, the three users, and how to reach it."""

from __future__ import annotations

import os
import secrets
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from prodsim.plugin.errors import LocalEngineError

from .instance import Instance, write
from .java import Java

if TYPE_CHECKING:
    import httpx

HOSTS = ("localhost", "127.0.0.1", "::1")
ORGANISATION = "prodsim-local"
INITIALISED_WITHIN_S = 120.0
SUPER_ADMIN = "engine-admin"
USERS = ("prodsim_admin", "prodsim_loader", "prodsim_reader")
SYSTEM_INDICES = (".plugins-ml-*", ".opendistro_security", ".opendistro-*", ".opensearch-*")
SECURITY_FILES = ("action_groups", "allowlist", "nodes_dn", "roles", "tenants")


@dataclass(frozen=True)
class Certificates:
    """PEM files of one engine; `trusted` is what its Java trusts: its own authority, and nothing else."""

    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def trusted(self) -> Path:
        return self.folder / "trusted.p12"

    def of(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of the node, of SUPER_ADMIN or of one of USERS."""
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"


def certificates_of(instance: Instance) -> Certificates:
    return Certificates(instance.config / "certificates")


def password_file(instance: Instance, user: str) -> Path:
    return instance.folder / "passwords" / user


def make_secure(instance: Instance, software: Path, java: Java) -> dict[str, Any]:
    """Writes certificates, where there are none, and the plugin's configuration; returns lines for opensearch.yml.

    Raises:
        LocalEngineError: trustme is not installed, or keytool fails.
    """
    certificates = certificates_of(instance)
    if not certificates.trusted.exists():
        make_certificates(certificates, java)
    write_configuration(instance, software)
    node, key = (f"certificates/{path.name}" for path in certificates.of("node"))
    pem = {"pemcert_filepath": node, "pemkey_filepath": key, "pemtrustedcas_filepath": "certificates/ca.pem"}
    lines: dict[str, Any] = {
        f"plugins.security.ssl.{layer}.{k}": v for layer in ("http", "transport") for k, v in pem.items()
    }
    return lines | {
        "plugins.security.ssl.http.enabled": True,
        "plugins.security.ssl.http.clientauth_mode": "OPTIONAL",
        "transport.ssl.enforce_hostname_verification": False,
        "plugins.security.allow_default_init_securityindex": True,
        "plugins.security.authcz.admin_dn": [distinguished_name(certificates.of(SUPER_ADMIN)[0])],
        "plugins.security.system_indices.enabled": True,
        "plugins.security.system_indices.indices": list(SYSTEM_INDICES),
        "plugins.security.restapi.roles_enabled": ["all_access"],
    }


def make_certificates(certificates: Certificates, java: Java) -> None:
    try:
        import trustme
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
            load_pem_private_key,
        )
    except ImportError:
        raise LocalEngineError("--secure needs trustme: pip install 'prodsim[secure-engine]'") from None
    folder = certificates.folder
    folder.mkdir(mode=0o755, exist_ok=True)
    authority = trustme.CA(organization_name=ORGANISATION)
    authority.cert_pem.write_to_path(certificates.authority)
    for name in ("node", SUPER_ADMIN, *USERS):
        made = authority.issue_cert(*HOSTS, common_name=name, organization_name=ORGANISATION)
        certificate, key = certificates.of(name)
        made.cert_chain_pems[0].write_to_path(certificate)
        # the engine's TLS reads PKCS8 keys only
        private = load_pem_private_key(made.private_key_pem.bytes(), None)
        content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
    keytool: list[str | Path] = [java.home / "bin" / "keytool", "-importcert", "-noprompt", "-alias", "prodsim"]
    keytool += ["-file", certificates.authority, "-keystore", certificates.trusted]
    keytool += ["-storetype", "PKCS12", "-storepass", "changeit"]  # it holds a public certificate
    done = subprocess.run(keytool, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalEngineError(f"keytool can't make {certificates.trusted}: {' '.join(done.stdout.split())[:300]}")
    certificates.trusted.chmod(0o644)


def distinguished_name(certificate: Path) -> str:
    """As the security plugin writes it (RFC 2253)."""
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(certificate.read_bytes()).subject.rfc4514_string()


def write_configuration(instance: Instance, software: Path) -> None:
    """The plugin's own files without its demonstration users; basic auth and client certificates by common name."""
    folder = instance.config / "opensearch-security"
    folder.mkdir(mode=0o755, exist_ok=True)
    shipped = software / "plugins" / "opensearch-security" / "config"
    for name in SECURITY_FILES:
        write(folder / f"{name}.yml", (shipped / f"{name}.yml").read_text(encoding="utf-8"))
    domains = {
        "certificates": {
            "http_enabled": True,
            "order": 0,
            "http_authenticator": {"type": "clientcert", "challenge": False, "config": {"username_attribute": "cn"}},
            "authentication_backend": {"type": "noop"},
        },
        "passwords": {
            "http_enabled": True,
            "order": 1,
            "http_authenticator": {"type": "basic", "challenge": True},
            "authentication_backend": {"type": "intern"},
        },
    }
    dynamic = {"http": {"anonymous_auth_enabled": False}, "authc": domains}
    written: dict[str, Any] = {
        "config": {"config": {"dynamic": dynamic}},
        "internal_users": {},
        "roles_mapping": {},
    }
    types = {"config": "config", "internal_users": "internalusers", "roles_mapping": "rolesmapping"}
    for name, content in written.items():
        body = {"_meta": {"type": types[name], "config_version": 2}, **content}
        write(folder / f"{name}.yml", yaml.safe_dump(body, sort_keys=False))


def install_users(instance: Instance, client: httpx.Client) -> None:
    """The three users with passwords of their own, each in a file that only this user reads."""
    from prodsim.plugin.roles import local_user_requests

    folder = instance.folder / "passwords"
    folder.mkdir(mode=0o700, exist_ok=True)
    for user in USERS:
        path = password_file(instance, user)
        if not path.exists():
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(24))
    for path_, body in local_user_requests({user: password_file(instance, user).read_text() for user in USERS}):
        put(client, path_, body)


def put(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    """Tries again for a while: the super administrator gets in before the plugin has read its configuration."""
    give_up = time.monotonic() + INITIALISED_WITHIN_S
    while (answer := client.put(path, json=body)).is_error:
        if answer.status_code < 500 or time.monotonic() > give_up:
            raise LocalEngineError(f"the engine refuses {path}: {' '.join(answer.text.split())[:300]}")
        time.sleep(0.5)


def http_client(instance: Instance, port: int, secure: bool, timeout_s: float = 10.0) -> httpx.Client:
    """A client that may do all; for a secure engine, with its super administrator's certificate."""
    import httpx

    from .ports import HOST

    if not secure:
        return httpx.Client(base_url=f"http://{HOST}:{port}", timeout=timeout_s)
    certificates = certificates_of(instance)
    context = ssl.create_default_context(cafile=certificates.authority)
    context.load_cert_chain(*certificates.of(SUPER_ADMIN))
    return httpx.Client(base_url=f"https://{HOST}:{port}", timeout=timeout_s, verify=context, trust_env=False)


def how_to_reach(instance: Instance, port: int, user: str = USERS[0]) -> dict[str, str]:
    """The settings that make prodsim that user of the engine."""
    from .ports import HOST

    return {
        "engine_url": f"https://{HOST}:{port}",
        "engine_ca_file": str(certificates_of(instance).authority),
        "engine_username": user,
        "engine_password_file": str(password_file(instance, user)),
        "reader_username": "prodsim_reader",
        "reader_password_file": str(password_file(instance, "prodsim_reader")),
    }
