"""The report in a real browser: without an error, sortable, filterable, enlargeable, and from 360 px on."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from synthetic import ARCHITECTURES, make

from analysis.report.page import write_report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=2000",
)
# What a user would do, and what is seen of it.
ASKED = """<script>
const told = {};
const column = (table, place) => [...table.tBodies[0].rows].map((row) => row.cells[place].textContent.trim());
const table = document.querySelector("table.overview");
const head = table.tHead.rows[0].cells[1];
head.querySelector("button").click();
told.up = column(table, 1);
told.sorted = head.getAttribute("aria-sort");
head.querySelector("button").click();
told.down = column(table, 1);
table.tHead.rows[0].cells[0].querySelector("button").click();
told.names = column(table, 0);
const field = document.querySelector("input.filter");
if (field) {
  field.value = "lstm";
  field.dispatchEvent(new Event("input"));
  const rows = [...field.nextElementSibling.querySelectorAll("tbody tr")];
  told.shown = rows.filter((row) => !row.hidden).map((row) => row.textContent.includes("lstm"));
  told.hidden = rows.filter((row) => row.hidden).length;
}
document.querySelector("button.enlarge").click();
told.open = document.querySelector("dialog").open;
document.querySelector("dialog").click();
told.closed = !document.querySelector("dialog").open;
told.width = document.documentElement.scrollWidth - document.documentElement.clientWidth;
const out = document.createElement("pre");
out.id = "told";
out.textContent = JSON.stringify(told);
document.body.append(out);
</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    kinds = {f"net-{n}": kind for n, kind in enumerate(ARCHITECTURES.values())}
    kinds |= {f"more-{n}": ARCHITECTURES["lstm"] for n in range(6)} | {
        "lstm": ARCHITECTURES["lstm"]
    }
    return write_report(make(trials=2, confirmations=5, architectures=kinds), "synthetic", out)


def opened(page: Path, folder: Path, width: int, script: str = ASKED) -> tuple[dict[str, Any], str]:
    asked = page.with_name("asked.html")
    asked.write_text(page.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    done = subprocess.run(
        [
            str(BROWSER),
            *FLAGS,
            f"--user-data-dir={folder}",
            f"--window-size={width},900",
            "--dump-dom",
            asked.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout)
    assert found, done.stderr[-2000:]
    return json.loads(unescape(found[1])), done.stderr


def _rate(text: str) -> float:
    solved, runs = re.findall(r"\d+", text)[:2]
    return int(solved) / int(runs)


@pytest.mark.parametrize("width", [1100, 500])
def test_what_a_reader_does(page: Path, tmp_path: Path, width: int) -> None:
    told, errors = opened(page, tmp_path, width)
    assert "CONSOLE" not in errors
    rates = [_rate(text) for text in told["up"]]
    assert rates == sorted(rates)
    assert told["sorted"] == "ascending"
    assert [_rate(text) for text in told["down"]] == rates[::-1]
    assert told["names"] == sorted(told["names"])
    assert told["shown"]
    assert all(told["shown"])
    assert told["hidden"]
    assert (told["open"], told["closed"]) == (True, True)
    assert told["width"] == 0  # nothing sticks out of the page


def test_an_error_in_a_page_would_be_seen(page: Path, tmp_path: Path) -> None:
    _, errors = opened(page, tmp_path, 1100, f"<script>nothing.there();</script>{ASKED}")
    assert "CONSOLE" in errors
