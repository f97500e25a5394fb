"""`setup`: the bundle into the cluster, as often as you like."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prodsim.mappings import bundle
from prodsim.mappings.bundle import PREFIX, TextModel, vectors_of
from prodsim.mappings.render import bundle_file

from . import ml
from .changes import Change
from .client import engine_errors
from .cluster import Cluster, inspect_cluster
from .cluster_settings import apply_cluster_settings, plan_cluster_settings
from .config import Settings
from .errors import EngineError
from .indexes import check_alias_name, find_serving_index, pipeline_name, product_indexes
from .ranking.compile import compile_profile
from .ranking.profile import Profile
from .ranking.store import active_profile
from .resources import Installer, Resource, deduplicated, read_resource

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


def setup(
    client: OpenSearch,
    settings: Settings,
    model: TextModel,
    profile: Profile | None = None,
    dry_run: bool = False,
) -> list[Change]:
    """Installs the bundle for the alias and brings the pipelines of its indexes up to date.

    Running it again changes nothing. Indexes and their products are never touched.

    Raises:
        EngineError: the cluster can't serve prodsim, or the alias holds vectors of another model's length.
    """
    cluster = inspect_cluster(client)
    check_alias_name(settings.alias)
    serving = find_serving_index(client, settings.alias)
    if serving and serving.model.field() != model.field():
        raise EngineError(
            f"{serving.name} behind {settings.alias} has {serving.model.shape} vectors of {serving.model.name}, "
            f"the embedder's {model.name} makes {model.shape} ones: serve {serving.model.name}, "
            f"or rebuild with 'prodsim-admin reindex --alias {settings.alias}'"
        )
    installer = Installer(client, dry_run)
    indexes = product_indexes(client, settings.alias)
    profile = profile or active_profile(client)
    # an index template adds its fields to whatever index is made: it has those of the catalog
    others = serving.further_vectors if serving else ()
    body = bundle.index_body(model, others=others, synonyms=profile.synonyms)
    legs = template_legs(client, vectors_of(body), *(index.vectors for index in indexes))
    if cluster.has_ml:
        change, wanted = plan_cluster_settings(client, settings)
        installer.changes.append(change)
        if not dry_run:
            apply_cluster_settings(client, wanted)
        if model not in [index.model for index in indexes]:  # ready before its first index is
            remote_models(installer, settings, model)
    install_index_template(installer, settings.alias, body)
    install_search_templates(installer, cluster, profile, legs)
    for index in indexes:
        install_pipelines(installer, settings, cluster, index.name, index.model, index.vectors, legs)
        installer.attach_pipelines(index)
    if cluster.has_ml and not dry_run:
        remove_unused_models(client, installer.model_names)
    return deduplicated(installer.changes)


def prepare_index(
    client: OpenSearch, settings: Settings, name: str, model: TextModel, body: Mapping[str, Any]
) -> list[Change]:
    """Templates and pipelines for an index that is about to be created from that body."""
    installer = Installer(client, dry_run=False)
    cluster = inspect_cluster(client)
    vectors = vectors_of(body)
    legs = template_legs(client, vectors)
    profile = active_profile(client)
    install_index_template(installer, settings.alias, body)  # another one would add its fields to the index
    install_search_templates(installer, cluster, profile, legs)
    install_pipelines(installer, settings, cluster, name, model, vectors, legs)
    return installer.changes


def install_index_template(installer: Installer, alias: str, body: Mapping[str, Any]) -> None:
    installer.put(Resource("index template", f"{PREFIX}{alias}", bundle.index_template(alias, body)))


def template_legs(client: OpenSearch, *wanted: Iterable[str]) -> list[str]:
    """The k-NN fields that the stored templates have legs for: those that are in, then the new ones."""
    known: list[str] = []
    # they have the same legs, if nobody has meddled with one
    for name in (bundle.SIMILAR_TEMPLATE, bundle.SIMILAR_IMAGE_TEMPLATE, bundle.LIKE_TEMPLATE):
        installed = read_resource(client, "search template", name)
        known = known or bundle.leg_fields(installed["script"]["source"] if installed else "")
    return list(dict.fromkeys([*known, *(name for names in wanted for name in sorted(names))]))


def install_search_templates(installer: Installer, cluster: Cluster, profile: Profile, legs: Sequence[str]) -> None:
    for name, file in bundle.SCRIPT_FILES.items():
        installer.put(Resource("script", name, {"script": {"lang": "painless", "source": bundle_file(file)}}))
    for name, source in compile_profile(profile, legs, cluster.version).items():
        installer.put(Resource("search template", name, {"script": {"lang": "mustache", "source": source}}))


def install_pipelines(
    installer: Installer,
    settings: Settings,
    cluster: Cluster,
    index: str,
    model: TextModel,
    vectors: Sequence[str],
    legs: Sequence[str],
) -> None:
    name = pipeline_name(index)
    models = remote_models(installer, settings, model) if cluster.has_ml else {}
    installer.put(Resource("ingest pipeline", name, bundle.ingest_pipeline(model, models.get("passage"))))
    if models:
        body = bundle.search_pipeline(
            index, model, vectors, legs, models["query"], models["stored-vector"], models.get("photo")
        )
    else:
        body = {"description": "prodsim: this cluster has no ML Commons, callers pass params.vector"}
    installer.put(Resource("search pipeline", name, body))


def remote_models(installer: Installer, settings: Settings, model: TextModel) -> dict[str, str]:
    wanted = bundle.connectors(
        model,
        settings.embedder_url_for_engine,
        settings.self_url,
        settings.query_timeout_s,
        credentials_in(settings),
        settings.image_model,
    )
    ids = {role: installer.remote_model(connector) for role, connector in wanted.items()}
    if not installer.dry_run:
        ml.wait_found(installer.client, [connector["name"] for connector in wanted.values()])
    return ids


def credentials_in(settings: Settings) -> bundle.Credentials:
    return bundle.Credentials(settings.embedder_key, settings.reader_username, settings.secret("reader_password"))


def remove_unused_models(client: OpenSearch, used: Collection[str]) -> None:
    """Removes prodsim's remote models that no pipeline of any index names, but for those in `used`."""
    with engine_errors("reading the pipelines"):
        pipelines = str(client.ingest.get_pipeline(ignore=[404]))
        pipelines += str(client.transport.perform_request("GET", "/_search/pipeline", params={"ignore": (404,)}))
    connectors = {found.id: found for found in ml.find(client, "connectors")}
    for model in ml.find(client, "models"):
        if model.name not in used and model.id not in pipelines:
            ml.remove(client, model, connectors.get(model.connector))
