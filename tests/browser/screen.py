"""What the browser tests read from a page and do to it: the answer, the controls, a redraw, the plan its link asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Locator, Page
from playwright.sync_api import TimeoutError as NotInTimeError

from benchmarks.dashboard import settle
from sizing import catalog as catalogs
from sizing import link as links
from sizing.plan import Plan
from sizing.planner import plan
from sizing.units import format_usd

SIZING_PAGES = ("statistical", "deep_learning", "llm")
PAGES = ("", *SIZING_PAGES, "compare", "accuracy", "catalogs")
OPENING_ATTEMPTS = 3
DESKTOP = {"width": 1280, "height": 720}
PHONE = {"width": 390, "height": 844}
WIDGETS = ("stSelectbox", "stNumberInput", "stTextInput", "stTextArea", "stMultiSelect", "stButtonGroup", "stCheckbox")
FORBIDDEN = re.compile(
    r"\b(Traceback|Deploy|deprecated|NaN|undefined|Infinity)\b|error has occurred|encountered an error"
)

_COUNT_RUNS = """() => {
  window.acted = performance.now();
  if (window.runs !== undefined) return window.runs;
  window.runs = 0;
  const app = document.querySelector('[data-testid=stApp]');
  new MutationObserver(changes => { window.runs += changes.filter(c => c.oldValue === 'notRunning').length; })
    .observe(app, {attributes: true, attributeOldValue: true, attributeFilter: ['data-test-script-state']});
  return 0;
}"""
# A run that starts and ends between two paints is never seen as running: four quiet seconds stand for its end.
_RUN_ENDED = """before => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'
  && (window.runs > before || performance.now() - window.acted > 4000)"""
# Several runs may follow several inputs: the last has ended once half a second brought no further.
_QUIET = """() => {
  const running = document.querySelector('[data-testid=stApp]').dataset.testScriptState !== 'notRunning';
  const [runs, since] = window.quiet || [];
  if (running || runs !== window.runs) window.quiet = [window.runs, performance.now()];
  return !running && runs === window.runs && performance.now() - since > 500;
}"""

# The browser tells the page of a value and of the box left behind as it does when somebody types and goes on.
_FILL = """async values => {
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
  const turn = () => new Promise(done => setTimeout(done, 0));
  for (const [label, value] of Object.entries(values)) {
    const box = [...document.querySelectorAll('input[type=number]')].find(e => e.getAttribute('aria-label') === label);
    box.focus();
    set.call(box, value);
    box.dispatchEvent(new Event('input', {bubbles: true}));
    await turn();
    box.blur();
    await turn();
  }
}"""


def redraw(page: Page, act: Callable[[], object]) -> None:
    """Do something that changes an input, and wait until the page has been drawn anew."""
    before = page.evaluate(_COUNT_RUNS)
    act()
    page.wait_for_function(_RUN_ENDED, arg=before, timeout=20_000)
    page.wait_for_timeout(30)


def answer(page: Page) -> str:
    """The headline of the answer, without the scenario's title."""
    return page.locator(".answer").evaluate("e => [...e.childNodes].at(-1).textContent")


def limits(page: Page) -> list[list[str]]:
    """The verdict block: the cells of each limit's row."""
    rows = page.locator("table.slo:has(th:text-is('Predicted')) tbody tr").all()
    return [[cell.strip() for cell in row.locator("td").all_inner_texts()] for row in rows]


def metric(page: Page, label: str) -> str:
    """Value of one of the large figures."""
    return page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue").inner_text().strip()


def figures(page: Page) -> dict[str, Any]:
    """All that a page says and plots, its own address left out: equal for two pages that show the same figures."""
    settle(page)
    text = page.get_by_test_id("stMain").inner_text()
    address = "{0.scheme}://{0.netloc}".format(urlsplit(page.url))
    charts = page.evaluate(
        "() => [...document.querySelectorAll('.js-plotly-plot')].map(g => JSON.stringify(g.data.map(t => [t.name, t.x, t.y])))"
    )
    return {"text": text.replace(address, ""), "charts": charts}


def plan_of_link(address: str) -> Plan:
    """The plan computed here, outside the browser, for the scenario in an address."""
    decoded = links.from_link(address)
    assert not decoded.messages
    return plan(decoded.scenario, catalogs.load(decoded.catalog))


def assert_answers_its_link(page: Page) -> Plan:
    """The figures on screen are those of the scenario in the address bar."""
    expected = plan_of_link(page.url)
    assert answer(page) == expected.headline
    best = expected.recommended
    assert best is not None
    assert metric(page, "Machines") == f"{best.instances} × {best.instance_type}"
    assert metric(page, "Cost per month") == format_usd(best.cost.usd_per_month)
    assert metric(page, "Cost per hour") == format_usd(best.cost.usd_per_hour)
    assert len(limits(page)) == len(best.verdicts)
    return expected


def assert_whole(page: Page) -> None:
    """The page stands: a title, an answer or a table, no trace of an exception, no figure that is none."""
    assert page.locator("h1").count() == 1
    assert page.get_by_test_id("stException").count() == 0
    said = page.locator("body").inner_text()
    assert not (found := FORBIDDEN.search(said)), found


def field(page: Page, name: str) -> str:
    """A field's text in the link."""
    return parse_qs(urlsplit(page.url).query, keep_blank_values=True)[name][0]


def number(page: Page, label: str) -> Locator:
    """The box of a number, by its label."""
    return page.locator(f'input[type=number][aria-label="{label}"]')


def type_number(page: Page, label: str, value: object) -> None:
    """Type a number (or nothing) as a person does, and wait for the answer."""
    box = number(page, label)
    box.fill(str(value))
    redraw(page, lambda: box.press("Enter"))


def type_numbers(page: Page, values: Mapping[str, object]) -> None:
    """Put numbers into several boxes one after the other, faster than anybody types and without waiting for an answer
    between them; wait for the last."""
    before = page.evaluate(_COUNT_RUNS)
    page.evaluate(_FILL, {label: str(value) for label, value in values.items()})
    page.wait_for_function(_RUN_ENDED, arg=before, timeout=20_000)
    page.wait_for_function(_QUIET, timeout=20_000)


def type_text(page: Page, label: str, value: str, *, area: bool = False) -> None:
    """Type text, and wait for the answer."""
    box = page.get_by_role("textbox", name=label, exact=True)
    box.fill(value)
    redraw(page, lambda: box.press("Control+Enter" if area else "Enter"))


def choose(page: Page, label: str, option: str) -> None:
    """Pick an entry of a list by its text, and wait for the answer."""
    control = page.locator("[data-testid=stSelectbox], [data-testid=stMultiSelect]").filter(
        has=page.get_by_role("combobox", name=label, exact=True)
    )
    control.evaluate("e => e.scrollIntoView({block: 'center'})")
    page.wait_for_timeout(150)  # a list that opens while the page scrolls closes again
    control.locator("button[aria-haspopup=listbox]").click()
    page.get_by_role("combobox", name=label, exact=True).press_sequentially(option)
    redraw(page, lambda: page.get_by_role("option", name=option, exact=True).click())
    page.keyboard.press("Escape")


def switch(page: Page, option: str) -> None:
    """Pick one of the buttons that stand side by side, and wait for the answer."""
    redraw(page, lambda: page.get_by_role("radio", name=option, exact=True).click())


def sections(page: Page) -> Locator:
    """Titles of the closed sections among the controls."""
    return page.locator(".st-key-inputs [data-testid=stExpander] summary")


def open_sections(page: Page) -> None:
    """Open every section among the controls and wait until what is in them has been drawn. A click that a redraw swallowed
    is made again."""
    closed = page.locator(".st-key-inputs details:not([open]) > summary")
    for attempt in range(OPENING_ATTEMPTS):
        settle(page)
        closed.evaluate_all("titles => titles.forEach(title => title.click())")
        try:
            page.wait_for_function(
                """() => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'
                && [...document.querySelectorAll('.st-key-inputs details')].every(e => e.open && e.querySelector('input, textarea'))""",
                timeout=10_000,
            )
            break
        except NotInTimeError:
            if attempt == OPENING_ATTEMPTS - 1:
                raise
    page.wait_for_timeout(300)


def control_values(page: Page) -> dict[str, str]:
    """What each control shows, by its label."""
    return page.evaluate(
        """() => {
      const shown = {};
      for (const box of document.querySelectorAll('[data-testid=stMain] input, [data-testid=stMain] textarea')) {
        if (box.type === 'file') continue;
        const many = box.closest('[data-testid=stMultiSelect]');
        const value = many ? many.querySelector('[data-testid=stMultiSelectTagsContainer]').innerText
          : box.type === 'checkbox' ? String(box.checked) : box.value;
        shown[box.getAttribute('aria-label') || box.closest('label')?.innerText || ''] = value;
      }
      for (const on of document.querySelectorAll('[role=radio][aria-checked=true]'))
        shown[on.closest('[role=radiogroup]').getAttribute('aria-label')] = on.innerText;
      return shown;
    }"""
    )
