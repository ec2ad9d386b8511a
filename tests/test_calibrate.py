"""The calibration itself: its derivatives, that it finds constants back, that folds hold out what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.calibrate import checked_words, constants_of, figures_of, intervals_of
from benchmarks.speed_fit import Measured, Model, folds, keep_where, load_measured
from sizing.llm.constants import UNITS, rates, stated

SERVING = "id,engine,engine_version,model,accelerator,weight_format,tp,pp,attention_dp,moe_tp,moe_ep,isl,osl,concurrency,ttft_ms,tpot_ms,source"
THROUGHPUT = "id,engine,engine_version,model,accelerator,accelerator_count,tp,pp,ep,weight_format,kv_format,isl,osl,concurrency,metric,value,source"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Runs of two engines on two families, with a repeated row and one that cannot be predicted."""
    folder: Path = tmp_path_factory.mktemp("measured")
    rows = [
        f"s{k},{engine},,{model},{part},{form},{tp},1,1,1,1,{isl},{osl},{n},100,10,x"
        for k, (engine, model, part, form, tp, isl, osl, n) in enumerate(
            (e, m, p, f, t, i, o, n)
            for e in ("vllm", "sglang")
            for m, p, f in (("llama-3.1-8b", "h100-sxm-80gb", "bf16"), ("minimax-m2.5", "b200-sxm-180gb", "fp8"))
            for t in (2, 4)
            for i, o in ((1024, 1024), (8192, 512))
            for n in (1, 8, 64)
        )
    ]
    repeated = rows[0].replace("s0,", "again,")
    unknown = rows[0].replace("llama-3.1-8b", "no-such-model").replace("s0,", "odd,")
    (folder / "llm_serving.csv").write_text("\n".join([SERVING, *rows, repeated, unknown]) + "\n")
    line = "t{},tensorrt-llm,1.0,llama-3.1-70b,h100-sxm-80gb,4,4,1,,fp8,fp8,{},{},max,output_tokens_per_s,5000,x"
    lines = [line.format(k, i, o) for k, (i, o) in enumerate(((128, 128), (128, 2048), (2048, 128)))]
    (folder / "llm_throughput.csv").write_text("\n".join([THROUGHPUT, *lines]) + "\n")
    return load_measured(folder)


def test_copies_and_what_cannot_be_predicted_are_counted(data: Measured) -> None:
    assert len(data.runs) == 48 + 3
    assert data.copies == 1
    assert list(data.skipped.values()) == [1]


def test_derivatives_are_those_of_the_residuals(data: Measured) -> None:
    model = Model(data)
    keep = keep_where(data, lambda i, run: i % 3 > 0)
    x = model.centre + np.random.default_rng(1).normal(0.0, 0.1, len(model.centre))
    jac, base = model.jacobian(x, keep), model.residuals(x, keep)
    for place in range(0, len(x), 7):
        moved = x.copy()
        moved[place] += 1e-5
        assert jac[:, place] == pytest.approx((model.residuals(moved, keep) - base) / 1e-5, abs=1e-4)


def test_constants_are_found_back(data: Measured) -> None:
    """Figures made with known constants: the fit predicts them within 1 % and moves towards what made them."""
    model = Model(data)
    truth = model.centre.copy()
    for engine, name, by in (("vllm", "layer_us", 0.6), ("vllm", "memory", -0.5), ("sglang", "prefill_fixed_ms", 0.8)):
        truth[model.layout.places[engine, "", name]] += by
    for quantity, figure in model.predict(truth).items():
        data.values[quantity][:] = figure
    x, errors = model.fit(keep_where(data, lambda i, run: True))
    found = model.predict(x)
    for quantity, figure in model.predict(truth).items():
        assert np.median(np.abs(found[quantity] / figure - 1.0)) < 0.01
    at = model.layout.places["vllm", "", "layer_us"]
    assert abs(x[at] - truth[at]) < abs(model.centre[at] - truth[at])
    assert (errors > 0).all()


@pytest.mark.parametrize(("by", "count"), [("rows", 5), ("model", 3), ("accelerator", 2)])
def test_each_run_is_held_out_once(data: Measured, by: str, count: int) -> None:
    parts = folds(data, by)
    assert len(parts) == count
    assert (np.sum([out for _, out in parts], axis=0) == 1).all()
    if by != "rows":
        for name, out in parts:
            assert {getattr(run, by) for run, is_out in zip(data.runs, out, strict=True) if is_out} == {name}


def test_b200_and_gb200_go_together() -> None:
    class Run:
        def __init__(self, accelerator: str) -> None:
            self.accelerator = accelerator

    class Runs:
        runs = (Run("b200-sxm-180gb"), Run("gb200-186gb"), Run("h100-sxm-80gb"))

    parts = dict(folds(Runs(), "accelerator"))  # type: ignore[arg-type]
    assert parts["b200-sxm-180gb"].tolist() == [True, True, False]


def test_what_is_written_is_what_the_product_reads(data: Measured) -> None:
    model = Model(data)
    x, errors = model.fit(keep_where(data, lambda i, run: True))
    predicted = model.predict(x)
    figures = figures_of(data, predicted, dict.fromkeys(("rows", "model", "accelerator"), predicted))
    content = constants_of(model, x, errors, intervals_of(data, figures), checked_words(figures))
    shipped = stated()
    assert content.keys() == shipped.keys()
    for engine, row in content["engines"].items():
        assert row.keys() == shipped["engines"][engine].keys()
        assert row["constants"].keys() == UNITS.keys()
        for constant in row["constants"].values():
            assert constant["low"] <= constant["value"] <= constant["high"]
    assert content["engines"]["vllm"]["measured"]["models"] == ["llama-3.1-8b", "minimax-m2.5"]


def test_every_generation_that_a_version_names_has_constants() -> None:
    for engine in stated()["engines"]:
        centre, slow, fast = rates(engine)
        assert fast.scale < centre.scale < slow.scale
