"""What `load --check` says of a source, and the catalog.yaml that it suggests, which must load it."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodsim.loaders.preparing.catalog import checked_rows, load_catalog
from prodsim.loaders.preparing.catalog_text import suggest_catalog
from prodsim.loaders.preparing.product import Product
from prodsim.loaders.preparing.profile_source import SourceProfile, describe, profile_source
from prodsim.loaders.reading.readers import read_rows

DATA = Path(__file__).parents[3] / "shared" / "data"

GERMAN = """Artikelnr.;Bezeichnung;Beschreibung;Hersteller;Warengruppe;VK-Preis;UVP;Bestand;EAN;Farbe;Angelegt am;Bild
L-1;Schreibtischlampe mit Klemme;<b>Warm</b>;Acme;Licht / Lampen;39,90 €;49,90 €;auf Lager;4006381333931;rot;31.01.2024;http://x.example/a.jpg
L-2;Stehlampe Leinen;Gross;Acme;Licht / Lampen;1.299,00 €;;ausverkauft;4006381333948;weiss;01.02.2024;http://x.example/b.jpg
L-3;Nachtlicht blau;;Bolt;Licht / Kinder;9,95 €;12,00 €;auf Lager;;weiss;03.02.2024;https://x.example/c.jpg
"""
ENGLISH = """Product ID,Product Name,Body (HTML),Vendor,Type,Price,Compare At Price,Qty,Color,Created,Image Src,Tags
1,"Desk lamp, clamp","<p>Warm</p>",Acme,Lamps,$12.5,,4,red,1/31/2024,https://x.example/a.jpg,"a, b"
2,Floor lamp,"<p>Big</p>",Acme,Lamps,"$1,299.00",,0,blue,2/1/2024,https://x.example/b.jpg,c
"""
NAMELESS = "a;b;c\nX1;Big red boots;12,50 €\nX2;Small blue boots;3,00 €\n"
NESTED = (
    '{"ref": "A1", "nom": "Chaise longue", "prix": "12,50", "images": [{"url": "https://x.example/a.jpg"}], '
    '"caracteristiques": {"couleur": "rouge"}}\n'
    '{"ref": "A2", "nom": "Table basse", "prix": "1.299,00", "marque": "Acme", '
    '"caracteristiques": {"couleur": "bleu", "bois": "pin"}}\n'
)


def profiled(path: Path, sample: int = 1_000) -> SourceProfile:
    return profile_source(read_rows(path), None, sample)


def loaded(folder: Path, path: Path, text: str) -> list[Product]:
    (folder / "suggested.yaml").write_text(text, encoding="utf-8")
    shop = load_catalog(folder / "suggested.yaml")
    made = [shop.prepare(row.values) for row in checked_rows(shop, read_rows(path))]
    assert [one for one in made if not isinstance(one, Product)] == []
    return [one for one in made if isinstance(one, Product)]


def suggested(folder: Path, name: str, content: str) -> tuple[str, list[Product]]:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    text = suggest_catalog(profiled(path))
    return text, loaded(folder, path, text)


def test_a_german_export_gets_a_catalog_that_loads_it(tmp_path: Path) -> None:
    text, products = suggested(tmp_path, "shop.csv", GERMAN)
    assert 'decimal: ","' in text
    assert products[1].document() == {
        "sku": "L-2",
        "title": "Stehlampe Leinen",
        "description": "Gross",
        "brand": "Acme",
        "category": ["Licht", "Licht > Lampen"],
        "attributes": {"farbe": "weiss"},
        "price": 1299.0,
        "currency": "EUR",
        "stock": 0,
        "created_at": "2024-02-01T00:00:00Z",
        "image_url": "http://x.example/b.jpg",
        "gtin": ["04006381333948"],
        "variant_group": "L-2",
    }


def test_an_english_export_gets_a_catalog_that_loads_it(tmp_path: Path) -> None:
    text, products = suggested(tmp_path, "shop.csv", ENGLISH)
    assert "date: month-first" in text
    assert "# feeds nothing: Compare At Price" in text
    second = products[1]
    assert (second.sku, second.title, second.price, second.currency) == ("2", "Floor lamp", 1299.0, "USD")
    assert (second.stock, second.created_at, second.tags) == (0, "2024-02-01T00:00:00Z", ["c"])


def test_columns_whose_names_tell_nothing_are_told_by_what_they_hold(tmp_path: Path) -> None:
    text, products = suggested(tmp_path, "shop.csv", NAMELESS)
    assert "sku: a   # told by what it holds; such as X1" in text
    assert [(one.sku, one.title, one.price, one.currency) for one in products] == [
        ("X1", "Big red boots", 12.5, "EUR"),
        ("X2", "Small blue boots", 3.0, "EUR"),
    ]


def test_nested_rows_of_which_some_lack_names_get_a_catalog_that_loads_them(tmp_path: Path) -> None:
    _, products = suggested(tmp_path, "shop.ndjson", NESTED)
    assert [(one.sku, one.title, one.price, one.brand, one.image_url) for one in products] == [
        ("A1", "Chaise longue", 12.5, None, "https://x.example/a.jpg"),
        ("A2", "Table basse", 1299.0, "Acme", None),
    ]
    assert products[1].attributes == {"couleur": "bleu", "bois": "pin"}


def test_a_field_that_most_rows_would_fail_for_is_left_out_of_them(tmp_path: Path) -> None:
    rows = "".join(f"{i};Boot number {i};on request;{i}\n" for i in range(30))
    text, products = suggested(tmp_path, "shop.csv", f"sku;title;rating;stock\n{rows}")
    assert len(products) == 30
    assert "rating" not in text.split("attributes:")[0] or "invalid: drop" in text


@pytest.mark.parametrize(
    "names", ["sku,title", "a,b", '"x: y","[z]"', '"#no",null', "title,sku", "name,name2", "Größe,Maß", "'q',\"a,b\""]
)
def test_any_names_of_columns_make_valid_yaml(tmp_path: Path, names: str) -> None:
    _, products = suggested(tmp_path, "shop.csv", f"{names}\nA1,Red boots\nA2,Blue boots\n")
    assert len(products) == 2


def test_the_report_says_what_each_column_is_and_feeds_and_what_goes_wrong_first(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("sku,title,price,made\nA1,Boot,12.50,31.01.2024\nA2,,free,\n", encoding="utf-8")
    report = describe(profile_source(read_rows(path), load_catalog(None)))
    assert report[0].endswith("shop.csv (csv): all 2 rows, 4 columns")
    assert [line.split() for line in report[1:6]] == [
        ["COLUMN", "TYPE", "MISSING", "EXAMPLES", "FEEDS"],
        ["sku", "text", "0%", "A1", "|", "A2", "sku"],
        ["title", "text", "50.0%", "Boot", "title"],
        ["price", "number", "50%", "0%", "12.50", "|", "free", "price"],
        ["made", "date", "50.0%", "31.01.2024", "-"],
    ]
    assert report[6] == "1 of 2 rows would be products, 1 would be rejected"
    assert report[7] == (
        "  line 3 (A2): title: missing; price: 'free' holds no number: leave it blank, or give such words one with "
        "'map' in a catalog.yaml"
    )


def test_no_more_rows_are_read_than_were_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("sku,title\n" + "".join(f"{i},Boot\n" for i in range(100)), encoding="utf-8")
    profile = profiled(path, 10)
    assert (profile.rows, profile.whole) == (10, False)
    assert "the first 10 rows" in describe(profile)[0]


def test_a_source_that_lacks_what_the_catalog_reads_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("id,name,prize\n1,Boot,9\n", encoding="utf-8")
    (tmp_path / "catalog.yaml").write_text("fields: {sku: id, title: name, price: price}")
    report = describe(profile_source(read_rows(path), load_catalog(tmp_path / "catalog.yaml")))
    assert any("has no column 'price' for price (did you mean 'prize'?)" in line for line in report)
    assert report[-1] == "feeds nothing: prize"


@pytest.mark.skipif(not DATA.is_dir(), reason="the real catalogs (shared/data) are not here")
@pytest.mark.parametrize(
    ("file", "count"),
    [("esci150/products.ndjson.gz", 6_764), ("retail_demo/products.yaml", 2_465), ("abt_buy/buyclean.csv", 1_064)],
)
def test_real_catalogs_get_a_catalog_that_loads_every_row(tmp_path: Path, file: str, count: int) -> None:
    assert len(loaded(tmp_path, DATA / file, suggest_catalog(profiled(DATA / file)))) == count
