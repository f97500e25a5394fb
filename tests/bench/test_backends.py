"""What each back end costs in quality, on ESCI-150: how close its vectors are to fp32 ones, and how they rank."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from importlib.util import find_spec

import pytest

from prodsim.embedder.loading import PACKAGES
from prodsim.embedder.settings import ModelSettings
from prodsim.plugin.model_export import Comparison, Judged, Measured, compare_all
from tests.conftest import require_shared
from tests.judged import esci_judgments

from .measure import report, save

MEAN_COSINE = 0.99
NDCG_LOSS = 0.005
FORMS = (("torch", "bf16"), ("openvino", "fp32"), ("onnx", "int8"))


@dataclass(frozen=True)
class Row:
    """One line of the table; cosines are to the vectors of torch in fp32."""

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


def row(measured: Measured, comparison: Comparison | None) -> Row:
    mean, least = (comparison.mean_cosine, comparison.least_cosine) if comparison else (1.0, 1.0)
    return Row(measured.ndcg_at_10, mean, least, measured.passages_per_s, measured.query_ms)


@pytest.mark.timeout(1800)
def test_every_back_end_ranks_as_fp32_does(titles: Judged) -> None:
    """Bars: mean cosine .99, nDCG@10 within .005 of torch in fp32."""
    missing = [backend for backend, _ in FORMS if find_spec(PACKAGES[backend]) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed: this check did not run")
    original = ModelSettings(backend="torch", precision="fp32")
    forms = [ModelSettings.model_validate({"backend": backend, "precision": how}) for backend, how in FORMS]
    comparisons = compare_all(original, forms, titles)
    rows = {"torch fp32": row(comparisons[0].original, None)}
    for (backend, precision), comparison in zip(FORMS, comparisons, strict=True):
        rows[f"{backend} {precision}"] = row(comparison.exported, comparison)
    report(
        f"{len(titles.texts)} titles, {len(titles.judgments)} judged queries, exact neighbours",
        [
            f"{name:13} nDCG@10 {one.ndcg_at_10:.4f}  cosine mean {one.mean_cosine:.5f} least {one.least_cosine:.4f}"
            f"  {one.passages_per_s:4.0f} titles/s  one query {one.query_ms:.1f} ms"
            for name, one in rows.items()
        ],
    )
    save("embedder-backends", {name: vars(one) for name, one in rows.items()})
    for name, one in rows.items():
        assert one.mean_cosine >= MEAN_COSINE, name
        assert abs(one.ndcg_at_10 - rows["torch fp32"].ndcg_at_10) <= NDCG_LOSS, name
