"""Rankings measured, compared and tuned by command, on the real engine and embedder; pages in a real browser."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from prodsim.plugin.cli.main import run
from prodsim.plugin.errors import EngineError, ExitCode
from prodsim.plugin.measuring.opening import open_ring
from prodsim.plugin.query import ProductSearch
from prodsim.plugin.ranking.files import load_profile
from prodsim.plugin.tuning.features import fetch
from prodsim.plugin.tuning.scoring import largest_difference, ranked, scores
from prodsim.plugin.tuning.space import as_wording
from tests.browser import look_at
from tests.catalog_files import load_file
from tests.conftest import ROOT, open_shop
from tests.judged import example_judgments

if TYPE_CHECKING:
    from prodsim.plugin.config import Settings
    from prodsim.plugin.shop import Shop

JUDGMENTS = ROOT / "examples" / "judgments.json"
Admin = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def admin(example: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Admin:
    """Runs a command on the example shop in a folder of its own; returns exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    for name in ("alias", "home", "engine_url", "embedder_url"):
        monkeypatch.setenv(f"PRODSIM_{name.upper()}", str(getattr(example.settings, name)))

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Twelve of the example's queries."""
    judgments = json.loads(JUDGMENTS.read_text(encoding="utf-8"))
    path = tmp_path / "few.json"
    path.write_text(json.dumps({"queries": judgments["queries"][:12]}), encoding="utf-8")
    return path


def test_evaluate_tells_every_measure_with_its_interval_beside_the_baselines(admin: Admin, few: Path) -> None:
    code, out, _ = admin("evaluate", few, "--baselines", "-m", "nDCG@10", "-m", "hit@1", "--json")
    assert code == 0
    found = {one["contender"]: one for one in json.loads(out)}
    assert list(found) == ["installed", "bm25", "bm25:best_fields", "bm25:most_fields", "vectors", "hybrid"]
    mean = found["installed"]["measures"]["nDCG@10"]
    assert mean["low"] < mean["mean"] < mean["high"]
    by_query = [values["nDCG@10"] for values in found["installed"]["by_query"].values()]
    assert mean["mean"] == pytest.approx(sum(by_query) / 12)
    assert found["bm25"]["zero_result_share"] > 0


def test_evaluate_fails_with_3_under_its_threshold_and_with_0_above(admin: Admin, few: Path) -> None:
    code, out, err = admin("evaluate", few, "--at-least", "nDCG@10=0.99", "-m", "nDCG@10", "--group-by", "words")
    assert code == ExitCode.CHECK_FAILED
    assert "misses its threshold: nDCG@10" in err
    assert "1 word" in out
    assert admin("evaluate", few, "--at-least", "nDCG@10=0.2", "-m", "nDCG@10")[0] == 0


@pytest.mark.parametrize("name", ["nothing", "bm25:worst", "index:other", "model:other", "profile:other"])
def test_a_contender_that_there_is_not_is_named_with_those_that_there_are(admin: Admin, few: Path, name: str) -> None:
    code, _, err = admin("evaluate", few, "-c", name)
    assert code in (ExitCode.USAGE, ExitCode.NOT_FOUND)
    assert len(err.splitlines()) == 1
    assert "there are" in err or "name installed" in err or "no ranking profile" in err


def test_an_index_and_a_model_are_measured_like_what_is_installed(admin: Admin, few: Path, example: Shop) -> None:
    names = ("installed", "index:example-000001", f"model:{example.model.name}", "profile:default")
    code, out, _ = admin("evaluate", few, "-m", "nDCG@10", "--json", *(part for name in names for part in ("-c", name)))
    assert code == 0
    figures = [one["measures"]["nDCG@10"]["mean"] for one in json.loads(out)]
    assert figures == pytest.approx([figures[0]] * 4)


def test_the_engine_falling_back_to_words_is_noticed_and_not_measured(
    example: Shop, settings_for: Callable[..., Settings]
) -> None:
    with open_ring(settings_for("example")) as ring:
        real = ring.templates

        def without_meaning(*arguments: Any, **others: Any) -> Any:
            off = load_profile("default").with_values({"legs.text.weight": 0})
            return real(*arguments, **{**others, "sources": ring.profile_sources(off)})

        contender = without_meaning("installed", ring.contender("installed").index, similar=False)
        queries = example_judgments(JUDGMENTS).queries[:6]
        assert ring.rank(contender, queries, 10)
        found = ring.rank(contender, queries, 10)
        asks = {query: ring.contender("installed").ask(query, 10) for query in queries}
        with pytest.raises(EngineError, match="without the embedder"):
            ring.check_meaning(contender, asks, found)


def test_similar_products_and_labelled_pairs_are_measured(admin: Admin, example: Shop, tmp_path: Path) -> None:
    similar = tmp_path / "similar.csv"
    second = ProductSearch(example.client, "example").similar("SUNS-01-1").hits[1].sku
    rows = ["query,sku,grade", f"SUNS-01-1,{second},1", "TRNR-01-1,SUNS-01-1,1"]
    similar.write_text("\n".join(rows), encoding="utf-8")
    for mode in ("engine", "client"):
        code, out, _ = admin("evaluate", similar, "--similar", "-m", "MRR@10", "--mode", mode, "--json")
        assert code == 0
        by_query = json.loads(out)[0]["by_query"]
        assert {query: figures["MRR@10"] for query, figures in by_query.items()} == {"SUNS-01-1": 0.5, "TRNR-01-1": 0}
    pairs = tmp_path / "pairs.csv"
    rows = ["query,sku,grade", "TRNR-01-1,TRNR-01-2,1", "SUNS-01-1,SUNS-01-2,1", "TRNR-01-1,SUNS-01-1,0", "x,y,1"]
    pairs.write_text("\n".join(rows), encoding="utf-8")
    code, out, _ = admin("evaluate", pairs, "--pairs", "--threshold", "0.7", "--json")
    found = json.loads(out)
    assert (code, found["missing"], found["means"]["F1"]["mean"]) == (0, 1, 1.0)
    assert found["means"]["cosine, alike"]["mean"] > found["means"]["cosine, not alike"]["mean"] + 0.3


@pytest.fixture
def pictured(settings_for: Callable[..., Settings], alias: str, tmp_path: Path) -> Iterator[tuple[Shop, Path]]:
    """A small catalog whose pictures lie in a folder, one of them missing."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    products = []
    for number, (title, colour) in enumerate(
        [("Red desk lamp", "red"), ("Blue desk lamp", "blue"), ("Green floor lamp", "green"), ('Lamp & "Co"', "gray")]
    ):
        if number < 3:
            Image.new("RGB", (300, 300), colour).save(folder / f"{number}.png")
        products.append({"sku": f"L{number}", "title": title, "price": 10 + number, "image_url": f"{number}.png"})
    file = tmp_path / "lamps.ndjson"
    file.write_text("\n".join(map(json.dumps, products)), encoding="utf-8")
    with open_shop(settings_for(alias)) as shop:
        load_file(shop, file)
        yield shop, folder


def test_the_report_shows_the_pictures_of_both_sides_in_a_browser_with_nothing_from_outside(
    admin: Admin, pictured: tuple[Shop, Path], tmp_path: Path
) -> None:
    shop, folder = pictured
    queries = tmp_path / "queries.txt"
    queries.write_text("lamp\nred lamp\nzzqx\n", encoding="utf-8")
    code, out, err = admin(
        "compare", "bm25", "installed", "-q", queries, "--html", "report.html", "--pictures", folder,
        "--alias", shop.settings.alias, "--json",
    )  # fmt: skip
    assert code == 0
    assert "wrote report.html with 3 pictures" in err
    assert "1 products have no picture there: 3.png" in err
    found = json.loads(out)
    assert found["measures"] == []
    assert 0 < found["overlap"] <= 1
    assert found["latency"][0]["searches"] > 0
    page = tmp_path / "report.html"
    seen = look_at(
        page,
        """({
        pictures: [...document.querySelectorAll("img")].filter(image => image.naturalWidth > 0).length,
        broken: [...document.querySelectorAll("img")].filter(image => !image.naturalWidth).length,
        outside: performance.getEntriesByType("resource").filter(one => !one.name.startsWith("data:")).length,
        sections: document.querySelectorAll("section").length,
        sides: document.querySelector("section[data-query='lamp']").querySelectorAll("ol").length,
        title: [...document.querySelectorAll(".name")].some(name => name.textContent === 'Lamp & "Co"'),
        count: document.getElementById("count").textContent,
        filtered: (() => { const box = document.getElementById("filter"); box.value = "red";
          box.dispatchEvent(new Event("input")); return document.getElementById("count").textContent; })(),
        })""",
        tmp_path,
    )
    hits = sum(len(pair["before"]) + len(pair["after"]) for pair in found["by_query"])
    without = sum([*pair["before"], *pair["after"]].count("L3") for pair in found["by_query"])
    assert seen == {
        "pictures": hits - without, "broken": 0, "outside": 0, "sections": 3, "sides": 2, "title": True,
        "count": "3 of 3 queries", "filtered": "1 of 3 queries",
    }  # fmt: skip


def test_a_worse_ranking_fails_a_comparison_that_asks_for_it(admin: Admin) -> None:
    how = ("-j", JUDGMENTS, "-m", "nDCG@10", "--no-latency", "--fail-if-worse")
    code, out, err = admin("compare", "vectors", "bm25", *how)
    assert code == ExitCode.CHECK_FAILED
    assert "B is worse" in out
    assert "bm25 is worse than vectors beyond noise by nDCG@10" in err
    assert admin("compare", "bm25", "vectors", *how)[0] == 0


def test_a_matrix_comes_as_table_csv_and_heat_map_and_a_map_shows_every_product(
    admin: Admin, pictured: tuple[Shop, Path], tmp_path: Path
) -> None:
    shop, folder = pictured
    options = ("--alias", shop.settings.alias, "--pictures", str(folder))
    code, out, _ = admin("similarity", "matrix", "L0", "L1", "L2", "--csv", "m.csv", "--html", "m.html", *options)
    assert code == 0
    with open("m.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["sku", "L0", "L1", "L2"]
    assert float(rows[1][1]) == pytest.approx(1)
    assert float(rows[1][2]) == float(rows[2][1]) > float(rows[1][3])
    assert f"{float(rows[1][2]):.3f}" in out
    seen = look_at(
        tmp_path / "m.html",
        "[document.querySelectorAll('#matrix td').length, [...document.images].filter(i => i.naturalWidth).length]",
        tmp_path,
    )
    assert seen == [9, 6]
    code, out, _ = admin("similarity", "map", "-o", "map.html", "--method", "pca", *options)
    assert (code, out) == (0, "map.html: 4 of 4 products, 3 pictures\n")
    seen = look_at(
        tmp_path / "map.html",
        """[document.getElementById("count").textContent, points.length, images.filter(one => one.naturalWidth).length,
        [...pen.getImageData(0, 0, canvas.width, canvas.height).data].some(value => value > 0)]""",
        tmp_path,
    )
    assert seen == ["4 of 4 products", 4, 3, True]
    missing = admin("similarity", "matrix", "L0", "nope", "--alias", shop.settings.alias)
    assert missing[0] == ExitCode.NOT_FOUND
    assert admin("similarity", "matrix", "L0", "--alias", shop.settings.alias)[0] == ExitCode.USAGE


def test_scores_computed_for_tuning_are_the_engines_own(example: Shop, settings_for: Callable[..., Settings]) -> None:
    """With every signal on, field weights changed, and products of every stock, age and price among the hits."""
    profile = load_profile("default").with_values(
        {
            "fields.title": 5, "k": 33, "c": 0.12, "title_words.weight": 0.3, "identifiers.weight": 0.5, "floor": 0.1,
            "signals.rating.strength": 0.7, "signals.popularity.strength": 0.5, "signals.recency.strength": 0.4,
            "signals.recency.half_life_days": 400, "signals.price.strength": 0.3, "signals.discount.strength": 0.9,
        }
    )  # fmt: skip
    queries = example_judgments(JUDGMENTS).queries[:25]
    with open_ring(settings_for("example"), mode="client") as ring:
        index = ring.contender("installed").index
        contender = ring.templates("tried", index, similar=False, sources=ring.profile_sources(profile))
        found = ring.rank(contender, queries, 10)
        features = fetch(ring, index, profile, queries, [as_wording(profile)])
    computed = scores(features, profile)
    assert largest_difference(features, computed, found) < 1e-4
    same = sum(skus == [hit.sku for hit in found[query]] for query, skus in ranked(features, computed, 10).items())
    assert same >= 24


# Words as plain BM25 finds them, and too little meaning.
POOR = 'words: {minimum_should_match: "1"}\nlegs: {text: {weight: 0.15}}\n'


def test_tune_reports_the_gain_and_writes_a_profile_only_where_it_is_no_noise(
    admin: Admin, few: Path, tmp_path: Path
) -> None:
    few_trials = ("--trials", "15", "--folds", "2", "--keep", "fields", "--mode", "client")
    code, out, err = admin("ranking", "tune", few, *few_trials, "--out", "ranking/tuned.yaml", "--json")
    found = json.loads(out)
    assert set(found["means"]) >= {"bm25:cross_fields", "hybrid", "vectors", "default", "tuned, on held-out queries"}
    assert code == (ExitCode.CHECK_FAILED if found["refusal"] else ExitCode.DONE)
    assert Path("ranking/tuned.yaml").exists() is not bool(found["refusal"])
    Path("ranking").mkdir(exist_ok=True)
    Path("ranking/poor.yaml").write_text(POOR, encoding="utf-8")
    poor = ("--profile", "ranking/poor.yaml", "--out", "ranking/tuned.yaml")
    code, out, err = admin("ranking", "tune", JUDGMENTS, *few_trials, *poor)
    assert code == 0, err
    assert "tuned against untuned, on held-out queries: +" in out
    tuned = load_profile("ranking/tuned.yaml")
    assert tuned.numbers != load_profile("default").numbers
    code, out, _ = admin("evaluate", JUDGMENTS, "-c", "ranking/tuned.yaml", "-c", "bm25", "-m", "nDCG@10", "--json")
    figures = [one["measures"]["nDCG@10"]["mean"] for one in json.loads(out)]
    assert figures[0] > figures[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--keep", "*"], "nothing is left to tune"),
        (["--keep", "nothing.like.it"], "no number that can be tuned"),
        (["--folds", "10"], "10 folds need 20 or more"),
        (["--out", "x.json"], "a profile's file ends with"),
        (["--measure", "f@3"], "no measure"),
    ],
)
def test_what_can_not_be_tuned_is_refused_in_one_line(
    admin: Admin, few: Path, arguments: list[str], words: str
) -> None:
    code, _, err = admin("ranking", "tune", few, *arguments)
    assert (code, len(err.splitlines())) == (ExitCode.USAGE, 1)
    assert words in err
