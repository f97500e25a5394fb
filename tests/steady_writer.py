"""Somebody who writes to a catalog through its alias all the time and knows nothing of prodsim, with a ledger."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tests.filled_catalog import contents, made_up

if TYPE_CHECKING:
    from prodsim.plugin.shop import Shop

PAUSE_S = 0.005
NEW_NUMBERS = 10_000
AGO = 42  # writes: what was created at the moment of a swap can be changed a moment later


class SteadyWriter:
    """Creates, updates and deletes until it is left. `ledger` is what it wrote: SKU to price."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.ledger: dict[str, float] = {}
        self.errors: list[Exception] = []
        self.writes = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        self._ending.set()
        self._thread.join()

    def check(self, untouched: int) -> None:
        """The catalog holds what was written and the products p0 to p(untouched - 1), and nothing else."""
        self.end()
        assert [f"{type(error).__name__}: {error}" for error in self.errors] == []
        found = contents(self.shop)
        wanted = set(self.ledger) | {f"p{number}" for number in range(untouched)}
        assert set(found) - wanted == set()
        assert wanted - set(found) == set()
        wrong = {sku: found[sku]["price"] for sku, price in self.ledger.items() if found[sku]["price"] != price}
        assert wrong == {}

    def _write(self) -> None:
        number = 0
        while not self._ending.wait(PAUSE_S):
            number += 1
            try:
                self._step(number)
            except Exception as error:  # whatever it is: a writer must not see it
                self.errors.append(error)

    def _step(self, number: int) -> None:
        client, alias = self.shop.client, self.shop.settings.alias
        sku = f"w{number}"
        product = as_lists(made_up(self.shop, NEW_NUMBERS + number, sku=sku))
        client.index(index=alias, id=sku, body=product)
        self.ledger[sku] = product["price"]
        if number % 3 == 0 and number > AGO:
            self._reprice(f"w{number - AGO + 10}", 5.5)
        if number % 4 == 0 and number > AGO:
            client.delete(index=alias, id=f"w{number - AGO}")
            del self.ledger[f"w{number - AGO}"]
        if number % 5 == 0:
            self._reprice(f"p{number % 100}", float(number))
        self.writes += 1

    def _reprice(self, sku: str, price: float) -> None:
        self.shop.client.update(index=self.shop.settings.alias, id=sku, body={"doc": {"price": price}})
        self.ledger[sku] = price


def as_lists(product: dict[str, Any]) -> dict[str, Any]:
    """The product as a plain client sends it."""
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in product.items()}
