"""`prodsim-admin search` and `similar`: what a client would get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .options import Alias, EmbedderUrl, EngineUrl, Json

if TYPE_CHECKING:
    from prodsim.plugin.config import Settings
    from prodsim.plugin.query import ProductSearch, Result

Size = Annotated[int, typer.Option("--size", "-n", min=1, max=1000, help="Hits on a page.")]
Offset = Annotated[int, typer.Option("--from", min=0, help="Hits to skip.")]
Category = Annotated[
    list[str] | None, typer.Option("--category", help="Only this category; repeat for any of several.")
]
Brand = Annotated[list[str] | None, typer.Option("--brand", help="Only this brand; repeat for any of several.")]
PriceMin = Annotated[float | None, typer.Option("--price-min", help="Not cheaper than this.")]
PriceMax = Annotated[float | None, typer.Option("--price-max", help="Not dearer than this.")]
InStock = Annotated[bool, typer.Option("--in-stock", help="Only products in stock.")]
Sort = Annotated[
    str | None, typer.Option("--sort", metavar="FIELD[:asc|desc]", help="Order by a field instead of the best match.")
]
Explain = Annotated[bool, typer.Option("--explain", help="Show what each score is made of.")]
Facets = Annotated[bool, typer.Option("--facets", help="Count the hits by category, brand, price and so on.")]


def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help='What a customer types; "" lists all.')],
    size: Size = 10,
    offset: Offset = 0,
    category: Category = None,
    brand: Brand = None,
    price_min: PriceMin = None,
    price_max: PriceMax = None,
    in_stock: InStock = False,
    sort: Sort = None,
    facets: Facets = False,
    explain: Explain = False,
    alias: Alias = None,
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    json: Json = False,
) -> None:
    """Search the catalog by words and meaning."""
    from prodsim.plugin.config import load_settings

    from .wiring import open_embedder

    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    filters = filters_of(size, offset, category, brand, price_min, price_max, in_stock, sort, facets)
    with open_embedder(settings) as embedder:
        result = catalog(settings, embedder).search(text, explain=explain, spelling=True, **filters)
    if result.semantic is False and text:
        output.note("no embedder: answered on words alone (see 'prodsim-admin doctor')")
    if result.spelling and not json:
        output.note(f"did you mean: {result.spelling}")
    show(result, json)


def similar(
    sku: Annotated[str | None, typer.Argument(metavar="SKU", help="The product to find the like of.")] = None,
    photo: Annotated[
        str | None, typer.Option("--photo", metavar="FILE|URL", help="Products whose picture is like this one.")
    ] = None,
    size: Size = 10,
    offset: Offset = 0,
    category: Category = None,
    brand: Brand = None,
    price_min: PriceMin = None,
    price_max: PriceMax = None,
    in_stock: InStock = False,
    sort: Sort = None,
    facets: Facets = False,
    explain: Explain = False,
    alias: Alias = None,
    engine_url: EngineUrl = None,
    embedder_url: EmbedderUrl = None,
    json: Json = False,
) -> None:
    """Products like this one, without itself and its variants; or products that look like a photo."""
    from prodsim.plugin.config import load_settings
    from prodsim.plugin.errors import UsageError

    from .wiring import open_embedder

    if (sku is None) == (photo is None):
        raise typer.BadParameter("name a SKU or a --photo, one of the two", param_hint="SKU")
    settings = load_settings(alias=alias, engine_url=engine_url, embedder_url=embedder_url)
    filters = filters_of(size, offset, category, brand, price_min, price_max, in_stock, sort, facets)
    if photo is None:
        return show(catalog(settings).similar(sku or "", explain=explain, **filters), json)
    if settings.image_model is None:
        raise UsageError("set image_model to the embedder's model that the catalog's pictures were embedded with")
    shown = photo if photo.startswith(("http://", "https://")) else read_photo(photo)
    with open_embedder(settings) as embedder:
        found = catalog(settings, embedder).similar_photo(shown, model=settings.image_model, explain=explain, **filters)
    show(found, json)


def read_photo(path: str) -> bytes:
    from pathlib import Path

    from prodsim.plugin.errors import UsageError

    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"--photo {path} can't be read: {error.strerror or error}") from None


def catalog(settings: Settings, embedder: Any = None) -> ProductSearch:
    from prodsim.plugin.client import connect
    from prodsim.plugin.query import ProductSearch

    return ProductSearch(connect(settings), settings.alias, embedder)


def filters_of(
    size: int,
    offset: int,
    category: list[str] | None,
    brand: list[str] | None,
    price_min: float | None,
    price_max: float | None,
    in_stock: bool,
    sort: str | None,
    facets: bool,
) -> dict[str, Any]:
    """What was given, in the words of the query client."""
    field, _, order = (sort or "").partition(":")
    if order not in ("", "asc", "desc"):
        raise typer.BadParameter(f"'{sort}': the order is asc or desc", param_hint="--sort")
    return {
        "size": size,
        "offset": offset,
        "category": category or None,
        "brand": brand or None,
        "price_min": price_min,
        "price_max": price_max,
        "in_stock": in_stock or None,
        "sort": {field: order} if order else field or None,
        "facets": facets or None,
    }


def show(result: Result, json: bool) -> None:
    if json:
        return output.result_json(result)
    rows = [
        {
            "score": f"{hit.score:.3f}",
            "sku": hit.sku,
            **{name: hit.product.get(name) for name in ("title", "price", "stock")},
        }
        for hit in result
    ]
    output.table(rows, ["score", "sku", "title", "price", "stock"])
    output.note(f"{len(result)} of {result.total} hits in {result.took_ms} ms")
    for hit in result:
        if hit.explained:
            output.result(f"\n{hit.sku}  {hit.product.get('title', '')}")
            output.table(hit.explained.rows(), ["part", "points", "factor"])
    for name, facet in result.facets.items():
        output.result(f"{name}: {describe_facet(facet)}")


def describe_facet(facet: dict[str, Any]) -> str:
    if "buckets" in facet:
        return ", ".join(f"{bucket['key']} ({bucket['doc_count']})" for bucket in facet["buckets"]) or "-"
    if "doc_count" in facet:
        return str(facet["doc_count"])
    return f"{facet['min']} to {facet['max']}" if facet.get("count") else "-"
