"""A model of one's own in a real browser: pasted or uploaded, it travels in the link; what would save memory is one click."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from playwright.sync_api import Page, expect
from screen import (
    PHONE,
    answer,
    assert_answers_its_link,
    assert_whole,
    field,
    figures,
    open_sections,
    redraw,
    type_text,
)

from benchmarks.dashboard import serve
from sizing import link as links

OpenPage = Callable[..., Page]
PASTE = "Or paste a config.json"
CONFIG = json.dumps(
    {
        "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": 24,
        "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 6144,
        "moe_intermediate_size": 768, "num_experts": 64, "num_experts_per_tok": 8, "decoder_sparse_step": 1,
        "mlp_only_layers": [], "vocab_size": 151936, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
        "max_position_embeddings": 40960, "sliding_window": None,
    },
    indent=2,
)  # fmt: skip


def section(page: Page, title: str) -> None:
    """Open one section among the controls."""
    redraw(page, page.locator(".st-key-inputs summary").filter(has_text=title).click)


def test_pasted_model_answers_and_its_link_opens_the_same_figures(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(f"{dashboard}/llm")
    good = answer(page)
    section(page, "Your own model")
    type_text(page, PASTE, '{"model_type": "nobodys"}', area=True)
    told = page.locator(".st-key-inputs").get_by_text("model_type: ")
    expect(told).to_be_visible()
    assert answer(page) == good
    type_text(page, PASTE, CONFIG, area=True)
    expect(told).to_have_count(0)
    assert answer(page) != good
    plan = assert_answers_its_link(page)
    assert plan.scenario.custom_config is not None
    assert len(page.url) < 2_000
    parameters = page.locator(".st-key-inputs table.slo").get_by_text(re.compile(r"^[\d,]{13,}$")).first
    assert parameters.is_visible()
    page.locator(".st-key-inputs summary").filter(has_text="Your own model").click()
    page.wait_for_timeout(500)
    shown = figures(page)
    with serve() as fresh:
        there = open_page(page.url.replace(dashboard, fresh.address))
        assert answer(there) == answer(page)
        assert figures(there) == shown
        assert there.get_by_test_id("stAlert").count() == 0
        assert_whole(there)


def test_uploaded_model_is_applied_once_and_left_again(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(f"{dashboard}/llm")
    good = answer(page)
    section(page, "Your own model")
    box = page.locator(".st-key-inputs input[type=file]")
    box.set_input_files({"name": "weights.gguf", "mimeType": "application/octet-stream", "buffer": b"no such file"})
    expect(page.locator(".st-key-inputs").get_by_text(re.compile("^file: "))).to_be_visible()
    assert answer(page) == good
    box = page.locator(".st-key-inputs input[type=file]")
    box.set_input_files({"name": "config.json", "mimeType": "application/json", "buffer": CONFIG.encode()})
    page.wait_for_url("**model=custom**")
    back = page.get_by_role("button", name="Use the catalog model")
    expect(back).to_be_visible()
    assert_answers_its_link(page)
    redraw(page, back.click)
    assert answer(page) == good
    assert (field(page, "model"), field(page, "custom_config")) == ("llama-3.1-8b", "")
    assert_whole(page)


def test_what_would_save_memory_is_one_click(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(f"{dashboard}/llm")
    before = page.url
    redraw(page, page.get_by_role("button", name="Weights in fp8", exact=True).click)
    assert page.url != before
    assert field(page, "weight_format") == "fp8"
    assert_answers_its_link(page)
    page.go_back()
    page.wait_for_url(lambda url: "weight_format=native" in url)


def test_map_reads_without_colour_and_fits_a_phone(open_page: OpenPage, dashboard: str) -> None:
    link = links.from_params([("model", "llama-2-70b-hf")], kind="llm").scenario
    page = open_page(links.to_link(link, catalog_version=_version(), base=dashboard), viewport=PHONE)
    cells = page.locator("table.map").first.locator("td")
    assert cells.count() == 12 * 5
    words = re.compile(r"^(✓ fits with room|! fits tight|✗ does not fit)")
    assert all(words.match(text) for text in cells.all_inner_texts())
    assert len({text[0] for text in cells.all_inner_texts()}) >= 2
    assert page.locator("table.map td.here").count() == 1
    assert page.locator(".scroll:has(table.map)").first.evaluate("e => e.scrollWidth > e.clientWidth")
    open_sections(page)
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth") <= PHONE["width"]
    assert page.locator(".js-plotly-plot").count() <= 3


def test_closed_tables_open_with_their_figures(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(f"{dashboard}/llm")
    for title, said in (
        ("Exact parts of one", "in all"),
        ("more accelerators", "Instinct"),
        ("largest batch by context", "context at batch 8"),
        ("moved between its versions", "activations"),
    ):
        details = page.locator("details").filter(has=page.locator("summary", has_text=title))
        redraw(page, details.locator("summary").click)
        expect(details.locator("table")).to_contain_text(said)
    assert_whole(page)


def _version() -> str:
    from sizing import catalog as catalogs

    return catalogs.load().version
