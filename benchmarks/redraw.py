"""How long a changed control takes: server CPU and wall time per redraw in a real Chromium, written to REDRAW.md.

python -m benchmarks.redraw
"""

from __future__ import annotations

import os
import platform
import time
from datetime import date
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

from benchmarks.dashboard import QUIET, chromium_path, serve, settle

REPEATS = 20
CHANGED = {"statistical": "Requests per second", "deep_learning": "Requests per second", "llm": "Prompt tokens"}
TARGET_MS = 150.0


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far [s]: user + system, from the kernel's accounting."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def change(page: Page, label: str, value: int) -> float:
    """Type a value into a control and wait until the page is redrawn; the wall time [ms]."""
    box = page.get_by_label(label, exact=True).first
    before = page.url
    box.fill(str(value))
    start = time.perf_counter()
    box.press("Enter")
    page.wait_for_function("before => window.location.href !== before", arg=before, polling=5, timeout=20_000)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=20_000)
    return (time.perf_counter() - start) * 1000.0


def measure() -> list[tuple[str, float, float, float]]:
    """For each page: median and P90 server CPU per redraw [ms], and median wall time until redrawn [ms]."""
    path = chromium_path()
    if path is None:
        raise SystemExit("Chromium is needed: install the Debian package `chromium`.")
    rows = []
    with serve() as served, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(QUIET))
        for page_name, label in CHANGED.items():
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.goto(f"{served.address}/{page_name}")
            settle(page)
            change(page, label, 301)
            page.wait_for_timeout(500)
            cpu, wall = [], []
            for step in range(REPEATS):
                before = cpu_seconds(served.pid)
                wall.append(change(page, label, 310 + 7 * step))
                page.wait_for_timeout(150)
                cpu.append((cpu_seconds(served.pid) - before) * 1000.0)
            rows.append((page_name, median(cpu), sorted(cpu)[int(0.9 * REPEATS) - 1], median(wall)))
            page.close()
        browser.close()
    return rows


def main() -> None:
    """Measure and write the table."""
    rows = measure()
    lines = [
        "# Redraw of a changed control",
        "",
        f"Written by `python -m benchmarks.redraw` on {date.today()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, headless Chromium at 1280 x 720; {REPEATS} changes a page, each a scenario not "
        f"seen before. Target: server work under {TARGET_MS:g} ms in the median.",
        "",
        "| page | server CPU, median (ms) | server CPU, P90 (ms) | change to redrawn, median (ms) |",
        "|---|---|---|---|",
        *(f"| {name} | {cpu:.0f} | {high:.0f} | {wall:.0f} |" for name, cpu, high, wall in rows),
    ]
    text = "\n".join(lines) + "\n"
    Path(__file__).with_name("REDRAW.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
