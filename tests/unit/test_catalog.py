"""What a catalog.yaml can say, and what is said about one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodsim.loaders.closest import closest
from prodsim.loaders.preparing.catalog import Catalog, checked_rows, load_catalog
from prodsim.loaders.preparing.catalog_spec import problems_of
from prodsim.loaders.preparing.product import Product, to_product
from prodsim.loaders.reading.readers import read_rows
from prodsim.plugin.errors import CatalogError, ConfigError

EXAMPLES = Path(__file__).parents[2] / "examples" / "catalogs"


def catalog(folder: Path, content: str) -> Catalog:
    path = folder / "catalog.yaml"
    path.write_text(content, encoding="utf-8")
    return load_catalog(path)


def refusal(folder: Path, content: str) -> str:
    with pytest.raises(ConfigError) as caught:
        catalog(folder, content)
    message = str(caught.value)
    assert "\n" not in message
    return message


def refused_columns(catalog: Catalog, path: Path) -> str:
    with pytest.raises(CatalogError) as caught:
        checked_rows(catalog, read_rows(path))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_every_way_to_name_a_source_of_a_field_works(tmp_path: Path) -> None:
    shop = catalog(
        tmp_path,
        """
        fields:
          sku: article
          title: [brand, name]
          description: [bullets, text]
          category: [department, style]
          tags: {column: keywords, split: ";"}
          price: price.amount
          currency: {value: NOK}
          stock: {column: on_hand, default: 0}
          image_url: images.1.url
          attributes: specs
        attributes:
          color: colour
          sizes: {column: sizes, split: "/"}
          material: fabric
        """,
    )
    row = {
        "article": "0123",
        "brand": "Acme",
        "name": "Boot",
        "bullets": ["Warm", "Dry"],
        "text": "Made for snow",
        "department": "Shoes > Winter",
        "style": "Boots",
        "keywords": "snow; warm, dry",
        "price": {"amount": 12.5},
        "on_hand": None,
        "images": [{"url": "a.jpg"}, {"url": "b.jpg"}],
        "specs": {"weight": 900, "color": "grey"},
        "colour": "red",
        "sizes": "40/41",
        "ignored": 1,
    }
    product = to_product(shop.product_values(row))
    assert isinstance(product, Product)
    assert product.document() == {
        "sku": "0123",
        "title": "Acme Boot",
        "description": "Warm\nDry\nMade for snow",
        "category": ["Shoes", "Shoes > Winter", "Shoes > Winter > Boots"],
        "tags": ["snow", "warm, dry"],
        "attributes": {"weight": "900", "color": "red", "sizes": ["40", "41"]},
        "price": 12.5,
        "currency": "NOK",
        "stock": 0,
        "image_url": "b.jpg",
        "variant_group": "0123",
    }


def test_blank_columns_of_several_are_skipped(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "fields: {sku: id, title: name, description: [a, b, c], category: [d, e]}")
    values = shop.product_values({"id": "1", "name": "Boot", "a": " ", "b": "Warm", "c": None, "d": "", "e": "Shoes"})
    assert values["description"] == ["Warm"]
    assert values["category"] == ["Shoes"]
    assert shop.product_values({"id": "1"})["description"] is None


def test_a_column_whose_name_holds_a_dot_wins_over_a_path(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "fields: {sku: id.no, title: name}")
    assert shop.product_values({"id.no": "flat", "id": {"no": "nested"}})["sku"] == "flat"
    assert shop.product_values({"id": {"no": "nested"}})["sku"] == "nested"


def test_names_and_constants_are_taken_as_written(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "fields: {sku: no, title: on, currency: {value: NO}, stock: {column: 2024, default: 010}}")
    assert shop.product_values({"no": "7", "on": "Boot"}) == {
        "sku": "7",
        "title": "Boot",
        "currency": "NO",
        "stock": "010",
    }


def test_without_a_catalog_columns_named_as_the_fields_are_read() -> None:
    plain = load_catalog(None)
    row = {"sku": "1", "title": "Boot", "price": "9.50", "attributes.color": "red", "colour": "x", "tags": "a, b"}
    product = to_product(plain.product_values(row))
    assert isinstance(product, Product)
    assert product.attributes == {"color": "red"}
    assert (product.price, product.tags) == (9.5, ["a", "b"])
    assert plain.unused_columns(list(row)) == ["colour"]
    nested = to_product(plain.product_values({"sku": "1", "title": "Boot", "attributes": {"color": ["red", "blue"]}}))
    assert isinstance(nested, Product)
    assert nested.attributes == {"color": ["red", "blue"]}


def test_everything_wrong_with_a_catalog_is_said_at_once(tmp_path: Path) -> None:
    message = refusal(
        tmp_path,
        """
        fields:
          title: name
          prise: cost
          price: {colum: cost}
          stock: [a, b]
          brand: {column: maker, value: Acme}
          tags: {column: x, split: ""}
          rating: 
        atributes: {}
        """,
    )
    for part in (
        "catalog.yaml: fields: no product field 'prise': did you mean 'price'?",
        "fields: sku is missing",
        "fields.price: unknown key 'colum': did you mean 'column'?",
        "fields.brand: needs a column or a value, and not both",
        "fields.tags.split: ",
        "fields.rating: should name a column",
        "unknown key 'atributes': did you mean 'attributes'?",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("fields: {title: name}", "fields: sku is missing"),
        ("fields: {sku: id, title: name, stock: [a, b]}", "fields.stock: is read from one column, not 2"),
        ("fields: {sku: id, title: name, price: {column: a, split: x}}", "fields.price: holds one value"),
        (
            "fields: {sku: id, title: name}\nattributes: {a.b: c}",
            "attributes.a.b: a name may not be blank or hold a dot",
        ),
        ("fields: {sku: id, title: {value: Boot, default: x}}", "fields.title: a value is the same for every product"),
        ("fields: {sku: id, title: ' '}", "fields.title: needs a column or a value, and neither may be blank"),
        ("fields: {sku: id, title: []}", "fields.title: needs a column or a value, and neither may be blank"),
        ("fields: {sku: id, sku: name, title: x}", "catalog.yaml line 1 is not valid YAML: 'sku' is given twice"),
        ("fields: [sku, title]", "fields: should hold 'name: column' lines"),
        ("- sku", "catalog.yaml: it should hold 'fields:' at its top level"),
        ("", "catalog.yaml: it should hold 'fields:' at its top level"),
        ("attributes: {}", "fields is missing"),
        ("fields: {sku: 'id", "catalog.yaml line 1 is not valid YAML"),
    ],
)
def test_a_wrong_catalog_is_refused_with_the_place(tmp_path: Path, content: str, message: str) -> None:
    assert message in refusal(tmp_path, content)


def test_a_missing_catalog_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_catalog(tmp_path / "gone.yaml")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["column", "value", "split", "x"]), inner)
    ),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries({}, optional={"fields": JSON | st.dictionaries(st.sampled_from(["sku", "x"]), JSON)}) | JSON
)
def test_any_content_is_a_spec_or_has_named_problems(content: object) -> None:
    spec, problems = problems_of(content)
    assert spec is not None or problems
    assert all(problem and "\n" not in problem for problem in problems)


def test_a_header_that_lacks_a_named_column_is_refused(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "fields: {sku: id, title: name, price: prise}\nattributes: {color: shade}")
    (tmp_path / "shop.csv").write_text("id,name,price,extra\n1,Boot,9,x\n")
    message = refused_columns(shop, tmp_path / "shop.csv")
    assert "shop.csv has no column 'prise' for price (did you mean 'price'?), 'shade' for attributes.color: " in message
    assert "Its columns: id, name, price, extra" in message


def test_an_optional_column_may_be_missing(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "fields: {sku: id, title: name, rating: {column: stars, optional: true}}")
    (tmp_path / "shop.csv").write_text("id,name\n1,Boot\n")
    assert len(list(checked_rows(shop, read_rows(tmp_path / "shop.csv")))) == 1


def test_without_a_catalog_a_source_needs_sku_and_title_alone(tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("sku,title\n1,Boot\n")
    assert len(list(checked_rows(load_catalog(None), read_rows(tmp_path / "good.csv")))) == 1
    (tmp_path / "bad.csv").write_text("id,name\n1,Boot\n")
    message = refused_columns(load_catalog(None), tmp_path / "bad.csv")
    assert (
        "has no column 'sku' for sku, 'title' for title: name the columns that hold them in a catalog.yaml" in message
    )


def ndjson(folder: Path, rows: int, extra: str = "", every: int = 1) -> Path:
    path = folder / "shop.ndjson"
    lines = (f'{{"id": {i}, "name": "Boot"{extra if i % every == every - 1 else ""}}}\n' for i in range(rows))
    path.write_text("".join(lines))
    return path


def test_a_sparse_key_is_no_missing_column_but_one_that_no_row_has_is(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "fields: {sku: id, title: name, brand: maker.label}")
    assert len(list(checked_rows(shop, read_rows(ndjson(tmp_path, 900, ', "maker": {"label": "x"}', 800))))) == 900
    assert "has no column 'maker.label' for brand" in refused_columns(shop, ndjson(tmp_path, 900))


def test_a_few_rows_without_a_key_are_loaded_unless_the_name_looks_mistyped(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "fields: {sku: id, title: name, brand: maker}")
    assert len(list(checked_rows(shop, read_rows(ndjson(tmp_path, 3))))) == 3
    message = refused_columns(shop, ndjson(tmp_path, 3, ', "makr": "Acme"'))
    assert "has no column 'maker' for brand (did you mean 'makr'?)" in message
    needed = catalog(tmp_path, "fields: {sku: id, title: heading}")
    assert "has no column 'heading' for title" in refused_columns(needed, ndjson(tmp_path, 3))


def test_a_file_of_broken_rows_only_still_gives_them(tmp_path: Path) -> None:
    (tmp_path / "shop.ndjson").write_text("{\n{\n")
    rows = list(checked_rows(load_catalog(None), read_rows(tmp_path / "shop.ndjson")))
    assert [row.problem is not None for row in rows] == [True, True]


def test_paths_into_lists_count_as_columns(tmp_path: Path) -> None:
    shop = catalog(tmp_path, "fields: {sku: id, title: name, image_url: images.0.url}")
    source = read_rows(ndjson(tmp_path, 200, ', "images": [{"url": "a.jpg"}]'))
    assert len(list(checked_rows(shop, source))) == 200
    assert shop.unused_columns(["id", "name", "images"]) == []


def test_the_nearest_name_is_found_whatever_its_case_and_separators() -> None:
    assert closest("Current Stock", ["price", "current_stock"]) == "current_stock"
    assert closest("zzz", ["price"]) is None


@pytest.mark.parametrize("name", ["retail_demo", "esci150"])
def test_the_example_catalogs_are_valid(name: str) -> None:
    assert {"sku", "title", "category", "price"} <= load_catalog(EXAMPLES / f"{name}.yaml").fields.keys()
