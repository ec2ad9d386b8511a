"""A report as one HTML page that needs nothing else: no network, no other file; it prints on A4 and Letter.

Every text is escaped here and nowhere else. The page's own security policy allows the scripts below by their hash and
nothing else, so that no text of a scenario could ever run or load anything.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from ui.answer_chart import AnswerChart
from ui.report_sections import Bullets, Link, Paragraph, Part, Section, Table, Verbatim
from ui.sketch import CONFIG

CHART_WIDTH = 680
"""Width of a chart [CSS px]: what A4 and Letter have between margins of 15 mm is 680 and 703."""

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #1b2430; font: 14px/1.45 system-ui, "Segoe UI", "DejaVu Sans", Arial, sans-serif; }
main { max-width: 712px; margin: 0 auto; padding: 1.2rem 1rem 3rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 1.6rem 0 .4rem; border-bottom: 1px solid #d5dae1; padding-bottom: .15rem; }
p { margin: .4rem 0; overflow-wrap: anywhere; }
.meta, .note, caption, figcaption { color: #505a68; font-size: .86rem; }
.lead { font-size: 1.12rem; font-weight: 600; line-height: 1.4; }
ul { margin: .3rem 0; padding-left: 1.2rem; } li { margin: .15rem 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; font-size: .8rem; }
caption { text-align: left; padding-bottom: .2rem; }
th { text-align: left; vertical-align: bottom; border-bottom: 1.5px solid #8a94a3; padding: .2rem .5rem .2rem 0; }
td { vertical-align: top; border-bottom: 1px solid #e3e7ec; padding: .2rem .5rem .2rem 0; overflow-wrap: break-word; }
th.number, td.number { text-align: right; white-space: nowrap; }
.pass { color: #00694b; font-weight: 700; white-space: nowrap; } .fail { color: #b3261e; font-weight: 700; white-space: nowrap; }
pre { font: 12px/1.4 ui-monospace, "DejaVu Sans Mono", monospace; background: #f3f5f8; padding: .6rem .8rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
figure { margin: .8rem 0 1.2rem; } figure h3 { font-size: .95rem; margin: 0 0 .2rem; }
.chart { width: 100%; max-width: __WIDTH__px; }
a { color: #005a9c; overflow-wrap: anywhere; }
@page { margin: 18mm 15mm 16mm; @top-left { content: __HEAD__; font: 8pt sans-serif; color: #505a68; }
  @bottom-right { content: "Page " counter(page) " of " counter(pages); font: 8pt sans-serif; color: #505a68; } }
@media print {
  body { font-size: 10pt; } main { max-width: none; padding: 0; } table { font-size: 7.6pt; } pre { font-size: 7.6pt; }
  h2, h3, caption, .keep { break-after: avoid; } figure, tr, .lead { break-inside: avoid; } thead { display: table-header-group; break-after: avoid; }
  tbody tr:first-child { break-before: avoid; }
  .wide { overflow: visible; } .screen { display: none; } p, li { orphans: 3; widows: 3; }
  pre, .chart, .pass, .fail { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
_SCRIPT = """
(function () {
  const charts = JSON.parse(document.getElementById("data-of-charts").textContent);
  for (const chart of charts) Plotly.newPlot(chart.id, chart.data, chart.layout, chart.config);
  function width(px) { for (const chart of charts) Plotly.relayout(chart.id, px ? {width: px} : {width: null, autosize: true}); }
  window.addEventListener("beforeprint", function () { width(__WIDTH__); });
  window.addEventListener("afterprint", function () { width(null); });
})();
""".replace("__WIDTH__", str(CHART_WIDTH))


def page(title: str, meta: Sequence[Part], sections: Sequence[Section], *, head: str) -> str:
    """The whole document. `meta` stands under the title, `head` at the top of each printed page."""
    drawn: list[AnswerChart] = []
    body = "".join(_part(part, drawn) for part in meta) + "".join(_section(section, drawn) for section in sections)
    scripts = [*((_plotly(), _SCRIPT) if drawn else ())]
    allowed = " ".join(f"'sha256-{_hash(text)}'" for text in scripts) or "'none'"
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; script-src {allowed}"
    style = _STYLE.replace("__WIDTH__", str(CHART_WIDTH)).replace("__HEAD__", css_text(head))
    charts = f'<script type="application/json" id="data-of-charts">{_figures(drawn)}</script>' if drawn else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body><main>"
        f"<h1>{escape(title)}</h1>{body}</main>{charts}"
        f"{''.join(f'<script>{text}</script>' for text in scripts)}</body></html>\n"
    )


def css_text(text: str) -> str:
    """A CSS string of any text: all but letters, digits, blanks and plain punctuation as code points.

    >>> css_text('4 x "H100"</style>')
    '"4 x \\\\22 H100\\\\22 \\\\3c /style\\\\3e "'
    """
    return '"' + re.sub(r"[^A-Za-z0-9 .,:;/$%()×·-]", lambda found: f"\\{ord(found[0]):x} ", text) + '"'


@lru_cache(maxsize=1)
def _plotly() -> str:
    """Plotly's library, once."""
    library: str = get_plotlyjs()
    assert "</script" not in library
    return library


@lru_cache(maxsize=4)
def _hash(script: str) -> str:
    return b64encode(sha256(script.encode()).digest()).decode()


def _figures(drawn: Sequence[AnswerChart]) -> str:
    """Data of all charts as JSON that cannot end the script it stands in."""
    figures = []
    for place, chart in enumerate(drawn):
        figure = go.Figure(chart.figure)
        figure.update_layout(template="plotly_white", autosize=True, font={"size": 11, "color": "#1b2430"})
        figures.append(
            {"id": f"chart-{place}", "config": {**CONFIG, "responsive": True}, **json.loads(figure.to_json())}
        )
    text = json.dumps(figures, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _section(section: Section, drawn: list[AnswerChart]) -> str:
    body = "".join(_part(part, drawn) for part in section.parts)
    return f'<section id="{escape(section.key)}"><h2>{escape(section.title)}</h2>{body}</section>'


def _part(part: Part, drawn: list[AnswerChart]) -> str:
    if isinstance(part, Paragraph):
        keep = " keep" if part.text.endswith(":") else ""
        return f'<p class="{part.role}{keep}">{_text(part.text)}</p>'
    if isinstance(part, Bullets):
        return f"<ul>{''.join(f'<li>{_text(item)}</li>' for item in part.items)}</ul>"
    if isinstance(part, Table):
        return _table(part)
    if isinstance(part, Verbatim):
        return f"<pre>{escape(part.text)}</pre>"
    if isinstance(part, Link):
        return f'<p><a href="{escape(part.address)}" rel="noreferrer">{escape(part.text)}</a></p>'
    drawn.append(part)
    return _chart(part, f"chart-{len(drawn) - 1}")


def _chart(chart: AnswerChart, place: str) -> str:
    caption = f"<figcaption>{_text(chart.caption)}</figcaption>" if chart.caption else ""
    height = chart.figure.layout.height or 300
    return (
        f'<figure><h3>{_text(chart.title)}</h3><div class="chart" id="{place}" role="img" aria-label="{escape(chart.alt)}" '
        f'style="min-height:{height}px"><noscript>The chart needs JavaScript. It shows: {escape(chart.alt)}.</noscript></div>'
        f"{caption}</figure>"
    )


def _table(table: Table) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=' + chr(34) + 'number' + chr(34) if place in table.numeric else ''}>{_cell(text)}</{tag}>"
            for place, text in enumerate(row)
        )

    caption = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
    rows = "".join(f"<tr>{cells('td', row)}</tr>" for row in table.rows)
    return f'<div class="wide"><table>{caption}<thead><tr>{cells("th", table.columns)}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(text: str) -> str:
    for mark, style in (("✓", "pass"), ("✗", "fail")):
        if text.startswith(mark):
            return f'<span class="{style}">{escape(text)}</span>'
    return _text(text)


def _text(text: str) -> str:
    return escape(text).replace("\n", "<br>")
