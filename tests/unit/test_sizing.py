"""What a plan promises: figures that follow the formulas, and grow as they should."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prodsim.plugin.sizing import GIB, Rates, Workload, plan, vector_bytes

SMALL = Workload(documents=1_000_000, queries_per_s=50)


def test_the_memory_of_vectors_is_what_opensearch_documents() -> None:
    # its own example: a million vectors of 256 dimensions with m 16 take 1.267 GB
    assert 1_000_000 * vector_bytes(256, 16) / 1e9 == pytest.approx(1.267, abs=0.001)


def test_twice_the_products_take_twice_the_memory_disk_and_money() -> None:
    one, two = plan(SMALL), plan(replace(SMALL, documents=2_000_000))
    for name in ("vector_memory_bytes", "disk_bytes", "reembed_cpu_price", "reembed_gpu_hours"):
        assert getattr(two, name) == pytest.approx(2 * getattr(one, name), rel=1e-6)


def test_nodes_hold_the_vectors_beside_their_heap() -> None:
    made = plan(Workload(documents=50_000_000, queries_per_s=300))
    assert made.data_nodes * (64 * GIB - made.node_heap_bytes) >= made.vector_memory_bytes
    assert made.node_heap_bytes <= 31 * GIB
    assert plan(SMALL).data_nodes == 2  # a replica needs a second node


def test_measured_rates_replace_the_defaults() -> None:
    slow = plan(SMALL, Rates(texts_per_s_cpu_core=10))
    assert slow.reembed_cpu_core_hours == pytest.approx(1_000_000 / 10 / 3600)
