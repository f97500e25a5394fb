"""Faster forms of a model: what is published serves as the original does, and what would not is refused."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from prodsim.embedder.encoder import encode
from prodsim.embedder.exported import read_exported
from prodsim.embedder.loading import open_encoder
from prodsim.embedder.model_files import check_model_folder
from prodsim.embedder.settings import ModelSettings
from prodsim.plugin.errors import CheckFailed, EmbedderError, UsageError
from prodsim.plugin.model_export import Judged, judged, publish
from prodsim.plugin.model_ndcg import mean_ndcg
from tests.conftest import ROOT

TEXTS = ["warm jacket", "waterproof hiking boots with a wide fit", "garden hose, 20 m"]


@pytest.fixture(scope="module")
def some() -> Judged:
    """A part of the example shop."""
    whole = judged(ROOT / "examples" / "products.ndjson", None, ROOT / "examples" / "judgments.json")
    assert len(whole.texts) == 689
    return Judged(dict(islice(whole.texts.items(), 0, None, 12)), dict(islice(whole.judgments.items(), 6)))


def no_line(line: str) -> None:
    pass


@pytest.mark.timeout(900)
def test_a_published_folder_serves_the_same_vectors_at_once(some: Judged, tmp_path: Path) -> None:
    plain = open_encoder(ModelSettings())
    expected = encode(plain, TEXTS, "passage").vectors
    published = publish(None, tmp_path / "ready", "openvino", "fp32", some, 0.999, 0.005, no_line)
    assert published.comparison.mean_cosine > 0.9999
    check_model_folder(tmp_path / "ready")
    served = open_encoder(ModelSettings(model=str(tmp_path / "ready"), backend="auto"))
    assert served.card.backend == "openvino fp32"
    assert served.card.revision == plain.card.revision
    assert encode(served, TEXTS, "passage").vectors == pytest.approx(expected, abs=1e-3)
    on_torch = open_encoder(ModelSettings(model=str(tmp_path / "ready")))
    assert on_torch.card.revision == plain.card.revision
    assert [path.name for path in tmp_path.iterdir()] == ["ready"]
    with pytest.raises(UsageError, match="is there already"):
        publish(None, tmp_path / "ready", "openvino", "fp32", some, 0.99, 0.005, no_line)


@pytest.mark.timeout(900)
def test_int8_is_another_revision_and_is_refused_where_it_is_too_far_off(some: Judged, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=r"not published: its vectors have a mean cosine of 0\.99\d+ to fp32, below"):
        publish(None, tmp_path / "small", "onnx", "int8", some, 0.9999, 0.005, no_line)
    assert list(tmp_path.iterdir()) == []
    publish(None, tmp_path / "small", "onnx", "int8", some, 0.98, 0.05, no_line)
    exported = read_exported(tmp_path / "small")
    assert exported is not None
    assert exported.measured["mean_cosine"] > 0.98
    small = open_encoder(ModelSettings(model=str(tmp_path / "small"), backend="auto"))
    assert small.card.backend == "onnx int8"
    plain = open_encoder(ModelSettings())
    assert small.card.revision != plain.card.revision
    cosines = np.einsum("ij,ij->i", encode(small, TEXTS, "query").vectors, encode(plain, TEXTS, "query").vectors)
    assert cosines.min() > 0.97

    config = tmp_path / "small" / "config.json"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(EmbedderError, match="of other weights than those there"):
        open_encoder(ModelSettings(model=str(tmp_path / "small"), backend="auto"))


def test_the_ndcg_of_a_ranking_is_that_of_ir_measures() -> None:
    import ir_measures
    from ir_measures import nDCG

    chance = np.random.default_rng(3)
    skus = [f"p{number}" for number in range(60)]
    products, queries = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for rows in (chance.normal(size=(60, 8)).astype(np.float32), chance.normal(size=(5, 8)).astype(np.float32))
    )
    judgments = {f"q{n}": {sku: int(chance.integers(0, 4)) for sku in chance.choice(skus, 15)} for n in range(5)}
    run = {
        query: {sku: float(row @ product) for sku, product in zip(skus, products, strict=True)}
        for query, row in zip(judgments, queries, strict=True)
    }
    expected = ir_measures.calc_aggregate([nDCG @ 10], judgments, run)[nDCG @ 10]
    gains = {query: {sku: float(gain) for sku, gain in ratings.items()} for query, ratings in judgments.items()}
    assert mean_ndcg(gains, queries, products, skus) == pytest.approx(expected, abs=1e-6)
