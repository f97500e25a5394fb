"""Model numbers, trade item numbers and measures: found in any notation, and not where there are none."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodsim.loaders.preparing.gtin import find_gtins
from prodsim.loaders.preparing.identifiers import find_identifiers
from prodsim.loaders.preparing.measures import find_measures
from prodsim.loaders.preparing.product import Problem, Product, to_product

PAIRS = Path(__file__).parents[3] / "shared" / "data" / "abt_buy"


@pytest.mark.parametrize(
    "title",
    [
        "Sony WH-1000XM4 headphones",
        "sony wh1000xm4",
        "Sony WH 1000 XM4 black",
        "SONY WH 1000 XM4 BLACK",
        "headphones (WH_1000_XM4)",
        "WH.1000.XM4, black",
        "Model: WH-1000XM4",
    ],
)
def test_one_model_number_in_any_punctuation_has_one_form(title: str) -> None:
    assert find_identifiers(title) == ["WH1000XM4"]


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("Canon KP 36IP Print Kit - 7737A001", ["KP36IP", "7737A001"]),
        ("Canon EOS 40D body", ["EOS40D"]),
        ("Apple MacBook MB123LL/A", ["MB123LL", "MB123LLA"]),
        ("LG 42LG70 television", ["LG42LG70", "42LG70"]),
        ("NVIDIA GTX 1080", ["GTX1080"]),
        ("Bose speaker, model no.: 27028", ["27028"]),
        ("Leuchte Art.-Nr.: 123456", ["123456"]),
        ("D-Link DIR-655 router", ["DIR655"]),
    ],
)
def test_part_numbers_are_found(title: str, found: list[str]) -> None:
    assert find_identifiers(title) == found


@pytest.mark.parametrize(
    "title",
    [
        "4K 100% 2-in-1 1920x1080 1080p 2024-01-31",
        "Released 2024 at $1299 or EUR1299 or 1299USD or EUR 1299",
        "Windows10 3d-printer 14-day 12-inch 2-pack 100-count mid-2012",
        "USB3.0 HDMI-2.0 802.11b/g/n DDR3-1600 IP67 SPF 50 CAT5e RJ-45 WPA2 MP3",
        "500ml 12V 10ft 60Hz 5.1ch 16GB 1TB 20cm 10x12x5cm 18k",
        "CES 2024, in 2024, TV 42, size 42-44, EU42, UK 10.5, 24/7",
        "3rd 1980s 7pm 360-degree part2 level2 Series-5",
        "SHOES 1000 METRES",
        "plain words alone",
    ],
)
def test_years_prices_measures_and_standards_are_no_model_numbers(title: str) -> None:
    assert find_identifiers(title) == []


@pytest.mark.parametrize(
    ("texts", "measure"),
    [
        (("1 TB", "1000GB", "1000 gigabytes"), "capacity:1000GB"),
        (("500ml", "0.5 l", "0,5 L", "50 cl"), "volume:500ml"),
        (("pack of 6", "6-pack", "6 x", "6er-Pack", "set of 6", "6 pcs", "6 Stück"), "count:6"),
        (('42"', "42 inch", "42-inch", "42 Zoll"), "length:1066.8mm"),
        (("1.2 kg", "1200g", "1,2 Kilogramm"), "weight:1200g"),
        (("2 1/2 inch", "2-1/2 inches", "2.5 in".replace(" in", " inch")), "length:63.5mm"),
    ],
)
def test_the_same_measure_has_one_form(texts: tuple[str, ...], measure: str) -> None:
    assert {text: find_measures(f"Thing {text}") for text in texts} == {text: [measure] for text in texts}


@pytest.mark.parametrize(
    "title",
    ["5G phone", "100% wool", "2-in-1", "4K", "3D", "10x optical zoom", 'the "Series 5" set', "802.11n", "60 MB/s"],
)
def test_what_only_looks_like_a_measure_is_none(title: str) -> None:
    assert find_measures(title) == []


def test_counts_and_sizes_of_multipacks_are_both_found() -> None:
    assert find_measures("Cola 6 x 330 ml") == ["count:6", "volume:330ml"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("EAN: 4006381333931", ["04006381333931"]),
        ("pen 4006381333931", ["04006381333931"]),
        ("UPC 036000291452", ["00036000291452"]),
        ("ISBN 0-306-40615-2", ["09780306406157"]),
        ("EAN-8: 96385074", ["00000096385074"]),
        ("96385074", []),
        ("4006381333932", []),
        ("call +494006381333931", []),
        ("shop's own 2000000000008", []),
    ],
)
def test_trade_item_numbers_need_a_right_check_digit(text: str, found: list[str]) -> None:
    assert find_gtins(text) == found


def product(**values: object) -> Product:
    made = to_product({"sku": "1", "title": "Thing", **values})
    assert isinstance(made, Product), made
    return made


def test_products_carry_what_title_description_and_attributes_name() -> None:
    made = product(
        title="Sony WH-1000XM4, 2-pack",
        description="Case for 256 GB cards. EAN 4006381333931",
        attributes={"MPN": "ab 77", "weight": "254 g", "upc": "036000291452", "model": "High Noon"},
    )
    assert made.identifiers == ["WH1000XM4", "AB77"]
    assert made.measures == ["count:2", "capacity:256GB", "weight:254g"]
    assert made.gtin == ["04006381333931", "00036000291452"]


def test_declared_values_come_first_and_are_checked() -> None:
    made = product(title="Sony WH-1000XM4 1 TB", identifiers="x-1, y 2", measures=["500 ml"], gtin="4006381333931")
    assert made.identifiers == ["X1", "Y2", "WH1000XM4"]
    assert made.measures == ["volume:500ml", "capacity:1000GB"]
    wrong = to_product({"sku": "1", "title": "T", "gtin": "4006381333932", "measures": "big", "identifiers": "-"})
    assert isinstance(wrong, list)
    assert {(one.field, one.code) for one in wrong} == {
        ("gtin", "bad_gtin"),
        ("measures", "bad_measure"),
        ("identifiers", "bad_identifier"),
    }
    assert (
        Problem("gtin", "bad_gtin", "gtin: '4006381333932' is no EAN, UPC or GTIN: its check digit is wrong") in wrong
    )


@given(st.text(max_size=60), st.text(st.sampled_from("AB12 -/.x\"',gml€"), max_size=40))
def test_any_text_can_be_searched_for_them(free: str, dense: str) -> None:
    for text in (free, dense):
        assert all(code == code.upper() and code.isalnum() for code in find_identifiers(text))
        assert all(":" in measure for measure in find_measures(text))
        assert all(len(code) == 14 for code in find_gtins(text))


@pytest.mark.skipif(not PAIRS.is_dir(), reason="the product matching data (abt_buy) are not here")
def test_products_of_two_shops_that_share_a_model_number_are_mostly_the_same() -> None:
    shops = [{row["id"]: row for row in rows_of(PAIRS / name, "|")} for name in ("abtclean.csv", "buyclean.csv")]
    true = {(row["D1"], row["D2"]) for row in rows_of(PAIRS / "gtclean.csv", "|")}
    for fields in (("name",), ("name", "description")):
        codes = [
            {key: {code for name in fields for code in find_identifiers(row[name] or "")} for key, row in shop.items()}
            for shop in shops
        ]
        sharing = {(one, two) for one in codes[0] for two in codes[1] if codes[0][one] & codes[1][two]}
        found = len(sharing & true)
        print(  # noqa: T201  figures for whoever runs it with -s
            f"{' and '.join(fields)}: {found / len(true):.3f} of {len(true)} true pairs share a model number; "
            f"{len(sharing) - found} of {len(sharing)} sharing pairs are false"
        )
        if fields == ("name",):
            assert found >= 0.55 * len(true)
            assert found >= 0.9 * len(sharing)


def rows_of(path: Path, delimiter: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))
