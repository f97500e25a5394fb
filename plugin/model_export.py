"""A faster form of a model, published only where it ranks as the original does."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodsim.embedder.exported import GraphBackend, note_export, write_export
from prodsim.embedder.model_files import find_model
from prodsim.embedder.settings import ModelSettings
from prodsim.mappings.text import embedding_text

from .errors import CheckFailed, EmbedderError, UsageError
from .model_ndcg import mean_ndcg

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prodsim.embedder.encoder import Encoder

BATCH = 16
TIMED_QUERIES = 50


@dataclass(frozen=True)
class Judged:
    """Products by SKU, as the texts that they are embedded by, and how well each answers which query."""

    texts: dict[str, str]
    judgments: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Measured:
    """`query_ms` is the median of one query at a time; `passages_per_s` of products in batches of 16."""

    ndcg_at_10: float
    passages_per_s: float
    query_ms: float


@dataclass(frozen=True)
class Comparison:
    """The model as it is, in fp32 on torch, and its other form; cosines between their vectors of the same text."""

    original: Measured
    exported: Measured
    mean_cosine: float
    least_cosine: float

    @property
    def ndcg_loss(self) -> float:
        return self.original.ndcg_at_10 - self.exported.ndcg_at_10


@dataclass(frozen=True)
class Published:
    folder: str
    backend: str
    precision: str
    comparison: Comparison


def judged(products: Path, catalog: Path | None, judgments: Path) -> Judged:
    """Raises CatalogError or ConfigError where a file can't be used."""
    from prodsim.loaders.preparing.catalog import checked_rows, load_catalog
    from prodsim.loaders.preparing.product import Product
    from prodsim.loaders.reading.readers import ReadOptions, open_sources

    from .measuring.judgment_files import read_judgments

    read = load_catalog(catalog)
    texts: dict[str, str] = {}
    for source in open_sources([str(products)], ReadOptions()):
        for row in checked_rows(read, source):
            product = read.prepare(row.values) if row.problem is None else None
            if isinstance(product, Product):
                texts[product.sku] = embedding_text(product.document())
    return Judged(texts, read_judgments(judgments).grades)


def publish(
    model: str | None,
    to: Path,
    backend: GraphBackend,
    precision: str,
    on: Judged,
    min_cosine: float,
    max_ndcg_loss: float,
    say: Callable[[str], None],
) -> Published:
    """Writes `to`, a model folder with a graph for the back end, once it has passed.

    Raises:
        UsageError: `to` is there already, or the model is none of texts with a folder.
        EmbedderError: the model can't be loaded or exported.
        CheckFailed: its vectors are too far from the original's, or rank worse; nothing is left of it.
    """
    source = find_model(model)
    if source.folder is None:
        raise UsageError(f"{source.id} has no files to export")
    if to.exists():
        raise UsageError(f"{to} is there already: name a new folder")
    with partial(to) as folder:
        say(f"exporting {source.id} for {backend} in {precision}")
        write_export(source.folder, folder, backend, precision)
        say(f"comparing on {len(on.texts)} products and {len(on.judgments)} judged queries")
        original = ModelSettings(model=str(source.folder), backend="torch", precision="fp32")
        exported = ModelSettings.model_validate({"model": str(folder), "backend": backend, "precision": precision})
        comparison = compare(original, exported, on)
        check(comparison, min_cosine, max_ndcg_loss)
        note_export(folder, backend, precision, asdict(comparison))
        folder.rename(to)
    return Published(str(to), backend, precision, comparison)


@contextmanager
def partial(to: Path) -> Iterator[Path]:
    """A folder beside `to` that is gone afterwards, whatever happens."""
    folder = to.with_name(f".{to.name}.partial")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        raise EmbedderError(f"can't write {to}: {error.strerror}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compare(original: ModelSettings, exported: ModelSettings, on: Judged) -> Comparison:
    """Both on this machine, one after the other."""
    return compare_all(original, [exported], on)[0]


def compare_all(original: ModelSettings, others: Sequence[ModelSettings], on: Judged) -> list[Comparison]:
    """Each of the others with the original, which is measured once."""
    first, vectors = measure(original, on)
    comparisons = []
    for other in others:
        measured, its_vectors = measure(other, on)
        cosines = np.einsum("ij,ij->i", vectors, its_vectors)
        comparisons.append(Comparison(first, measured, float(cosines.mean()), float(cosines.min())))
    return comparisons


def measure(settings: ModelSettings, on: Judged) -> tuple[Measured, NDArray[np.float32]]:
    """Speed and nDCG@10, and the vectors of all products, then of all queries."""
    from prodsim.embedder.loading import open_encoder

    encoder = open_encoder(settings)
    skus = list(on.texts)
    began = time.perf_counter()
    products = encode_all(encoder, list(on.texts.values()))
    passages_per_s = len(skus) / (time.perf_counter() - began)
    times_ms = []
    rows = []
    for number, query in enumerate(on.judgments):
        began = time.perf_counter()
        rows.append(encoder.run(encoder.prepare([query], "query")).vectors[0])
        if number < TIMED_QUERIES:
            times_ms.append((time.perf_counter() - began) * 1000)
    queries = np.stack(rows)
    ndcg = mean_ndcg(on.judgments, queries, products, skus)
    return Measured(ndcg, passages_per_s, statistics.median(times_ms)), np.concatenate([products, queries])


def encode_all(encoder: Encoder, texts: list[str]) -> NDArray[np.float32]:
    """In order, though similar lengths are encoded together."""
    order = sorted(range(len(texts)), key=lambda position: -len(texts[position]))
    vectors: Any = None
    for start in range(0, len(order), BATCH):
        positions = order[start : start + BATCH]
        encoded = encoder.run(encoder.prepare([texts[position] for position in positions], "passage")).vectors
        if vectors is None:
            vectors = np.empty((len(texts), encoded.shape[1]), dtype=np.float32)
        vectors[positions] = encoded
    result: NDArray[np.float32] = vectors
    return result


def check(comparison: Comparison, min_cosine: float, max_ndcg_loss: float) -> None:
    problems = []
    if comparison.mean_cosine < min_cosine:
        problems.append(f"its vectors have a mean cosine of {comparison.mean_cosine:.4f} to fp32, below {min_cosine}")
    if comparison.ndcg_loss > max_ndcg_loss:
        problems.append(
            f"its nDCG@10 is {comparison.exported.ndcg_at_10:.4f}, {comparison.ndcg_loss:.4f} below that of fp32, "
            f"more than {max_ndcg_loss}"
        )
    if problems:
        raise CheckFailed(f"not published: {' and '.join(problems)}")
