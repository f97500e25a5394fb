"""Four words for how alike two products are, pictures for pages, labelled pairs."""

from __future__ import annotations

import base64
import io
import math
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prodsim.plugin.measuring.pairs import best_threshold, draw_unlike, predicted, summed_up
from prodsim.plugin.pages.pictures import SIDE_PIXELS, load_pictures
from prodsim.plugin.similarity.map import on_plane
from prodsim.plugin.similarity.vocabulary import cosine, euclidean, jaccard, price_distance, tokens


def test_the_four_words_mean_what_they_say() -> None:
    one, other = np.array([3.0, 0.0]), np.array([1.0, 1.0])
    assert cosine(one, other) == pytest.approx(math.sqrt(0.5))
    assert euclidean(one, other) == pytest.approx(math.sqrt(2 - 2 * math.sqrt(0.5)))
    assert (jaccard({"a", "b"}, {"b", "c"}), jaccard({"a"}, {"a"}), jaccard({"a"}, set())) == (1 / 3, 1.0, 0.0)
    assert jaccard(set(), set()) is None
    assert price_distance(20, 10) == price_distance(10, 20) == pytest.approx(math.log(2))
    assert (price_distance(5, 5), price_distance(None, 5), price_distance(0, 5)) == (0, None, None)


def test_tags_attributes_brand_and_category_are_compared_whatever_their_case() -> None:
    boot = {"brand": "Tarn", "category": ["Shoes", "Boots"], "tags": ["Winter"], "attributes": {"colour": "Red"}}
    shoe = {"brand": "tarn", "category": "Boots", "tags": "winter", "attributes": {"size": ["Red"]}}
    assert jaccard(tokens(boot), tokens(shoe)) == pytest.approx(3 / 5)


def picture(folder: Path, name: str, size: tuple[int, int] = (400, 200), mode: str = "RGB") -> None:
    Image.new(mode, size, (200, 30, 30, 128)[: len(mode)]).save(folder / name)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and where it is served."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_pictures_come_small_from_addresses_and_folders_and_a_missing_one_leaves_a_gap(
    served: tuple[Path, str],
) -> None:
    folder, address = served
    picture(folder, "a.png", mode="RGBA")
    picture(folder, "b.jpg")
    (folder / "c.png").write_bytes(b"no picture")
    urls = {"A": f"{address}/a.png", "B": "b.jpg", "C": "c.png", "D": f"{address}/none.png", "E": "../../etc/passwd"}
    for base in (str(folder), f"{address}/"):
        found = load_pictures(urls, base)
        assert (set(found.uris), found.failed) == ({"A", "B"}, 3)
        assert found.first_problem
        content = base64.b64decode(found.uris["A"].removeprefix("data:image/jpeg;base64,"))
        assert Image.open(io.BytesIO(content)).size == (SIDE_PIXELS, SIDE_PIXELS // 2)
    outside = folder / "inside"
    outside.mkdir()
    assert "is outside of" in load_pictures({"E": "../b.jpg"}, str(outside)).first_problem
    assert load_pictures({"X": "b.jpg"}).failed == 1


def test_labelled_pairs_give_accuracy_precision_recall_and_f1() -> None:
    cosines = np.array([0.9, 0.8, 0.7, 0.4, 0.3, 0.2])
    labels = np.array([True, True, False, True, False, False])
    said, _ = predicted(cosines, labels, 0.5, seed=0)
    means = summed_up(cosines, labels, said, seed=0)
    assert means["accuracy"].mean == pytest.approx(4 / 6)
    assert [means[name].mean for name in ("precision", "recall", "F1")] == pytest.approx([2 / 3] * 3)
    assert means["cosine, alike"].mean == pytest.approx(0.7)
    assert means["cosine, not alike"].mean == pytest.approx(0.4)
    assert 0.3 < best_threshold(cosines, labels) < 0.4


def test_pairs_without_opposites_get_some_drawn_that_nobody_called_alike() -> None:
    alike = [(f"a{number}", f"b{number}", True) for number in range(20)]
    drawn = draw_unlike(alike, seed=1)
    assert len(drawn) == len({pair[:2] for pair in drawn}) == 20
    assert not {pair[:2] for pair in drawn} & {pair[:2] for pair in alike}


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_on_a_map_what_is_alike_lies_together(method: str) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 32))
    vectors = np.repeat(centres, 12, axis=0) + rng.normal(scale=0.1, size=(36, 32))
    places = on_plane(vectors.astype(np.float32), method, seed=0)
    assert places.min() == 0
    assert places.max() == 1
    groups = places.reshape(3, 12, 2)
    within = np.linalg.norm(groups - groups.mean(axis=1, keepdims=True), axis=2).max()
    between = min(np.linalg.norm(groups[a].mean(axis=0) - groups[b].mean(axis=0)) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert within < between
