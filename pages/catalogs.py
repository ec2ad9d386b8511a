"""The facts that every answer rests on: search, filter, sort, with unit, source, date and trust of each figure."""

from datetime import date

import pandas as pd
import streamlit as st

from sizing.catalog_view import CatalogView, column_name, columns, rows
from sizing.scenario import choices
from ui.frame import draw_banners, draw_frame, plain
from ui.inputs import words
from ui.state import open_page, settle_view, widget_key, write_address

TABLES = {
    "accelerators": "Accelerators",
    "instances": "Instances and prices",
    "llm_models": "Language models",
    "deep_learning_models": "Deep learning models",
    "statistical_families": "Statistical families",
    "serverless": "Serverless",
    "statistical_steps": "Preprocessing steps",
    "api_prices": "API prices",
}

draw_frame("Catalogs")
state = open_page("catalogs")
st.title("Catalogs")
draw_banners(state)


def key(name: str) -> str:
    return widget_key("catalogs", name)


table = st.segmented_control(
    "Table", list(TABLES), key=key("table"), format_func=TABLES.get, required=True, label_visibility="collapsed"
)
with st.container(horizontal=True, vertical_alignment="bottom"):
    search = st.text_input("Search in all columns", key=key("search"), placeholder="for example h100 or llama")
    trust = st.multiselect(
        "Trust",
        choices(CatalogView, "trust"),
        key=key("trust"),
        placeholder="any",
        format_func=lambda w: w.replace("_", " "),
    )
    providers = st.multiselect(
        "Clouds", choices(CatalogView, "providers"), key=key("providers"), placeholder="any", format_func=words
    )
    marked = st.checkbox("Only old, derived or doubtful", key=key("marked_only"))
view = settle_view(
    state, {"table": table, "search": search[:100], "trust": trust, "providers": providers, "marked_only": marked}
)
today = date.today()
found = rows(state.catalog, view, on=today)
stale = sum(bool(row.get("marks")) for row in found)
note = f"; {stale} prices are old, derived, undated or from a secondary source" if view.table == "instances" else ""
st.caption(plain(f"{len(found)} rows of catalog {state.catalog.version}{note}. Blank means not known, never 0."))
if found:
    shown = columns(found)
    frame = pd.DataFrame([{column_name(name): row.get(name) for name in shown} for row in found])
    st.dataframe(frame, hide_index=True, height=460, alt=f"{TABLES[view.table]}: {len(found)} rows")
    st.download_button(
        "Download as CSV",
        frame.to_csv(index=False),
        f"{view.table}-{state.catalog.version}.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
    about = state.catalog.headers.get(view.table, {})
    with st.expander("Units, trust and sources of this table"):
        for title in ("about", "units", "trust_rule", "sources"):
            value = about.get(title)
            if isinstance(value, dict):
                value = [f"{name}: {text}" for name, text in value.items()]
            for line in [value] if isinstance(value, str) else value or []:
                st.markdown(f"- {plain(str(line))}")
else:
    st.info("No row matches. Take a word out of the search, or a filter away.")
write_address(state)
