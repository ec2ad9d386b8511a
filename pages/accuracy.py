"""Predicted against measured: how far off, for which model, where and in which engine; the worst by name; one's own runs."""

from html import escape

import streamlit as st

from sizing.accuracy import choices_of, chosen, quantities
from sizing.accuracy_view import AccuracyView
from ui.accuracy import FAMILIES, HOW, MOST_DRAWN, groups, own_cases, scatter, sentence, worst_table
from ui.draw import chart
from ui.frame import draw_banners, draw_frame, plain
from ui.state import open_page, settle_view, widget_key, write_address

draw_frame("Accuracy")
state = open_page("accuracy")
st.title("How accurate is it?")
draw_banners(state)


def key(name: str) -> str:
    return widget_key("accuracy", name)


family = st.segmented_control(
    "Kind of prediction",
    list(FAMILIES),
    key=key("family"),
    format_func=FAMILIES.get,
    required=True,
    label_visibility="collapsed",
)
known = {
    "quantity": quantities(family),
    **{
        name: choices_of(family, by)
        for name, by in (("models", "model"), ("hardware", "hardware"), ("engines", "engine"))
    },
}
if st.session_state.get(key("quantity")) not in known["quantity"]:
    st.session_state[key("quantity")] = known["quantity"][0] if known["quantity"] else None
for name in ("models", "hardware", "engines"):
    kept = [value for value in st.session_state.get(key(name), ()) if value in known[name]]
    if len(kept) < len(st.session_state.get(key(name), ())):
        st.session_state[key(name)] = kept
answer = st.container()
with st.container(horizontal=True, vertical_alignment="bottom"):
    quantity = st.selectbox("Quantity", known["quantity"], key=key("quantity"))
    models = st.multiselect("Models", known["models"], key=key("models"), placeholder="any")
    hardware = st.multiselect("Accelerators or CPUs", known["hardware"], key=key("hardware"), placeholder="any")
with st.container(horizontal=True, vertical_alignment="bottom"):
    engines = st.multiselect("Engines or runtimes", known["engines"], key=key("engines"), placeholder="any")
    search = st.text_input("Words that occur", key=key("search"), placeholder="for example batch 32")
    colour = st.selectbox("Colours by", ["engine", "hardware", "model"], key=key("colour"))
    held_only = st.checkbox("Only runs not seen by the fit", key=key("held_only"))
view = settle_view(
    state,
    {"family": family, "quantity": quantity, "models": tuple(models), "hardware": tuple(hardware), "engines": tuple(engines),
     "held_only": held_only, "colour": colour, "search": search[:100]},
)  # fmt: skip
assert isinstance(view, AccuracyView)
some = chosen(view)
answer.html(f'<p class="answer" role="status">{escape(sentence(view, some))}</p>')
own = own_cases()
if some:
    more = f" ({MOST_DRAWN:,} drawn or fewer, all counted)" if len(some) > MOST_DRAWN else ""
    chart(
        scatter(view, some, own),
        key="scatter",
        title=f"Predicted against measured{more}; dashed: 25 % off, dotted: 50 % off",
        alt="Predicted against measured figures on logarithmic axes with the diagonal",
    )
    groups(some)
    st.subheader("The worst, by name", anchor="worst")
    worst_table(some)
st.subheader("How it was calibrated", anchor="how")
st.caption(plain(HOW[view.family]))
st.caption(
    "What is not here was not measured: an interval then is that of what was never seen, and wider on the pages."
)
write_address(state)
