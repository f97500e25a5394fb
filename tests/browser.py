"""A real browser without a window, to look at pages as a person would."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def look_at(page: Path, expression: str, folder: Path) -> Any:
    """The value of a JavaScript expression in the page once it is loaded; skips the test where no browser is installed.

    The page is looked at as a copy that puts the value into its own document, with no name of any host resolving.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser here ({', '.join(BROWSERS)}): this page was not looked at")
    probe = f"""<script>addEventListener("load", () => setTimeout(() => {{
      const found = document.createElement("pre"); found.id = "probe";
      try {{ found.textContent = JSON.stringify({expression}); }}
      catch (error) {{ found.textContent = JSON.stringify(String(error)); }}
      document.body.append(found);
    }}, 300));</script></body>"""
    copy = folder / f"looked-at-{page.name}"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=10000", "--dump-dom", copy.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    value = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert value, done.stdout[-2000:]
    return json.loads(html.unescape(value[1]))
