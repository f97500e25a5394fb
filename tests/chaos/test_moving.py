"""A reindex that is killed anywhere, resumed or given up, loses no write; the alias is always on one index."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prodsim.plugin.indexes import indexes_behind, product_indexes
from prodsim.plugin.moving import machine
from prodsim.plugin.shop import Shop
from tests.filled_catalog import fill
from tests.steady_writer import SteadyWriter

WHOLE = os.environ.get("CHAOS") == "whole"
KILLS = 25 if WHOLE else 4
PRODUCTS = 3000 if WHOLE else 1200
TAKES_S = 14.0  # about, from start to end at this speed

pytestmark = pytest.mark.timeout(1800)


class Command:
    """`prodsim-admin reindex` in a process of its own."""

    def __init__(self, shop: Shop, folder: Path) -> None:
        names = ("alias", "home", "engine_url", "embedder_url")
        self.environment = {f"PRODSIM_{name.upper()}": str(getattr(shop.settings, name)) for name in names}
        self.folder = folder

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("prodsim-admin")), "reindex", *arguments],
            env={**os.environ, **self.environment, "PRODSIM_LEASE_S": "5"},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        printed, _ = process.communicate(timeout=300)
        return process.returncode, printed


@pytest.mark.parametrize("seed", range(2 if WHOLE else 1))
def test_killed_anywhere_and_resumed_or_given_up_it_loses_nothing(shop: Shop, tmp_path: Path, seed: int) -> None:
    fill(shop, PRODUCTS)
    command = Command(shop, tmp_path)
    moments = random.Random(seed)
    phases: list[str] = []
    with SteadyWriter(shop) as writer:
        kills = 0
        while kills < KILLS:
            unfinished = machine.status(shop.client, shop.settings.alias)
            going_on = unfinished is not None and not unfinished.ended
            speed = str(PRODUCTS / 6)
            arguments = ["--resume"] if going_on else ["--max-docs-per-second", speed]
            process = command.start(*arguments)
            time.sleep(moments.uniform(1.0, TAKES_S))
            if process.poll() is None:
                kills += 1
            process.kill()
            printed, _ = process.communicate()
            assert process.returncode in (0, -9), printed
            assert len(indexes_behind(shop.client, shop.settings.alias)) == 1
            stopped = machine.status(shop.client, shop.settings.alias)
            phases.append(stopped.phase if stopped else "none")
            if stopped is not None and not stopped.ended and moments.random() < 0.4:
                before = indexes_behind(shop.client, shop.settings.alias)
                code, printed = command.run("--abort")
                swapped = "is on" in printed and "--rollback" in printed
                assert code == 0 or swapped, printed
                assert indexes_behind(shop.client, shop.settings.alias) == before
        stopped = machine.status(shop.client, shop.settings.alias)
        if stopped is not None and not stopped.ended:
            code, printed = command.run("--resume")
            assert code == 0, printed
        writer.check(PRODUCTS)
    left = [index.name for index in product_indexes(shop.client, shop.settings.alias)]
    assert len(left) <= 2, (left, phases)
