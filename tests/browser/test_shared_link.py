"""Rule 6: the link is the scenario. Every control lives in it; it opens the same figures anywhere, first request included."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page
from screen import (
    DESKTOP,
    PAGES,
    SIZING_PAGES,
    answer,
    assert_answers_its_link,
    assert_whole,
    choose,
    control_values,
    field,
    figures,
    metric,
    open_sections,
    redraw,
    switch,
    type_number,
    type_numbers,
    type_text,
)

from benchmarks.dashboard import ROOT, serve, settle
from sizing import catalog as catalogs
from sizing import link as links
from sizing.catalog import load
from sizing.scenario import scenario_from_yaml
from sizing.units import format_usd
from ui.inputs import LABELS, words

OpenPage = Callable[..., Page]
Change = tuple[Callable[..., None], tuple[object, ...], str, str]
"""How a control is changed, its label and new value, and the field and text that the link must then have."""


def _numbers(**values: float) -> list[Change]:
    return [(type_number, (LABELS[name], value), name, str(value)) for name, value in values.items()]


BUDGET: list[Change] = [
    (choose, ("Region", "Europe"), "region", "eu"),
    (choose, ("Price basis", "Spot"), "price_basis", "spot"),
    *_numbers(max_usd_per_month=900000.5),
    (choose, ("Load over the week", "Office hours of one country"), "load_shape", "office_hours"),
    *_numbers(min_replicas=2, headroom_percent=15.5, start_minutes=4.5, three_year_most_percent=25.5),
    *_numbers(spot_most_percent=40.5, spot_interruptions_per_month=0.3, owned_usd_per_server=9000.5, owned_years=3.5),
    *_numbers(owned_watts_per_server=700.5, colocation_usd_per_server_month=80.5, people_usd_per_year=5000.5),
    *_numbers(usd_per_kwh=0.2, pue=1.4),
    *_numbers(discount_percent=12.5, currency_per_usd=0.92, api_usd_per_1k_requests=0.75),
    (type_text, ("Currency shown beside USD", "EUR"), "currency", "EUR"),
    *_numbers(power_share_of_tdp=0.55, grid_g_co2_per_kwh=120.5),
]
SOME_OF_THE_BUDGET = [step for step in BUDGET if step[2] in ("region", "min_replicas", "discount_percent")]
"""Of the controls that all pages share; the others are typed on one page here, and on all in tests/ui/test_address.py."""
WORDS: list[Change] = [
    (type_text, ("Title", "Café & co: 100 % = all? #1"), "name", "Café & co: 100 % = all? #1"),
]
CHANGES: dict[str, list[Change]] = {
    "llm": [
        (choose, ("Model", "Llama-3.2-3B"), "model", "llama-3.2-3b"),
        (choose, ("Weight format", "bf16"), "weight_format", "bf16"),
        *_numbers(requests_per_s=3.25),
        (switch, ("Users",), "requests_per_s", ""),
        *_numbers(concurrency=8, prompt_tokens=800, output_tokens=200, ttft_target_ms=15000.5, tpot_target_ms=600.5),
        (choose, ("KV cache format", "fp16"), "kv_format", "fp16"),
        (choose, ("Runtime", "SGLang"), "runtime", "sglang"),
        (choose, ("Limits hold at percentile", "99"), "slo_percentile", "99"),
        *_numbers(utilization_cap=0.6, tensor_parallel=2, pipeline_parallel=1, max_accelerators_per_replica=8),
        *_numbers(batch=64, gpu_memory_utilization=0.85, max_batched_tokens=4096, think_time_s=5.5, spare_replicas=1),
        (type_text, ("Engine version", "0.5"), "engine_version", "0.5"),
        *_numbers(max_sequences=96, lora_adapters=2, lora_rank=24, prefix_cache_tokens=3000, attention_data_parallel=2),
        (choose, ("Draft model", "Llama-3.2-1B"), "draft_model", "llama-3.2-1b"),
        *_numbers(drafted_tokens=2, draft_acceptance=0.6, shared_prefix_tokens=100, turns_per_conversation=2.5),
        *_numbers(history_kept_share=0.9, seconds_between_turns=12.5, kv_offload_gib=8.5, arrival_squared_cv=1.5),
        *_numbers(prompt_cv=0.4, output_cv=0.3, checkpoint_bytes=6500000000),
        *BUDGET,
        *_numbers(api_usd_per_million_input_tokens=0.25, api_usd_per_million_output_tokens=0.8),
        *_numbers(api_usd_per_million_cached_tokens=0.05),
        *WORDS,
    ],
    "deep_learning": [
        (choose, ("Model", "whisper-small, 30 s of speech to text (transformers)"), "model", "whisper-small-speech-to-text"),
        *_numbers(output_tokens=50),
        (choose, ("Model", "Stable Diffusion 1.5, whole pipeline (diffusers)"), "model", "stable-diffusion-v1-5"),
        *_numbers(steps=20),
        (choose, ("Model", "resnet18 (timm)"), "model", "timm-resnet18-224"),
        (type_number, ("Input size (pixels a side)", 256), "input_size", "256"),
        (choose, ("Precision", "fp32"), "precision", "fp32"),
        *_numbers(batch=4),
        (choose, ("Runtime", "PyTorch eager"), "runtime", "pytorch_eager"),
        *_numbers(requests_per_s=40.5),
        (switch, ("Users",), "requests_per_s", ""),
        *_numbers(concurrency=8, latency_target_ms=900.5),
        (choose, ("Attention", "math"), "attention", "math"),
        (choose, ("Runtime", "ONNX Runtime"), "runtime", "onnxruntime"),
        (choose, ("Arena of ONNX Runtime", "as requested"), "ort_arena", "same_as_requested"),
        (choose, ("Limits hold at percentile", "99"), "slo_percentile", "99"),
        *_numbers(utilization_cap=0.6, cpu_ms_per_request=1.5, think_time_s=0.5, spare_replicas=1),
        *_numbers(queue_delay_ms=2.5, model_instances_per_gpu=2, reserved_gib=1.5, reserved_share=0.25, request_kib=80.5),
        (choose, ("Share of a GPU", "Half of the time"), "gpu_share", "time_slice_2"),
        (choose, ("Machines", "With GPUs only"), "compute", "gpu"),
        *SOME_OF_THE_BUDGET,
        *WORDS,
    ],
    "statistical": [
        (choose, ("Model family", "Multilayer perceptron"), "family", "mlp"),
        (type_text, ("Hidden layers (widths)", "32, 16"), "hidden_layers", "32,16"),
        (choose, ("Model family", "k-means"), "family", "k-means"),
        *_numbers(clusters=5),
        (choose, ("Model family", "Support vector machine (RBF kernel)"), "family", "svm-rbf"),
        *_numbers(support_vectors=700),
        (choose, ("Model family", "k nearest neighbours, k-d tree"), "family", "k-nearest-neighbours-kdtree"),
        *_numbers(training_rows=5000),
        (choose, ("Model family", "Gradient boosting (LightGBM)"), "family", "gradient-boosting-lightgbm"),
        (choose, ("Runtime", "Booster call"), "runtime", "booster"),
        *_numbers(trees=60, depth=5, leaves=20, features=30, outputs=2, requests_per_s=50.5),
        (switch, ("Users",), "requests_per_s", ""),
        *_numbers(concurrency=8, p99_target_ms=450.5, rows_per_request=2, p50_target_ms=250.5, p95_target_ms=350.5),
        *_numbers(utilization_cap=0.6, think_time_s=0.5, workers_per_instance=2, http_overhead_ms=0.9),
        *_numbers(service_cv=0.4, spare_replicas=1, safety_factor=0.45, peak_requests_per_s=900.5),
        (choose, ("Format of requests and replies", "CSV"), "payload_format", "csv"),
        *_numbers(request_kib=1.5, reply_kib=0.5),
        (choose, ("Worker model", "Event loops (async)"), "worker_model", "async"),
        *_numbers(threads_per_worker=2, cpu_limit_vcpus=2.5),
        (switch, ("Requests/s",), "concurrency", ""),
        *_numbers(micro_batch_rows=8, micro_batch_delay_ms=1.5),
        *SOME_OF_THE_BUDGET,
        *WORDS,
    ],
    "catalogs": [
        (switch, ("Instances and prices",), "table", "instances"),
        (type_text, ("Search in all columns", "a100 80"), "search", "a100 80"),
        (choose, ("Trust", "cross checked"), "trust", "cross_checked"),
        (choose, ("Clouds", "AWS"), "providers", "aws"),
        (lambda page: redraw(page, lambda: page.get_by_text("Only old, derived or doubtful").click()), (), "marked_only", "True"),
    ],
}  # fmt: skip


def _narrow_to_the_chosen_hardware(page: Page) -> set[str]:
    """Pick the recommended accelerator, cloud and instance in their lists, so that the answer stays."""
    best = assert_answers_its_link(page).recommended
    assert best is not None
    if best.accelerator is not None:
        choose(page, "Accelerators", load().accelerator(best.accelerator).name)  # without the share of it
        assert field(page, "accelerators") == best.accelerator
    choose(page, "Clouds", words(best.provider))
    assert field(page, "providers") == best.provider
    choose(page, "Instances", f"{best.instance_type} ({words(best.provider)})")
    assert field(page, "instances") == best.instance
    return {"accelerators", "providers", "instances"}


def _price_the_chosen_instance(page: Page) -> None:
    """Enter a price of one's own for the recommended instance, below its present one, so that the answer stays."""
    best = assert_answers_its_link(page).recommended
    assert best is not None
    box = page.get_by_role("combobox", name="Add a price of your own for", exact=True)
    box.click()
    box.press_sequentially(f"{best.instance_type} ({words(best.provider)})")
    redraw(page, lambda: page.get_by_role("option").first.click())
    type_number(page, "Your price (USD per hour)", 0.0125)
    redraw(page, lambda: page.get_by_role("button", name="Add this price").click())
    assert field(page, "own_prices") == f"{best.instance}~on_demand~0.0125"


@pytest.mark.parametrize("name", CHANGES)
def test_every_control_lives_in_the_link(open_page: OpenPage, browser: Browser, dashboard: str, name: str) -> None:
    page = open_page(f"{dashboard}/{name}")
    open_sections(page)
    changed = set()
    for change, together in groupby(CHANGES[name], key=lambda entry: entry[0]):
        steps = list(together)
        at_once = [steps] if change is type_number else [[step] for step in steps]
        for inputs in at_once:
            before = parse_qs(urlsplit(page.url).query, keep_blank_values=True)
            if len(inputs) > 1:  # as fast as they can be typed
                type_numbers(page, dict(arguments for _, arguments, _, _ in inputs))
            else:
                change(page, *inputs[0][1])
            for _, _, parameter, text in inputs:
                assert before.get(parameter) != [text], parameter
                assert field(page, parameter) == text
                changed.add(parameter)
    if name != "catalogs":
        changed |= _narrow_to_the_chosen_hardware(page)
        type_text(page, "Notes", "Two lines:\nthe second, with 100 % & <i>no</i> markup", area=True)
        assert field(page, "notes").startswith("Two lines:\nthe second")
        changed.add("notes")
        _price_the_chosen_instance(page)
        changed.add("own_prices")
        assert_answers_its_link(page)
    if name in ("deep_learning", "statistical"):
        changed |= {parameter for _, _, parameter, _ in BUDGET}
    # Uploads: test_own_model.py, test_measured_upload.py, test_own_network_page.py, test_own_results_page.py.
    elsewhere = {
        "kind",
        "custom_config",
        "custom_network",
        "custom_model",
        "expert_parallel",
        "measured_curve",
        "measured_service",
        "scale_with_load",
        "load_table",
        "terms",
        "measured_serving",
    }
    assert (
        changed | {"accelerators", "concurrency", "requests_per_s"}
        >= set(links.LINK_TYPES[name].model_fields) - elsewhere
    )
    assert len(page.url) < 2_000
    assert_whole(page)
    open_link, shown, controls = page.url, figures(page), control_values(page)

    with serve() as fresh:  # its very first request is the link of a sub-page
        there = open_page(open_link.replace(dashboard, fresh.address))
        open_sections(there)
        assert figures(there) == shown
        assert control_values(there) == controls
        there.reload()
        settle(there)
        open_sections(there)
        assert figures(there) == shown


def test_back_reload_and_page_switch_keep_the_scenario(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(f"{dashboard}/llm")
    type_number(page, "Requests per second", 17)
    first, first_link = figures(page), page.url
    switch(page, "Users")
    type_number(page, "Concurrent users", 77)
    second, second_link = figures(page), page.url

    page.get_by_role("link", name="Deep learning", exact=True).first.click()
    page.wait_for_url("**/deep_learning?*")
    settle(page)
    page.get_by_role("link", name="LLM", exact=True).first.click()
    page.wait_for_url("**/llm?*")
    settle(page)
    assert page.url == second_link
    assert figures(page) == second

    page.goto(first_link)
    settle(page)
    type_number(page, "Requests per second", 170)
    redraw(page, page.go_back)
    assert page.url == first_link
    assert figures(page) == first
    page.reload()
    settle(page)
    assert figures(page) == first


@pytest.mark.parametrize("name", PAGES)
def test_copy_link_is_always_in_sight_and_copies_what_is_seen(pages: dict[str, Page], name: str) -> None:
    page = pages[name]
    page.bring_to_front()
    main = page.get_by_test_id("stMain")
    main.evaluate("e => e.scrollTo(0, e.scrollHeight)")
    page.wait_for_timeout(300)
    button = page.locator("#copy-link")
    box = button.bounding_box()
    assert box is not None
    assert 0 <= box["y"] <= DESKTOP["height"] - box["height"]
    page.evaluate("navigator.clipboard.writeText('nothing yet')")
    button.click()
    page.get_by_role("button", name="Link copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    main.evaluate("e => e.scrollTo(0, 0)")


@pytest.mark.parametrize("name", ["llm", "catalogs"])
def test_embedded_page_answers_and_keeps_its_link(open_page: OpenPage, dashboard: str, name: str) -> None:
    page = open_page(f"{dashboard}/{name}?embed=true&embed_options=dark_theme")
    assert "embed=true" in page.url
    assert field(page, "v") == "1"
    assert_whole(page)
    assert page.get_by_test_id("stAlert").count() == 0
    if name == "llm":
        type_number(page, "Requests per second", 9)
        assert "embed=true" in page.url
        assert field(page, "requests_per_s") == "9.0"
        assert page.locator(".met").first.evaluate("e => getComputedStyle(e).color") == "rgb(76, 209, 163)"


def _command_line(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sizing", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_command_line_and_its_link_on_a_fresh_process_agree(open_page: OpenPage, browser: Browser) -> None:
    example = "examples/llama-2-70b.yaml"
    printed = json.loads(_command_line("plan", example, "--json"))
    with serve() as fresh:
        page = open_page(_command_line("link", example, "--base", fresh.address))
        best, cost = printed["recommended"], printed["recommended"]["cost"]
        assert answer(page) == printed["headline"]
        assert metric(page, "Machines") == f"{best['instances']} × {best['instance_type']}"
        assert metric(page, "Cost per hour") == format_usd(cost["usd_per_hour"])
        assert metric(page, "Cost per month") == format_usd(cost["usd_per_month"])
        assert metric(page, "Per million tokens") == format_usd(cost["usd_per_million_output_tokens"])
        seen = assert_answers_its_link(page).as_json()
    del seen["search"]["seconds"], printed["search"]["seconds"]
    assert seen == printed


@pytest.mark.parametrize("name", SIZING_PAGES)
def test_downloads_are_the_plan_on_screen(open_page: OpenPage, dashboard: str, tmp_path: Path, name: str) -> None:
    page = open_page(f"{dashboard}/{name}")
    type_number(page, "Requests per second", 23)
    plan = assert_answers_its_link(page)
    saved = {}
    for label, ending in (("Ranking (CSV)", "csv"), ("Scenario (YAML)", "yaml"), ("Plan (JSON)", "json")):
        with page.expect_download() as download:
            page.get_by_role("button", name=label).click()
        assert download.value.suggested_filename.endswith(f".{ending}")
        saved[ending] = tmp_path / f"scenario.{ending}"
        download.value.save_as(saved[ending])

    with saved["csv"].open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == plan.search.candidates
    assert sum(row["status"] == "meets" for row in table) == len(plan.ranked)
    best = plan.recommended
    assert best is not None
    assert table[0]["instance"] == best.instance_type
    assert float(table[0]["usd_per_month"]) == best.cost.usd_per_month

    expected = plan.as_json()
    assert scenario_from_yaml(saved["yaml"].read_text(encoding="utf-8")) == plan.scenario
    from_screen = json.loads(saved["json"].read_text(encoding="utf-8"))
    from_command = json.loads(_command_line("plan", str(saved["yaml"]), "--json"))
    for found in (expected, from_screen, from_command):
        del found["search"]["seconds"]
    assert from_screen == expected
    assert from_command == expected
    assert_whole(page)


def test_catalog_table_downloads(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(f"{dashboard}/catalogs")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV", exact=True).click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("id,name,")
    assert len(lines) == len(catalogs.load().accelerators) + 1
