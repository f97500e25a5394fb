"""How large a cluster and an embedder a catalog needs: formulas with their sources, and nothing measured at run time.

docs/sizing.md explains each and holds them against measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

GIB = 1 << 30
FLOAT_BYTES = 4
# OpenSearch documentation, "k-NN index", HNSW memory estimation: 1.1 * (4 * dimension + 8 * m) bytes a vector.
HNSW_OVERHEAD = 1.1
HNSW_LINK_BYTES = 8
# A vector lies in the Lucene vector file, and once more in _source as JSON text, whose digits the engine's default
# compression (LZ4) leaves as long as they are. Measured by tests/bench/test_sizing.py.
SOURCE_BYTES_PER_VALUE = 12.5
# OpenSearch documentation, "Shard sizing": 10 to 30 GiB a shard where search latency counts.
SHARD_BYTES = 25 * GIB
DISK_WATERMARK = 0.85
HEAP_SHARE_OF_MEMORY = 0.5
LARGEST_HEAP_BYTES = 31 * GIB
QUERY_HEADROOM = 0.6


@dataclass(frozen=True)
class Rates:
    """What one unit does; measure your own with `make bench` and pass them."""

    texts_per_s_cpu_core: float = 45.0
    texts_per_s_gpu: float = 3000.0
    queries_per_s_core: float = 70.0
    queries_embedded_per_s_cpu_core: float = 60.0


@dataclass(frozen=True)
class Workload:
    """`document_bytes` is a product's text and fields on disk, without its vectors."""

    documents: int
    queries_per_s: float
    dimension: int = 384
    document_bytes: int = 900
    image_dimension: int = 0
    replicas: int = 1
    m: int = 16
    node_memory_bytes: int = 64 * GIB
    cpu_hour_price: float = 0.05
    gpu_hour_price: float = 0.80


@dataclass(frozen=True)
class Plan:
    """Bytes are for the whole cluster with its replicas where the name does not say `primary`."""

    vector_memory_bytes: int
    primary_bytes: int
    disk_bytes: int
    rebuild_disk_bytes: int
    shards: int
    replicas: int
    data_nodes: int
    node_heap_bytes: int
    query_cores: int
    embedder_cpu_cores_for_queries: int
    reembed_cpu_core_hours: float
    reembed_gpu_hours: float
    reembed_cpu_price: float
    reembed_gpu_price: float
    reembed_hours_on_one_gpu: float


def vector_bytes(dimension: int, m: int) -> float:
    """Memory of one vector and its links, in bytes."""
    return HNSW_OVERHEAD * (FLOAT_BYTES * dimension + HNSW_LINK_BYTES * m)


def primary_bytes(workload: Workload) -> float:
    """Disk of one copy of the index: fields, vectors, and vectors in _source."""
    dimensions = [dimension for dimension in (workload.dimension, workload.image_dimension) if dimension]
    vectors = sum(FLOAT_BYTES * d + HNSW_LINK_BYTES * workload.m + SOURCE_BYTES_PER_VALUE * d for d in dimensions)
    return workload.documents * (workload.document_bytes + vectors)


def plan(workload: Workload, rates: Rates | None = None) -> Plan:
    """What the workload needs. Every figure follows from the formulas above and in docs/sizing.md."""
    rates = rates or Rates()
    dimensions = [dimension for dimension in (workload.dimension, workload.image_dimension) if dimension]
    one_copy_memory = workload.documents * sum(vector_bytes(dimension, workload.m) for dimension in dimensions)
    one_copy = primary_bytes(workload)
    copies = 1 + workload.replicas
    heap = min(LARGEST_HEAP_BYTES, HEAP_SHARE_OF_MEMORY * workload.node_memory_bytes)
    page_cache = workload.node_memory_bytes - heap
    for_memory = math.ceil(one_copy_memory * copies / page_cache)
    texts = workload.documents
    core_hours = texts / rates.texts_per_s_cpu_core / 3600
    gpu_hours = texts / rates.texts_per_s_gpu / 3600
    return Plan(
        vector_memory_bytes=round(one_copy_memory * copies),
        primary_bytes=round(one_copy),
        disk_bytes=round(one_copy * copies / DISK_WATERMARK),
        rebuild_disk_bytes=round(2 * one_copy * copies / DISK_WATERMARK),
        shards=max(1, math.ceil(one_copy / SHARD_BYTES)),
        replicas=workload.replicas,
        data_nodes=max(copies, for_memory),
        node_heap_bytes=round(heap),
        query_cores=math.ceil(workload.queries_per_s / (rates.queries_per_s_core * QUERY_HEADROOM)),
        embedder_cpu_cores_for_queries=math.ceil(
            workload.queries_per_s / (rates.queries_embedded_per_s_cpu_core * QUERY_HEADROOM)
        ),
        reembed_cpu_core_hours=core_hours,
        reembed_gpu_hours=gpu_hours,
        reembed_cpu_price=core_hours * workload.cpu_hour_price,
        reembed_gpu_price=gpu_hours * workload.gpu_hour_price,
        reembed_hours_on_one_gpu=gpu_hours,
    )
