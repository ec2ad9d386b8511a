"""Predicted against measured: how far off, for which model, where and in which engine; the worst by name; one's own runs."""

from html import escape

import streamlit as st

from sizing.accuracy import FILTERS, chosen, counts, quantity_of, workable
from sizing.accuracy_points import book
from sizing.accuracy_view import MOST_NAMED, AccuracyView, Family
from sizing.scenario import choices
from ui.accuracy import FAMILIES, groups, how, sentence, worst_table
from ui.accuracy_chart import MOST_DRAWN, scatter
from ui.accuracy_own import own_cases
from ui.draw import chart
from ui.frame import draw_banners, draw_frame
from ui.state import open_page, settle_view, widget_key, write_address

COLOURS = {"engine": "engine or runtime", "hardware": "accelerator or CPU", "model": "model", "format": "format"}
LABELS = {"models": "Models", "hardware": "Accelerators or CPUs", "engines": "Engines or runtimes"}

draw_frame("Accuracy")
state = open_page("accuracy")
st.title("How accurate is it?")


def key(name: str) -> str:
    return widget_key("accuracy", name)


def show(family: Family, quantity: str) -> None:
    """Look at a family and quantity from the next run on (a button's callback)."""
    for name, value in AccuracyView(family=family, quantity=quantity).model_dump(exclude={"kind"}).items():
        st.session_state[key(name)] = list(value) if isinstance(value, tuple) else value


# What a link names that was not measured is said and left out; what a control still holds of another family goes quietly.
_, refused = workable(state.scenario)
state.banners += [str(error) for error in refused]
draw_banners(state)
family = st.segmented_control(
    "Kind of prediction", list(FAMILIES), key=key("family"), format_func=FAMILIES.get, required=True, label_visibility="collapsed"
)  # fmt: skip
held = {name: st.session_state.get(key(name)) for name in ("quantity", *LABELS)}
kept, _ = workable(
    AccuracyView(family=family, quantity=held["quantity"], **{name: tuple(held[name] or ()) for name in LABELS})
)
for name in held:
    usable = getattr(kept, name)
    st.session_state[key(name)] = list(usable) if isinstance(usable, tuple) else usable
answer = st.container()
with st.container(horizontal=True, vertical_alignment="bottom"):
    quantity = st.selectbox(
        "Quantity", list(counts(family, "quantity")), key=key("quantity"), format_func=lambda name: quantity_of(name).titled
    )  # fmt: skip
    picked = {}
    for name, by in FILTERS:
        if name == "engines":
            continue
        picked[name] = st.multiselect(
            LABELS[name], list(counts(family, by)), key=key(name), placeholder="any", format_func=book().name, max_selections=MOST_NAMED
        )  # fmt: skip
with st.container(horizontal=True, vertical_alignment="bottom"):
    picked["engines"] = st.multiselect(
        LABELS["engines"], list(counts(family, "engine")), key=key("engines"), placeholder="any", format_func=book().name, max_selections=MOST_NAMED
    )  # fmt: skip
    search = st.text_input("Words that occur", key=key("search"), placeholder="for example batch 32", max_chars=100)
    colour = st.selectbox("Colours by", choices(AccuracyView, "colour"), key=key("colour"), format_func=COLOURS.get)
    held_only = st.checkbox("Only runs not seen by the fit", key=key("held_only"))
view = settle_view(
    state,
    {"family": family, "quantity": quantity, "held_only": held_only, "colour": colour, "search": search[:100],
     **{name: tuple(values) for name, values in picked.items()}},
)  # fmt: skip
some = chosen(view)
answer.html(f'<p class="answer" role="status">{escape(sentence(view))}</p>')
picture = st.container()
if some:
    groups(view)
    st.subheader("The worst, by name", anchor="worst")
    worst_table(some)
st.subheader("How it was calibrated", anchor="how")
how(view)
own = own_cases(quantity, show)
if some:
    with picture:
        more = f" (about {MOST_DRAWN:,} drawn, all counted)" if len(some) > MOST_DRAWN else ""
        chart(
            scatter(quantity, some, colour, own),
            key="scatter",
            title=f"Predicted against measured: {quantity_of(quantity).titled}{more}",
            alt=f"Predicted against measured figures on logarithmic axes, with the diagonal and the lines of 25 and 50 % error. {sentence(view)}",
        )
        st.caption(
            "On the red line prediction and measurement agree; the dashed lines are 25 % off, the dotted ones 50 %. Each point is a measured run: "
            "hover over it for its name."
        )
write_address(state)
