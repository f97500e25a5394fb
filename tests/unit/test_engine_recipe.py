"""What engines are made of."""

from __future__ import annotations

import pytest

from prodsim.plugin.engine.downloads import published_url
from prodsim.plugin.engine.instance import heap_bytes, jvm_arguments
from prodsim.plugin.engine.recipe import known_versions, recipe_for
from prodsim.plugin.errors import ExitCode, UsageError


@pytest.mark.parametrize("version", known_versions())
def test_every_artifact_is_pinned_by_size_and_checksum_under_a_name_of_its_own(version: str) -> None:
    artifacts = recipe_for(version).artifacts
    assert len({artifact.file_name for artifact in artifacts}) == len(artifacts)
    assert len({artifact.sha256 for artifact in artifacts}) == len(artifacts)
    for artifact in artifacts:
        assert artifact.size_bytes > 1000
        assert len(bytes.fromhex(artifact.sha256)) == 32


@pytest.mark.parametrize("version", known_versions())
def test_every_artifact_has_a_download_address_that_ends_in_its_file(version: str) -> None:
    for artifact in recipe_for(version).artifacts:
        url = published_url(artifact)
        assert url.startswith("https://")
        assert url.endswith(f"/{artifact.file_name}")


def test_the_default_engine_has_the_whole_neural_stack() -> None:
    recipe = recipe_for()
    assert recipe.version == "2.19.1"
    assert set(recipe.plugins) == {
        "opensearch-job-scheduler",
        "opensearch-knn",
        "opensearch-ml-plugin",
        "neural-search",
    }
    assert recipe.has_ml_commons
    assert {"lang-painless", "lang-mustache", "analysis-common", "ingest-common", "reindex"} <= set(recipe.modules)


def test_a_module_builds_only_on_modules_that_are_there_and_may_load_its_classes() -> None:
    modules = recipe_for("2.19.1").modules
    for module in modules.values():
        assert set(module.extends) <= set(modules)
        assert 'java.lang.RuntimePermission "getClassLoader"' in module.permissions
        assert module.jars


def test_the_newer_engine_has_k_nn_alone_and_brings_its_modules() -> None:
    recipe = recipe_for("3.5.0")
    assert set(recipe.plugins) == {"opensearch-knn"}
    assert not recipe.has_ml_commons
    assert not recipe.modules


def test_an_unknown_version_is_a_usage_error_that_names_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"1\.0\.0 .* 2\.19\.1 .* or 3\.5\.0") as caught:
        recipe_for("1.0.0")
    assert caught.value.exit_code == ExitCode.USAGE
    assert "\n" not in str(caught.value)


def test_the_engine_may_call_services_on_this_machine() -> None:
    assert recipe_for().settings["plugins.ml_commons.connector.private_ip_enabled"] is True


@pytest.mark.parametrize(
    ("java", "there", "not_there"),
    [(17, [], ["-Djava.security.manager=allow", "--add-modules=jdk.incubator.vector"]),
     (21, ["-Djava.security.manager=allow", "--add-modules=jdk.incubator.vector"], [])],
)  # fmt: skip
def test_java_options_are_those_that_this_java_understands(java: int, there: list[str], not_there: list[str]) -> None:
    places = {"engine": "/e", "config": "/c", "logs": "/l", "tmp": "/t"}
    options = list(jvm_arguments(recipe_for("2.19.1"), java, heap="2g", direct_memory_bytes=1 << 30, **places))
    assert {"-Xmx2g", "-XX:MaxDirectMemorySize=1073741824", "-Dopensearch.path.conf=/c", *there} <= set(options)
    assert not set(not_there) & set(options)
    assert not [option for option in options if "{" in option]


@pytest.mark.parametrize(("heap", "size_bytes"), [("1g", 1 << 30), ("512m", 512 << 20), ("1024M", 1 << 30)])
def test_a_heap_is_a_number_of_megabytes_or_gigabytes(heap: str, size_bytes: int) -> None:
    assert heap_bytes(heap) == size_bytes


@pytest.mark.parametrize("heap", ["", "1", "1k", "g", "0g", "100m", "1.5g", "1g -XX:+Foo", "-1g"])
def test_a_heap_that_java_could_not_use_is_refused_before_anything_starts(heap: str) -> None:
    with pytest.raises(UsageError, match="heap size"):
        heap_bytes(heap)
