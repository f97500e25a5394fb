"""The writers' own record: what each of them last had acknowledged, product by product."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]


@dataclass
class Ledger:
    """`products` is SKU to what is there; `deleted` are those that were there once. Each SKU belongs to one writer."""

    products: dict[str, Document] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    acknowledged: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def holds(self, sku: str, document: Mapping[str, Any]) -> None:
        """The engine acknowledged the whole document; a service's document is stored with its SKU and group."""
        with self.lock:
            self.products[sku] = {**document, "sku": sku, "variant_group": document.get("variant_group", sku)}
            self.deleted.discard(sku)
            self.acknowledged += 1

    def changed(self, sku: str, part: Mapping[str, Any]) -> None:
        with self.lock:
            self.products[sku] = {**self.products[sku], **part}
            self.acknowledged += 1

    def gone(self, sku: str) -> None:
        with self.lock:
            del self.products[sku]
            self.deleted.add(sku)
            self.acknowledged += 1
