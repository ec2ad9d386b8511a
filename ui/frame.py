"""The frame every page draws first: title, navigation, copy-link control, and the banners of a link that was not clean."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import streamlit as st

from sizing import catalog as catalogs
from sizing import link as links
from ui.state import PageState, use_present_catalog

PRODUCT = "Inference sizing"
ICON = Path(__file__).with_name("icon.png")
PAGES = (
    ("app.py", "Start"),
    ("pages/statistical.py", "Statistical"),
    ("pages/deep_learning.py", "Deep learning"),
    ("pages/llm.py", "LLM"),
    ("pages/compare.py", "Compare"),
    ("pages/accuracy.py", "Accuracy"),
    ("pages/catalogs.py", "Catalogs"),
)
SHOWN_CHANGES = 8

_STYLE = """<style>
[data-testid="stMainBlockContainer"] {padding-top: 1.1rem; padding-bottom: 3rem; max-width: 1500px;}
[data-testid="stHeader"] {height: 0; min-height: 0; background: transparent;}
[data-testid="stPageLink-NavLink"] * {white-space: normal;}
h1 {font-size: 1.45rem !important; padding: 0 0 .1rem 0 !important;}
h2 {font-size: 1.15rem !important; padding: .4rem 0 .2rem 0 !important;}
h3 {font-size: 1.12rem !important; padding: .3rem 0 .1rem 0 !important;}
[data-testid="stMetricValue"] {font-size: 1.35rem; white-space: normal;}
.answer {font-size: 1.12rem; line-height: 1.4; font-weight: 600; margin: 0;}
.slo {border-collapse: collapse; width: 100%; font-size: .86rem;}
.slo th {text-align: left; font-weight: 600; opacity: .75; padding: .1rem .5rem .1rem 0; white-space: nowrap;}
.slo td {padding: .14rem .5rem .14rem 0; vertical-align: top;}
.scroll {overflow-x: auto;} .scroll td {border-top: 1px solid rgba(127,127,127,.25); padding: .3rem .7rem .3rem 0;}
.even {table-layout: fixed;} .even td {overflow-wrap: anywhere;}
.even th.wraps {white-space: normal; overflow-wrap: anywhere; vertical-align: top;}
.map td, .map th {white-space: nowrap; padding: .3rem .8rem .3rem .4rem; border-top: 1px solid rgba(127,127,127,.25);}
.map td:first-child, .map th:first-child {white-space: normal; min-width: 7.5rem; padding-left: 0;}
.map .room {background: light-dark(#DDF3EA, #123A2E);} .map .tight {background: light-dark(#FFF0CC, #43350F);}
.map .no {background: light-dark(#F1F2F4, #23282F);} .map .here {outline: 2px solid #D55E00; outline-offset: -2px;}
.map small {opacity: .8;}
.met {color: light-dark(#00694B, #4CD1A3); font-weight: 700;} .missed {color: light-dark(#B3261E, #FF8A80); font-weight: 700;}
[data-testid="stLayoutWrapper"]:has(> .st-key-nav) {position: sticky; top: 0; z-index: 90; padding: .3rem 0;
  background: light-dark(#FFFFFF, #12161C);}
@media (min-width: 769px) {
  .st-key-split > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"],
  .st-key-split > [data-testid="stHorizontalBlock"] {flex-direction: row-reverse;}
}
a.go {display: inline-block; padding: .35rem .8rem; border: 1px solid currentColor; border-radius: .5rem; font-size: .92rem;
  text-decoration: none;}
.slo .narrow {display: none;}
@media (max-width: 768px) {.slo .wide {display: none;} .slo .narrow {display: block;} .slo {font-size: .82rem;}}
@media print {.st-key-nav, .st-key-inputs, .st-key-copy, .st-key-compare-row {display: none !important;}}
</style>"""

_COPY = """<button id="copy-link" type="button" style="font:inherit;font-size:.88rem;padding:.3rem .8rem;border-radius:.5rem;
border:1px solid currentColor;background:transparent;color:inherit;cursor:pointer;white-space:nowrap">Copy link</button>
<span id="copy-said" role="status" style="position:absolute;left:-9999px"></span>
<script>
(function () {
  const button = document.getElementById("copy-link");
  const said = document.getElementById("copy-said");
  function done(text) { button.textContent = text; said.textContent = text;
    setTimeout(function () { button.textContent = "Copy link"; }, 2000); }
  function byHand(text) {
    const box = document.createElement("textarea");
    box.value = text; document.body.appendChild(box); box.select();
    const ok = document.execCommand("copy"); box.remove();
    done(ok ? "Link copied" : "Copy it from the address bar");
  }
  button.onclick = function () {
    const text = window.location.href;
    if (navigator.clipboard && window.isSecureContext) {
      navigator.clipboard.writeText(text).then(function () { done("Link copied"); }, function () { byHand(text); });
    } else { byHand(text); }
  };
})();
</script>"""


@st.cache_resource(show_spinner=False)
def _settled_process() -> bool:
    """Once a process: load the catalogs, and take what is loaded out of garbage collection.

    Streamlit collects garbage after every run of a page; without this it walks all libraries and catalogs each time.
    """
    catalogs.load()
    gc.collect()
    gc.freeze()
    return True


def draw_frame(title: str) -> None:
    """Page title and style, then one row of navigation with the copy-link control at its end. Call it first."""
    st.set_page_config(page_title=f"{title} · {PRODUCT}", page_icon=str(ICON), layout="wide")
    _settled_process()
    st.html(_STYLE)
    with st.container(key="nav", horizontal=True, vertical_alignment="center", gap="small"):
        for path, label in PAGES:
            st.page_link(path, label=label)
        st.space("stretch")
        with st.container(key="copy", width="content"):
            st.html(_COPY, unsafe_allow_javascript=True)


def draw_quiet_frame(title: str) -> None:
    """The frame of a page without controls or navigation: its title says the answer."""
    st.set_page_config(page_title=title, page_icon=str(ICON), layout="wide")
    _settled_process()
    st.html(_STYLE)


def same_page_link(label: str, params: Mapping[str, str], *, new_tab: bool = False) -> None:
    """A link to the page one is on, with other parameters. It loads the page anew: Streamlit's own link to the same page
    leaves the old parameters in the address bar. Relative, so that it holds under any base path."""
    address = escape(f"?{urlencode(params, safe=',')}")
    target = "_blank" if new_tab else "_self"
    st.html(f'<a class="go" href="{address}" target="{target}">{escape(label)}</a>')


def draw_banners(state: PageState, *, view: str | None = None) -> None:
    """What of the link was not taken as it stands, and what changed since an older catalog. Plain text, never markup.

    In a view without controls the present catalog is a link away, not a button.
    """
    if state.banners:
        st.warning(plain("\n".join(["This link was not taken as it stands:", *(f"- {b}" for b in state.banners)])))
    if state.said:
        st.warning(plain("\n\n".join(state.said)))
        state.said = []
    present = catalogs.load()
    if state.catalog_version == present.version:
        return
    changed = catalogs.difference(state.catalog, present)
    shown = [f"- {sentence}" for sentence in changed[:SHOWN_CHANGES]]
    if len(changed) > SHOWN_CHANGES:
        shown.append(f"- and {len(changed) - SHOWN_CHANGES} more")
    with st.container(border=True):
        st.info(
            plain(
                "\n".join(
                    [
                        f"These are the figures of catalog {state.catalog_version}, with which the link was made; "
                        f"the present one is {present.version}. What has changed since:",
                        *(shown or ["- nothing that is shown here"]),
                    ]
                )
            )
        )
        label = "Answer from the present catalog"
        if view is None:
            st.button(label, on_click=use_present_catalog, args=(state.kind,))
        else:
            params = links.to_params(state.scenario, catalog_version=present.version, view=view)
            same_page_link(label, {**params, **({"embed": "true"} if st.context.is_embedded else {})})


def folding(title: str, key: str, *, shown: str = "") -> Any:
    """A closed section that knows whether it is open (`.open`), and stays so when its title changes: Streamlit takes it
    for another one then, unless the session says how it was.

    `shown` stands in the title while the section is closed. An open one keeps its bare title: were it to follow its fields,
    the field somebody types into would be drawn anew under their hands.
    """
    is_open = st.session_state[key] = bool(st.session_state.get(key))
    return st.expander(f"{title}: {shown}" if shown and not is_open else title, key=key, on_change="rerun")


def plain(text: str) -> str:
    """Text that Markdown shows as it stands: the characters with a meaning are escaped, list dashes at line starts kept."""
    escaped = "".join(f"\\{c}" if c in r"\`*_{}[]<>()#+!|~$:" else c for c in text)
    return escaped


def page_address() -> str:
    """Address of this dashboard (scheme and host), for the links it shows."""
    parts = urlsplit(st.context.url or "http://localhost:8501")
    return f"{parts.scheme}://{parts.netloc}"
