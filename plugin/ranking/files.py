"""Profiles from files: `ranking/NAME.yaml` of the shop, or the shipped ones, each on top of what it inherits."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from prodsim.mappings.synonyms import rules_in
from prodsim.plugin.errors import ConfigError, NotFound

from .profile import SHIPPED, Profile, problems_of

FOLDER = "ranking"
PROFILE_SUFFIXES = (".yaml", ".yml")
LONGEST_CHAIN = 10


def load_profile(path_or_name: str | Path, folder: str | Path = FOLDER) -> Profile:
    """The profile in a file, or of that name: in `folder`, else the shipped one.

    Raises:
        NotFound: there is none. ConfigError: all that is wrong with it, in one line.
    """
    content, origin = read_whole(path_or_name, Path(folder))
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{origin}: {'; '.join(problems_of(error))}") from None


def as_yaml(profile: Profile) -> str:
    """A profile as its file would hold it, with all that it inherits."""
    content = profile.model_dump(mode="json", by_alias=True, exclude_none=True)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def default_profile() -> Profile:
    return load_shipped(SHIPPED)


def load_shipped(name: str) -> Profile:
    content = read_shipped(name)
    del content["inherits"]
    return Profile.model_validate(content)


def read_whole(path_or_name: str | Path, folder: Path) -> tuple[dict[str, Any], str]:
    """The content of a profile with all that it inherits, and where it was found.

    Raises:
        NotFound: there is no such file. ConfigError: it can't be read, or inherits in a circle.
    """
    content, origin, next_folder = read_one(path_or_name, folder, shipped=False)
    first_origin, seen = origin, [origin]
    while (parent := content.pop("inherits")) is not None:
        if not isinstance(parent, str):
            raise ConfigError(f"{origin}: inherits names one profile, not {parent!r}")
        # a shop's own "default" may inherit the shipped one of that name
        own = parent == Path(origin).stem
        inherited, origin, next_folder = read_one(parent, next_folder, shipped=own)
        if origin in seen or len(seen) > LONGEST_CHAIN:
            raise ConfigError(f"{first_origin}: inherits in a circle: {' -> '.join([*seen, origin])}")
        seen.append(origin)
        content = {**merged(inherited, content), "inherits": inherited["inherits"]}
    return content, first_origin


def read_one(path_or_name: str | Path, folder: Path, shipped: bool) -> tuple[dict[str, Any], str, Path]:
    """One file's content, its place, and the folder of its neighbours."""
    path = Path(path_or_name)
    if path.suffix not in PROFILE_SUFFIXES:
        found = [folder / f"{path_or_name}{suffix}" for suffix in PROFILE_SUFFIXES]
        path = next((one for one in found if one.is_file()), found[0])
        if shipped or not path.is_file():
            if str(path_or_name) in shipped_names():
                return read_shipped(str(path_or_name)), f"the shipped {path_or_name}", folder
            raise NotFound(
                f"there is no ranking profile {path_or_name}: {path} does not exist, "
                f"shipped are {', '.join(shipped_names())}"
            )
    try:
        content = parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise NotFound(f"there is no ranking profile {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {error}") from None
    content = {"inherits": SHIPPED, **content, "name": path.stem}
    if isinstance(named := content.get("synonyms"), str):
        content["synonyms"] = read_synonyms(path.parent / named, str(path))
    return content, str(path), path.parent


def read_synonyms(path: Path, origin: str) -> list[str]:
    """The rules of the file that a profile names beside itself."""
    try:
        return rules_in(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{origin}: synonyms {path} can't be read: {reason}") from None


def parse(text: str, origin: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{origin} must hold 'setting: value' lines at its top level")
    return content


def shipped_names() -> list[str]:
    folder = files("prodsim.mappings").joinpath(FOLDER)
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_shipped(name: str) -> dict[str, Any]:
    text = files("prodsim.mappings").joinpath(FOLDER, f"{name}.yaml").read_text(encoding="utf-8")
    return {"inherits": None, **parse(text, f"the shipped {name}"), "name": name}


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged key by key, lists and values replaced; null takes away what was inherited."""
    result = dict(below)
    for key, value in above.items():
        inherited = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(inherited, Mapping):
            result[key] = merged(inherited, value)
        else:
            result[key] = value
    return result
