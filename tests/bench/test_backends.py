"""What each back end costs in quality, on ESCI-150: how close its vectors are to fp32 ones, and how they rank."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice

import pytest

from prodsim.embedder.loading import PACKAGES
from prodsim.embedder.settings import ModelSettings
from prodsim.embedder.transformer import has_bf16
from prodsim.plugin.model_export import Comparison, Judged, Measured, compare_all
from tests.conftest import require_shared
from tests.judged import esci_judgments

from .measure import report, save

MEAN_COSINE = 0.99
NDCG_LOSS = 0.005
TORCH = ModelSettings(backend="torch", precision="fp32")
FORMS = (("openvino", "fp32"), ("onnx", "int8"))
EVERY = 10  # of the queries, with the products judged for them, where a form is computed without hardware for it


@dataclass(frozen=True)
class Row:
    """One line of the table; cosines are to the vectors of torch in fp32."""

    titles: int
    ndcg_at_10: float
    mean_cosine: float
    least_cosine: float
    passages_per_s: float
    query_ms: float


@pytest.fixture(scope="module")
def titles() -> Judged:
    """Products as their titles alone."""
    lines = gzip.decompress(require_shared("esci150/products.ndjson.gz").read_bytes()).splitlines()
    products = [json.loads(line) for line in lines]
    judgments = esci_judgments(require_shared("esci150/judgments.json"))
    return Judged({product["asin"]: product["title"] for product in products}, judgments.grades)


@pytest.fixture(scope="module")
def some(titles: Judged) -> Judged:
    judgments = dict(islice(titles.judgments.items(), 0, None, EVERY))
    judged = {sku for grades in judgments.values() for sku in grades}
    return Judged({sku: title for sku, title in titles.texts.items() if sku in judged}, judgments)


def row(measured: Measured, comparison: Comparison | None, on: Judged) -> Row:
    mean, least = (comparison.mean_cosine, comparison.least_cosine) if comparison else (1.0, 1.0)
    return Row(len(on.texts), measured.ndcg_at_10, mean, least, measured.passages_per_s, measured.query_ms)


def rows_on(on: Judged, forms: Sequence[tuple[str, str]]) -> dict[str, Row]:
    settings = [ModelSettings.model_validate({"backend": backend, "precision": how}) for backend, how in forms]
    comparisons = compare_all(TORCH, settings, on)
    rows = {"torch fp32": row(comparisons[0].original, None, on)}
    for (backend, precision), comparison in zip(forms, comparisons, strict=True):
        rows[f"{backend} {precision}"] = row(comparison.exported, comparison, on)
    return rows


def check(title: str, rows: dict[str, Row]) -> None:
    report(
        title,
        [
            f"{name:13} nDCG@10 {one.ndcg_at_10:.4f}  cosine mean {one.mean_cosine:.5f} least {one.least_cosine:.4f}"
            f"  {one.passages_per_s:4.0f} titles/s  one query {one.query_ms:.1f} ms"
            for name, one in rows.items()
        ],
    )
    save(f"embedder-{title.partition(':')[0].replace(' ', '-')}", {name: vars(one) for name, one in rows.items()})
    for name, one in rows.items():
        assert one.mean_cosine >= MEAN_COSINE, name
        assert abs(one.ndcg_at_10 - rows["torch fp32"].ndcg_at_10) <= NDCG_LOSS, name


@pytest.mark.timeout(3000)
def test_every_back_end_ranks_as_fp32_does(titles: Judged) -> None:
    """Bars: mean cosine .99, nDCG@10 within .005 of torch in fp32."""
    missing = [backend for backend, _ in FORMS if find_spec(PACKAGES[backend]) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed: this check did not run")
    check(f"back ends: {sizes(titles)}", rows_on(titles, FORMS))


@pytest.mark.timeout(3000)
def test_half_precision_ranks_as_fp32_does(titles: Judged, some: Judged) -> None:
    """Bars as above. Without hardware for bf16 it is ten times slower, so on a part only."""
    on = titles if has_bf16() else some
    check(f"half precision: {sizes(on)}", rows_on(on, [("torch", "bf16")]))


def sizes(on: Judged) -> str:
    return f"{len(on.texts)} titles, {len(on.judgments)} judged queries, exact neighbours"
