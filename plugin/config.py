"""Settings, each from the first place that names it: flag, `PRODSIM_*` variable, `prodsim.yaml`, default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from .errors import ConfigError

ENV_PREFIX = "PRODSIM_"
CONFIG_FILE_VARIABLE = "PRODSIM_CONFIG"
DEFAULT_CONFIG_FILE = "prodsim.yaml"


def default_home() -> Path:
    """The folder for engines, logs and process files; readable by the engine's user when root starts it."""
    if os.geteuid() == 0:  # an engine dropped to another user can't enter /root
        return Path("/var/lib/prodsim")
    import platformdirs

    return platformdirs.user_data_path("prodsim")


class Settings(BaseSettings):
    """Everything a command needs to know about its surroundings.

    URLs carry a scheme. Times are seconds. `*_from_engine` URLs are those the cluster itself can reach, where they
    differ from the ones this process uses.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", env_ignore_empty=True, frozen=True)

    alias: str = Field("products", description="the alias that searches and loads go through")
    home: Path = Field(default_factory=default_home, description="folder of local engines, logs and process files")

    engine_url: str = Field(
        "http://127.0.0.1:9200", pattern=r"^https?://\S+$", description="OpenSearch, as seen from here"
    )
    engine_url_from_engine: str | None = Field(
        None, pattern=r"^https?://\S+$", description="OpenSearch, as its own nodes reach it (default: engine_url)"
    )
    engine_username: str | None = Field(None, description="basic auth user")
    engine_password: SecretStr | None = Field(None, description="basic auth password")
    engine_ca_file: Path | None = Field(None, description="certificate authority of the engine (PEM)")
    engine_timeout_s: float = Field(30.0, gt=0, description="how long one engine call may take")

    embedder_url: str = Field(
        "http://127.0.0.1:8901", pattern=r"^https?://\S+$", description="embedder, as seen from here"
    )
    embedder_url_from_engine: str | None = Field(
        None, pattern=r"^https?://\S+$", description="embedder, as the engine's nodes reach it (default: embedder_url)"
    )
    embedder_timeout_s: float = Field(60.0, gt=0, description="how long one embedder call may take")
    embedder_api_key: SecretStr | None = Field(
        None, description="key that the embedder asks for; setup hands it to the engine (default: EMBEDDER_API_KEY)"
    )
    embedder_ca_file: Path | None = Field(None, description="certificate authority of the embedder (PEM)")
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

    @property
    def embedder_key(self) -> str | None:
        """The embedder's key as text; never to be shown."""
        given = self.embedder_api_key.get_secret_value() if self.embedder_api_key else None
        return given or os.environ.get("EMBEDDER_API_KEY") or None

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
    known = {f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields} | {CONFIG_FILE_VARIABLE}
    return [
        f"unknown setting {name} in the environment: known are {', '.join(sorted(known))}"
        for name in sorted(os.environ)
        if name.startswith(ENV_PREFIX) and name not in known
    ]


def describe(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown setting {name} in {config_file()}: known are {', '.join(sorted(Settings.model_fields))}"
    return f"setting {name}: {problem['msg']}"
