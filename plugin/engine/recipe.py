"""What an engine is made of: `engines.json`, read and checked."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from prodsim.plugin.errors import UsageError

RECIPES_FILE = Path(__file__).with_name("engines.json")
SECURITY_PLUGIN = "opensearch-security"
# Connectors trust what the Java runtime trusts, and nothing else can be set for them in 2.19 (ml-commons issue 4371).
SECURE_JVM_OPTIONS = (
    "-Djavax.net.ssl.trustStore={config}/certificates/trusted.p12",
    "-Djavax.net.ssl.trustStorePassword=changeit",
    "-Djavax.net.ssl.trustStoreType=PKCS12",
)


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Artifact(Part):
    """One published file: `artifact` is group:name[:type]:version, the checksum is over its bytes as published."""

    artifact: str
    size_bytes: int = Field(gt=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @property
    def file_name(self) -> str:
        _group, name, *kind, version = self.artifact.split(":")
        return f"{name}-{version}.{kind[0] if kind else 'jar'}"


class JavaRange(Part):
    minimum: int
    maximum: int | None

    def fits(self, version: int) -> bool:
        return self.minimum <= version and (self.maximum is None or version <= self.maximum)

    def __str__(self) -> str:
        return f"Java {self.minimum} or newer" if self.maximum is None else f"Java {self.minimum} to {self.maximum}"


class Module(Part):
    """A module that the core zip lacks, put together from its jars.

    `permissions` are what the engine's security policy grants its code; `extends` names the modules it builds on.
    """

    class_name: str
    extends: tuple[str, ...]
    permissions: tuple[str, ...]
    jars: tuple[Artifact, ...]


class Recipe(Part):
    """All that one version of the engine is made of and started with.

    `jvm_options` follow the engine's own `jvm.options` syntax: `18-:-Dx=y` holds from Java 18 on.
    """

    version: str
    summary: str
    java: JavaRange
    core: Artifact
    plugins: dict[str, Artifact]
    modules: dict[str, Module]
    jvm_options: tuple[str, ...]
    settings: dict[str, object]
    logging: dict[str, str]
    secure: bool = False

    @property
    def name(self) -> str:
        """What its software and its instances are called."""
        return f"{self.version}-secure" if self.secure else self.version

    @property
    def artifacts(self) -> list[Artifact]:
        """Every file to download, once."""
        jars = [jar for module in self.modules.values() for jar in module.jars]
        return list(dict.fromkeys([self.core, *self.plugins.values(), *jars]))

    @property
    def has_ml_commons(self) -> bool:
        return "opensearch-ml-plugin" in self.plugins

    @property
    def fingerprint(self) -> str:
        """Changes when the software that is installed would change."""
        parts = self.model_dump_json(include={"version", "core", "plugins", "modules"})
        return hashlib.sha256(parts.encode()).hexdigest()


class VersionEntry(Part):
    summary: str
    java: JavaRange
    jvm_options: tuple[str, ...]
    settings: dict[str, object]
    core: Artifact
    plugins: dict[str, Artifact]
    modules: dict[str, Module]
    security: Artifact | None = None


class RecipesFile(Part):
    default_version: str
    jvm_options: tuple[str, ...]
    settings: dict[str, object]
    logging: dict[str, str]
    versions: dict[str, VersionEntry]


@cache
def recipes_file() -> RecipesFile:
    return RecipesFile.model_validate_json(RECIPES_FILE.read_bytes())


def known_versions() -> list[str]:
    return list(recipes_file().versions)


def recipe_for(version: str | None = None, secure: bool = False) -> Recipe:
    """The recipe of `version`, or of the default version, with the security plugin if it is to be secure.

    Raises:
        UsageError: there is none for that version, or no security plugin.
    """
    file = recipes_file()
    version = version or file.default_version
    entry = file.versions.get(version)
    if entry is None:
        choices = " or ".join(f"{name} ({known.summary})" for name, known in file.versions.items())
        raise UsageError(f"OpenSearch {version} can't be installed from here: use {choices}")
    plugins, jvm_options = dict(entry.plugins), [*file.jvm_options, *entry.jvm_options]
    if secure:
        if entry.security is None:
            raise UsageError(f"there is no security plugin for OpenSearch {version}: leave out --secure")
        plugins[SECURITY_PLUGIN] = entry.security
        jvm_options += SECURE_JVM_OPTIONS
    return Recipe(
        version=version,
        summary=entry.summary,
        java=entry.java,
        core=entry.core,
        plugins=plugins,
        modules=entry.modules,
        jvm_options=tuple(jvm_options),
        settings={**file.settings, **entry.settings},
        logging=file.logging,
        secure=secure,
    )
