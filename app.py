"""Landing page: three doors with an answer behind each, the worked examples as links, how to read an answer."""

import streamlit as st

from sizing import catalog as catalogs
from sizing import link as links
from sizing.scenario import SCENARIO_TYPES
from ui.examples import headline, worked_examples
from ui.frame import draw_frame, plain
from ui.open_file import draw_open_file

DOORS = (
    (
        "pages/statistical.py",
        "Statistical model",
        "Regression, trees, SVM, neighbours. Kilobytes to a few GB; microseconds to milliseconds of CPU a row. "
        "Ordinary servers; what counts is requests per second, workers and tail latency.",
        "exam-score-linear",
    ),
    (
        "pages/deep_learning.py",
        "Deep learning model",
        "Vision, speech, text encoders, one diffusion step. Megabytes to a few GB of weights; GFLOPs a sample. "
        "One small GPU, or a CPU; what counts is batch size, activations and the wait for a batch.",
        "resnet-50",
    ),
    (
        "pages/llm.py",
        "Large language model",
        "Text generated token by token. GBs to TBs of weights plus a KV cache that grows with every token. "
        "One to many large GPUs; what counts is memory, its bandwidth, and time to first and next token.",
        "llama-2-70b",
    ),
)

draw_frame("Start")
st.title("What hardware, how many, how fast, at what cost?")
st.caption(
    "Pick what you want to serve. Every page answers at once, follows each control, and its link carries all of it."
)
catalog = catalogs.load()
examples = worked_examples()
for column, (page, title, applies, example) in zip(st.columns(3), DOORS, strict=True):
    with column, st.container(border=True, height="stretch"):
        st.page_link(page, label=f"**{title}**", icon=":material/arrow_forward:")
        st.markdown(plain(applies))
        st.markdown(f"*For example:* {plain(headline(examples[example], catalog))}")

draw_open_file()

st.header("Worked examples", anchor="examples")
for name, scenario in sorted(examples.items(), key=lambda item: list(SCENARIO_TYPES).index(item[1].kind)):
    left, right = st.columns([1, 2.4])
    with left:
        st.page_link(
            f"pages/{scenario.kind}.py",
            label=plain(scenario.name or name),
            icon=":material/open_in_new:",
            query_params=links.to_params(scenario, catalog_version=catalog.version),
        )
    right.markdown(plain(headline(scenario, catalog)))

st.header("How to read an answer", anchor="reading")
st.markdown(
    """
- **The sentence** says what to rent and what it costs. Below it, one line for each limit: the limit, the predicted
  percentile, its 80 % interval, the margin, and pass or fail. *Estimated* means a formula with stated constants;
  *calibrated* means fitted on measurements; *measured* means just that.
- **Binding** names the one thing that sets the count: relax that first.
- **Capacity** is what the machines could serve within your limits and your utilization cap; the demanded load is less.
- **Prices** carry the day and source of their list. A price older than 90 days, derived, or from a secondary source is
  marked. A month is 730 hours.
- **GB** is 10⁹ bytes, **GiB** is 2³⁰ bytes. An empty cell means not known or not applicable, never 0.
- **The link** in the address bar holds every input and the version of the catalogs: whoever opens it sees these figures.
"""
)
