"""Settings, each from the first place that names it: flag, `PRODSIM_*` variable, `prodsim.yaml`, default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from .errors import ConfigError

ENV_PREFIX = "PRODSIM_"
CONFIG_FILE_VARIABLE = "PRODSIM_CONFIG"
LEASE_VARIABLE = "PRODSIM_LEASE_S"  # of a move; read where it is held, and in no prodsim.yaml
DEFAULT_CONFIG_FILE = "prodsim.yaml"
SECRETS = ("engine_password", "reader_password", "embedder_api_key", "pseudonym_key")


def without_login(url: str) -> str:
    """The URL as it is.

    Raises:
        ValueError: it carries a user or a password, which would be seen wherever the URL is shown.
    """
    if "@" in urlsplit(url).netloc:
        raise ValueError("a URL must not hold a user or a password: set engine_username and engine_password_file")
    return url


Url = Annotated[str, Field(pattern=r"^https?://\S+$"), AfterValidator(without_login)]


def default_home() -> Path:
    """The folder for engines, logs and process files; readable by the engine's user when root starts it."""
    if os.geteuid() == 0:  # an engine dropped to another user can't enter /root
        return Path("/var/lib/prodsim")
    import platformdirs

    return platformdirs.user_data_path("prodsim")


class Settings(BaseSettings):
    """Everything a command needs to know about its surroundings.

    URLs carry a scheme. Times are seconds. `*_from_engine` URLs are those the cluster itself can reach, where they
    differ from the ones this process uses. Secrets come from the environment, or from the file that `*_file` names.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="forbid", env_ignore_empty=True, frozen=True, hide_input_in_errors=True
    )

    alias: str = Field("products", description="the alias that searches and loads go through")
    home: Path = Field(default_factory=default_home, description="folder of local engines, logs and process files")

    engine_url: Url = Field("http://127.0.0.1:9200", description="OpenSearch, as seen from here")
    engine_url_from_engine: Url | None = Field(
        None, description="OpenSearch, as its own nodes reach it (default: engine_url)"
    )
    engine_username: str | None = Field(None, description="basic auth user")
    engine_password: SecretStr | None = Field(None, description="basic auth password (environment only)")
    engine_password_file: Path | None = Field(None, description="file with the basic auth password")
    engine_ca_file: Path | None = Field(None, description="certificate authority of the engine (PEM)")
    engine_client_certificate: Path | None = Field(None, description="certificate to show to the engine (PEM)")
    engine_client_key: Path | None = Field(None, description="private key of that certificate (PEM)")
    engine_aws_region: str | None = Field(
        None, description="sign calls with AWS SigV4 for this region; needs the extra aws"
    )
    engine_aws_service: Literal["es", "aoss"] = Field("es", description="AWS service that calls are signed for")
    reader_username: str | None = Field(
        None, description="user with the role prodsim_reader, as whom the engine asks itself for stored vectors"
    )
    reader_password: SecretStr | None = Field(None, description="password of that user (environment only)")
    reader_password_file: Path | None = Field(None, description="file with the password of that user")
    engine_timeout_s: float = Field(30.0, gt=0, description="how long one engine call may take")

    embedder_url: Url = Field("http://127.0.0.1:8901", description="embedder, as seen from here")
    embedder_url_from_engine: Url | None = Field(
        None, description="embedder, as the engine's nodes reach it (default: embedder_url)"
    )
    embedder_api_key: SecretStr | None = Field(
        None, description="key that the embedder asks for; setup hands it to the engine (default: EMBEDDER_API_KEY)"
    )
    embedder_api_key_file: Path | None = Field(None, description="file with the key that the embedder asks for")
    embedder_ca_file: Path | None = Field(None, description="certificate authority of the embedder (PEM)")
    embedder_timeout_s: float = Field(60.0, gt=0, description="how long one embedder call may take")
    query_timeout_s: int = Field(
        2,
        ge=1,
        le=60,
        description="how long a query waits for the embedder before it is answered lexically (whole seconds)",
    )

    model: str | None = Field(
        None, description="model that catalogs are embedded with (default: the embedder's only one)"
    )
    image_model: str | None = Field(None, description="model for products' pictures (default: they get no vector)")
    image_folder: Path | None = Field(None, description="folder of the picture files that products name")
    fused_model: str | None = Field(None, description="fused model for products (default: they get no such vector)")
    embedder_model: str | None = Field(
        None, description="model that `embedder serve` loads: a folder or a name (default: the packaged MiniLM)"
    )
    embedder_replicas: int = Field(1, ge=1, description="how many copies of the model `embedder serve` runs")
    embedder_num_gpus: float = Field(0.0, ge=0, description="GPUs for each copy")

    log_level: Literal["debug", "info", "warning", "error"] = Field("warning", description="what is logged to stderr")
    log_format: Literal["text", "json"] = Field("text", description="how log lines look")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="where a long-running command answers /metrics, on all addresses"
    )
    pseudonym_key: SecretStr | None = Field(
        None, description="key that customer ids are hashed with (environment only)"
    )
    pseudonym_key_file: Path | None = Field(None, description="file with the key that customer ids are hashed with")

    @model_validator(mode="after")
    def what_goes_together(self) -> Self:
        if (self.engine_client_certificate is None) != (self.engine_client_key is None):
            raise ValueError("engine_client_certificate and engine_client_key go together")
        if self.engine_aws_region and self.engine_username:
            raise ValueError("engine_aws_region and engine_username exclude each other")
        for name in SECRETS:
            if getattr(self, name) is not None and getattr(self, f"{name}_file") is not None:
                raise ValueError(f"{name} and {name}_file exclude each other")
        return self

    def secret(self, name: str) -> str | None:
        """One of SECRETS: from the environment, else from its file; None where neither is set.

        Raises:
            ConfigError: the file can't be read or is empty.
        """
        given: SecretStr | None = getattr(self, name)
        if given is not None:
            return given.get_secret_value()
        path: Path | None = getattr(self, f"{name}_file")
        if path is None:
            return None
        try:
            content = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigError(f"{name}_file {path} can't be read: {reason}") from None
        if not content:
            raise ConfigError(f"{name}_file {path} is empty")
        return content

    @property
    def embedder_key(self) -> str | None:
        """The embedder's key as text; never to be shown."""
        return self.secret("embedder_api_key") or os.environ.get("EMBEDDER_API_KEY") or None

    @property
    def self_url(self) -> str:
        """Where a node of the cluster finds the cluster."""
        return (self.engine_url_from_engine or self.engine_url).rstrip("/")

    @property
    def embedder_url_for_engine(self) -> str:
        """Where a node of the cluster finds the embedder."""
        return (self.embedder_url_from_engine or self.embedder_url).rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, InitSettingsSource(settings_cls, read_config_file())


def config_file() -> Path:
    return Path(os.environ.get(CONFIG_FILE_VARIABLE) or DEFAULT_CONFIG_FILE)


def read_config_file() -> dict[str, Any]:
    """The settings in `prodsim.yaml`, or in the file that PRODSIM_CONFIG names; {} where there is none.

    Raises:
        ConfigError: the named file is missing, unreadable, or not a YAML mapping.
    """
    path = config_file()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if os.environ.get(CONFIG_FILE_VARIABLE):
            raise ConfigError(f"{CONFIG_FILE_VARIABLE} names {path}, which does not exist") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path} must hold 'setting: value' lines at its top level")
    if written := sorted(set(content) & set(SECRETS)):
        variables = ", ".join(f"{ENV_PREFIX}{name}".upper() for name in written)
        raise ConfigError(f"{path} holds a secret ({', '.join(written)}): set {variables}, or {written[0]}_file")
    return content


def load_settings(**flags: Any) -> Settings:
    """Settings for this run; a flag that is None was not given.

    Raises:
        ConfigError: all unknown settings and bad values, in one line.
    """
    problems = unknown_variables()
    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        problems += [describe(problem) for problem in error.errors()]
        raise ConfigError("; ".join(problems)) from None
    if problems:
        raise ConfigError("; ".join(problems))
    return settings


def unknown_variables() -> list[str]:
    known = {f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields} | {CONFIG_FILE_VARIABLE, LEASE_VARIABLE}
    return [
        f"unknown setting {name} in the environment: known are {', '.join(sorted(known))}"
        for name in sorted(os.environ)
        if name.startswith(ENV_PREFIX) and name not in known
    ]


def describe(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown setting {name} in {config_file()}: known are {', '.join(sorted(Settings.model_fields))}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"setting {name}: {message}" if name else message
