"""Each alert fires in its situation and stays silent otherwise, as promtool works it out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import yaml

from .rendering import CHART, ROOT, require

ALERTS = CHART / "files" / "alerts.yaml"
TESTS = Path(__file__).parent / "alerts_test.yaml"


def alerts() -> set[str]:
    return {rule["alert"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]}


def test_each_alert_fires_in_its_situation_and_stays_silent_otherwise(tmp_path: Path) -> None:
    promtool = require("promtool")
    shutil.copy(ALERTS, tmp_path)
    shutil.copy(TESTS, tmp_path)
    for arguments in (["check", "rules", "alerts.yaml"], ["test", "rules", TESTS.name]):
        done = subprocess.run([promtool, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_situation_and_a_page() -> None:
    situations = yaml.safe_load(TESTS.read_text())["tests"]
    fired = {check["alertname"] for test in situations for check in test["alert_rule_test"] if check["exp_alerts"]}
    assert fired == alerts()
    assert {page.stem for page in (ROOT / "docs" / "runbook").glob("*.md")} == alerts()
