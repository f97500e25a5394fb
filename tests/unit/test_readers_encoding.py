"""How a file is encoded is told right, or not at all."""

# ruff: noqa: RUF001  other alphabets are what is tested

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from prodsim.loaders.reading.readers import ReadOptions, read_rows
from prodsim.plugin.errors import CatalogError, UsageError

TITLES = {
    "German": "Möbel für draußen;Grüner Tee, 500 g;Bücherregal weiß;Küchenmesser;Gästehandtuch;Schuhe Größe 42 – 49 €",
    "German without €": "Möbel für draußen;Grüner Tee, 500 g;Bücherregal weiß;Küchenmesser;Gästehandtuch;Schuhgröße",
    "French": "Chaussures d’été;Théière émaillée à motifs;Fenêtre;Lampe de chevet dorée;Crème brûlée;Maïs doux",
    "Spanish": "Lámpara de pie;Niño;Sillón de jardín;Cámara fotográfica;Paño de cocina;¡Oferta! Baño",
    "Italian": "Qualità superiore;Caffè macinato;Novità per la città;Più comodo;Tè verde;Lunedì",
    "Portuguese": "Calção de praia;Pão de forma;Cadeira de jardim dobrável;Maçã;Relógio;Lâmpada de mesa",
    "Swedish": "Trädgårdsstol;Kökskniv;Blå ryggsäck för barn;Vinterjacka röd;Läderstövlar",
    "Danish": "Grøn te;Børnejakke;Blå rygsæk;Kødkniv;Træstol til haven;Æblekage",
    "Polish": "Książka;Łóżko drewniane sosnowe;Żółta lampka nocna;Buty męskie skórzane;Świeca;Krzesło składane",
    "Czech": "Dětská zimní bunda;Kožené boty pánské;Dřevěná židle;Hrnek na čaj s příchutí;Žlutá stolní lampička",
    "Hungarian": "Gyerek télikabát;Férfi bőr cipő;Kerti szék összecsukható;Éjjeli lámpa sárga;Fűtőtest;Hűtőszekrény",
    "Turkish": "Çocuk kışlık mont;Erkek deri ayakkabı;Bahçe sandalyesi;Sarı gece lambası;Şarap bardağı;Işıklı ağaç",
    "Russian": "Детская зимняя куртка;Мужские кожаные ботинки;Складной садовый стул;Желтая настольная лампа",
    "Greek": "Παιδικό χειμερινό μπουφάν;Ανδρικά δερμάτινα παπούτσια;Πτυσσόμενη καρέκλα κήπου;Κίτρινο φωτιστικό",
    "Japanese": "子供用冬ジャケット;革靴 メンズ;折りたたみ椅子 ガーデン用;黄色いテーブルランプ;料理の本",
    "Chinese": "儿童冬季夹克;男士皮鞋;折叠花园椅;黄色台灯;食谱书籍;不锈钢保温杯",
    "Korean": "어린이 겨울 재킷;남성 가죽 신발;접이식 정원 의자;노란색 탁상 램프;요리책",
}
LEGACY = [
    ("German", "cp1252"),
    ("German without €", "latin-1"),
    ("German without €", "cp850"),
    ("German without €", "mac-roman"),
    ("French", "cp1252"),
    ("Spanish", "cp1252"),
    ("Italian", "cp1252"),
    ("Portuguese", "cp1252"),
    ("Swedish", "cp1252"),
    ("Danish", "cp1252"),
    ("Polish", "cp1250"),
    ("Polish", "iso-8859-2"),
    ("Czech", "cp1250"),
    ("Hungarian", "cp1250"),
    ("Turkish", "cp1254"),
    ("Russian", "cp1251"),
    ("Russian", "koi8-r"),
    ("Greek", "cp1253"),
    ("Japanese", "cp932"),
    ("Chinese", "gb18030"),
    ("Korean", "cp949"),
]


def export(language: str) -> str:
    rows = [f"{number}|{title}|12.50" for number, title in enumerate(TITLES[language].split(";"), 1)]
    return "sku|title|price\n" + "\n".join(rows) + "\n"


def titles(path: Path, **options: str) -> list[object]:
    return [row.values["title"] for row in read_rows(path, options=ReadOptions(**options))]


@pytest.mark.parametrize(("language", "encoding"), LEGACY)
def test_the_encoding_of_an_old_export_is_told_right_or_refused(tmp_path: Path, language: str, encoding: str) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes(export(language).encode(encoding))
    try:
        source = read_rows(path)
    except CatalogError as refused:
        pytest.fail(f"{language} in {encoding} should be told: {refused}")
    assert [row.values["title"] for row in source] == TITLES[language].split(";")


@pytest.mark.parametrize("language", TITLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_never_taken_for_anything_else(tmp_path: Path, language: str, encoding: str) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes(export(language).encode(encoding))
    assert titles(path) == TITLES[language].split(";")


@pytest.mark.parametrize(("language", "encoding"), LEGACY)
def test_one_row_of_an_old_export_is_read_right_or_rejected(tmp_path: Path, language: str, encoding: str) -> None:
    path = tmp_path / "shop.csv"
    for title in TITLES[language].split(";"):
        path.write_bytes(f"sku|title\n1|{title}\n2|plain\n".encode(encoding))
        (first, second) = read_rows(path)
        assert first.values.get("title", title) == title
        assert (first.problem is None) == bool(first.values)
        assert second.values["title"] == "plain"


def test_what_stands_late_in_a_file_tells_its_encoding_too(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv.gz"
    rows = "".join(f"{number};plain title {number}\n" for number in range(60_000))
    path.write_bytes(gzip.compress(f"sku;title\n{rows}x;Größe\ny;Möbel\n".encode("cp1252"), 1))
    source = read_rows(path)
    assert source.encoding == "windows-1252"
    assert [row.values["title"] for row in source][-2:] == ["Größe", "Möbel"]


def test_a_bad_row_among_many_good_ones_does_not_change_the_encoding(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes(b"sku,title\n0,caf\xe9\n" + "".join(f"{number},Größe\n" for number in range(1, 50)).encode())
    source = read_rows(path)
    first, *others = source
    assert source.encoding == "UTF-8"
    assert first.line == 2
    assert str(first.problem).startswith(r"not UTF-8 near '0 caf\xe9'")
    assert {row.values["title"] for row in others} == {"Größe"}


def test_a_named_encoding_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes("sku,title\n1,מנורה\n".encode("cp1255"))
    assert titles(path, encoding="windows-1255") == ["מנורה"]
    path.write_bytes("sku,title\n1,5 €\n".encode("cp1252"))
    assert titles(path, encoding="latin-1") == ["5 €"]  # as browsers do
    path.write_bytes("sku,title\n1,Größe\n".encode("utf-16-be"))
    assert titles(path, encoding="utf-16-be") == ["Größe"]


def test_an_encoding_that_can_not_be_meant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown encoding 'utf-9': name one such as utf-8, windows-1252"):
        ReadOptions(encoding="utf-9")
    for name in ("base64", "idna", "unicode_escape", "undefined"):
        with pytest.raises(UsageError, match="unknown encoding"):
            ReadOptions(encoding=name)
    path = tmp_path / "shop.csv"
    path.write_bytes("sku\n1\n".encode("utf-16"))
    with pytest.raises(CatalogError, match="starts with the mark of UTF-16-LE, but is to be read as windows-1252"):
        read_rows(path, options=ReadOptions(encoding="cp1252"))
