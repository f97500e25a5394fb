"""Whether the target may be swapped to: counts, contents, vectors, nearest neighbours, judged queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from prodsim.loaders.sync.changes import refresh, stands
from prodsim.loaders.sync.documents import book_of, text_of
from prodsim.loaders.target import Document, Target, same_product, vector_fits
from prodsim.mappings.text import text_hash
from prodsim.mappings.vector_fields import VectorField
from prodsim.plugin import indexes
from prodsim.plugin.client import engine_errors
from prodsim.plugin.errors import CheckFailed
from prodsim.plugin.ranking.files import default_profile

from . import audit
from .copying import follow, of_model
from .surroundings import Move

SAMPLE = 200
QUERIES = 20
NEIGHBOURS = 10
LEAST_RECALL = 0.9
MOST_NDCG_LOST = 0.02
ATTEMPTS = 4
NDCG = "nDCG@10"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was found, and whether that will do."""

    name: str
    passed: bool
    found: str


def validate(move: Move) -> None:
    """Raises CheckFailed where the target is not what the source is, unless the operation is forced."""
    open_for_searches(move)
    checks = [
        attempted(move, counts),
        contents(move),
        neighbours(move),
        *judged(move),
    ]
    result = {"checks": [asdict(check) for check in checks], "at": audit.now()}
    operation = move.lease.update(validation=result)
    failed = [check for check in checks if not check.passed]
    if not failed:
        return
    found = "; ".join(f"{check.name}: {check.found}" for check in failed)
    if operation.options.force:
        audit.note(move.client, operation.alias, "force", operation.id, reason=operation.options.force, failed=found)
        move.say(f"validation failed ({found}); going on because: {operation.options.force}")
        return
    raise CheckFailed(
        f"{operation.target} is not swapped to: {found}. Find out why; go on with --resume --force REASON, or give it "
        "up with --abort"
    )


def open_for_searches(move: Move) -> None:
    """The target's usual settings in the place of those that it was filled with."""
    body = of_model(move.shop, move).index_body()
    move.lease.check()
    indexes.open_index(move.client, move.operation.target, body)


def attempted(move: Move, check: Callable[[Move], Check]) -> Check:
    """The check, again after another round where writes that came meanwhile may be what it found."""
    found = check(move)
    for _ in range(ATTEMPTS - 1):
        if found.passed:
            break
        follow(move, "checkpoints")
        found = check(move)
    return found


def counts(move: Move) -> Check:
    """Equal but for what was written while they were counted."""
    source, target = move.operation.source, move.operation.target
    before = stands(move.client, source)
    with engine_errors("counting products"):
        refresh(move.client, source)
        refresh(move.client, target)
        there, here = (int(move.client.count(index=name)["count"]) for name in (source, target))
    after = stands(move.client, source)
    checkpoints = move.operation.checkpoints
    written = sum(after[shard].highest - min(before[shard].highest, checkpoints.get(shard, -1)) for shard in after)
    return Check("counts", abs(there - here) <= max(0, written), f"{source} holds {there}, {target} {here}")


def contents(move: Move) -> Check:
    """A sample of the source's products: the same but for vectors, and these of the target's model and their text.

    Those that are not are looked at again after another round: somebody may have written them meanwhile.
    """
    source, target = move.operation.source, move.target(move.operation.target)
    skus = sampled(move, source, SAMPLE)
    differ, wrong = compared(move, skus, source, target)
    for _ in range(ATTEMPTS - 1):
        if not differ and not wrong:
            break
        follow(move, "checkpoints")
        differ, wrong = compared(move, [*differ, *wrong], source, target)
    found = f"of {len(skus)} sampled products {len(differ)} differ and {len(wrong)} have another vector"
    examples = f" (such as {', '.join([*differ, *wrong][:3])})" if differ or wrong else ""
    return Check("contents", not differ and not wrong, found + examples)


def compared(move: Move, skus: list[str], source: str, target: Target) -> tuple[list[str], list[str]]:
    """Which of them differ in the target, and which of the others have not the vector that they should have."""
    ours, theirs = (looked_up(move, name, skus) for name in (source, target.index))
    there = [sku for sku in skus if sku in ours]  # others were deleted since
    differ = [sku for sku in there if sku not in theirs or not same_product(ours[sku], theirs[sku])]
    wrong = [sku for sku in there if sku not in differ and not has_right_vector(theirs[sku], ours[sku], target)]
    return differ, wrong


def has_right_vector(stored: Document, was: Document, target: Target) -> bool:
    """Whether the vector is of the target's model and text, and the one that it was where those were the same."""
    text, book, before = text_of(stored), book_of(stored), book_of(was)
    if text is None or not book.get("model"):
        return True
    if not vector_fits(stored, target, text_hash(text)):
        return False
    same = before.get("model") == book["model"] and before.get("text_hash") == book["text_hash"]
    return not same or target.vector not in was or stored.get(target.vector) == was[target.vector]


def neighbours(move: Move) -> Check:
    """How many of the exactly nearest products a search of the graph finds, for vectors of stored products."""
    target = move.target(move.operation.target)
    vectors = [
        found[target.vector]
        for found in looked_up(move, target.index, sampled(move, target.index, QUERIES)).values()
        if found.get(target.vector)
    ]
    if not vectors:
        return Check("neighbours", True, "no product has a vector")
    candidates = default_profile().legs.text.candidates  # as many as a search asks the graph for
    space = VectorField.parse(target.vector).space
    recalls = []
    for vector in vectors:
        near = {"knn": {target.vector: {"vector": vector, "k": candidates}}}
        script = {
            "lang": "knn",
            "source": "knn_score",
            "params": {"field": target.vector, "query_value": vector, "space_type": space},
        }
        only = {"exists": {"field": target.vector}}
        exact = {"script_score": {"query": {"bool": {"filter": [only]}}, "script": script}}
        found, wanted = (scores(move, target.index, query) for query in (near, exact))
        least = wanted[-1] - 1e-4 if wanted else 0.0  # equal products are as good as each other
        recalls.append(sum(score >= least for score in found) / max(1, len(wanted)))
    recall = float(np.mean(recalls))
    return Check(
        "neighbours",
        recall >= LEAST_RECALL,
        f"recall@{NEIGHBOURS} {recall:.3f} of exact search over {len(recalls)} queries (at least {LEAST_RECALL})",
    )


def judged(move: Move) -> list[Check]:
    """nDCG@10 of both indexes, where there is a judgment list."""
    operation = move.operation
    if operation.options.judgments is None:
        return []
    from prodsim.plugin.measuring.evaluation import evaluate
    from prodsim.plugin.measuring.judgment_files import read_judgments
    from prodsim.plugin.measuring.opening import open_ring

    judgments = read_judgments(operation.options.judgments)
    with open_ring(move.shop.settings, mode="client") as ring:
        contenders = [ring.contender(f"index:{name}") for name in (operation.source, operation.target)]
        before, after = (found.means[NDCG].mean for found in evaluate(ring, contenders, judgments, [NDCG]))
    found = f"nDCG@10 {after:.3f}, before {before:.3f} (at most {MOST_NDCG_LOST} less)"
    return [Check("judgments", after >= before - MOST_NDCG_LOST, found)]


def scores(move: Move, index: str, query: dict[str, Any]) -> list[float]:
    body = {"size": NEIGHBOURS, "_source": False, "query": query}
    with engine_errors(f"searching {index}"):
        answer = move.client.search(index=index, body=body, params={"search_pipeline": "_none"})
    return [float(hit["_score"]) for hit in answer["hits"]["hits"]]


def sampled(move: Move, index: str, count: int) -> list[str]:
    body = {
        "size": count,
        "_source": False,
        "query": {"function_score": {"random_score": {}}},
    }
    with engine_errors(f"sampling {index}"):
        answer = move.client.search(index=index, body=body, params={"search_pipeline": "_none"})
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def looked_up(move: Move, index: str, skus: list[str]) -> dict[str, dict[str, Any]]:
    if not skus:
        return {}
    with engine_errors(f"reading products of {index}"):
        answer = move.client.mget(index=index, body={"ids": skus})
    return {found["_id"]: found["_source"] for found in answer["docs"] if found.get("found")}
