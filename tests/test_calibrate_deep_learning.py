"""The calibration of the speed of networks: its derivatives, that it finds constants back, that parts are held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.calibrate_deep_learning import held_back, intervals, report, write_constants
from benchmarks.deep_learning_fit import Model, load_runs
from sizing.deep_learning import rates

TIMM = "id,model,accelerator,precision,framework,img_size,batch_size,samples_per_sec,param_count_m,gmacs,macts\n"
CURVES = (
    "id,model,accelerator,runtime,precision,section,batch,seq_len,resolution,concurrency,latency_ms,samples_per_s\n"
)
NETWORKS = ("resnet18", "resnet50", "vit_small_patch16_224", "convnext_tiny", "mobilenetv3_large_100", "efficientnet_b0", "vgg16",
            "swin_tiny_patch4_window7_224", "densenet121", "regnety_016")  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Ten networks on two GPUs, eager and compiled, and two curves, one through a server under clients; one row is skipped."""
    folder: Path = tmp_path_factory.mktemp("measured")
    rows = [
        f"t{i},{name},{part},amp,PyTorch nchw {how},224,256,1000,,,"
        for i, (name, part, how) in enumerate(
            (n, p, h) for n in NETWORKS for p in ("rtx-3090", "rtx-4090") for h in ("eager/ts", "torch.compile(dynamo)")
        )
    ]
    (folder / "deep_learning_throughput.csv").write_text(TIMM + "\n".join(rows) + "\n")
    curves = [f"c{b},RN50v1.5,t4,MXNet,FP16,,{b},,,,10,1" for b in (1, 2, 4, 8, 16, 32)]
    curves += [f"d{c},TFT/triton,a30,Triton/PyTorch,FP16,,16,,,{c},10,1" for c in (1, 8, 16, 32, 64)]
    (folder / "deep_learning_batch_curves.csv").write_text(
        CURVES + "\n".join([*curves, "x,GNMT,t4,MXNet,FP16,,1,,,,1,1"]) + "\n"
    )
    runs, skipped = load_runs(folder)
    assert dict(skipped) == {"no operator graph of GNMT": 1}
    return Model(runs)


def test_derivatives_are_those_of_the_errors(model: Model) -> None:
    x = model.centre + np.random.default_rng(1).normal(0.0, 0.1, len(model.centre))
    jac = model.jacobian(model.quantities(x))
    for place in range(0, len(x), 5):
        moved = x.copy()
        moved[place] += 1e-4
        assert jac[:, place] == pytest.approx((model.errors(moved) - model.errors(x)) / model.sigma / 1e-4, abs=2e-3)


def test_constants_are_found_back(model: Model) -> None:
    """Figures made with known constants: the fit predicts them within 2 %."""
    true = model.centre + np.random.default_rng(2).normal(0.0, 0.3, len(model.centre)) * model.spread
    own = model
    kept = own.measured.copy()
    own.measured = own.logs(own.quantities(true))
    x, spread = own.fit()
    off = own.errors(x)
    own.measured = kept
    assert np.median(np.abs(off)) < 0.02
    assert (spread <= own.spread * 1.01).all()


def test_what_is_held_out_says_nothing_about_itself(model: Model) -> None:
    """Moving the measurements of a part by a factor moves its held-out errors by that factor and nothing else."""
    part = np.array([run.part.id == "rtx-3090" for run in model.runs])
    group = lambda run: 2 * int(run.part.id == "rtx-3090") - 1  # noqa: E731
    first = model.held_out(group, model.centre, steps=2)
    model.measured[part] += 0.5
    second = model.held_out(group, model.centre, steps=2)
    model.measured[part] -= 0.5
    assert second[part] == pytest.approx(first[part] - 0.5)
    assert np.isnan(first[~part]).all()


def test_the_file_and_the_report_are_written(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, spread = model.fit(steps=2)
    held = held_back(model, x)
    stated = intervals(model, held)
    file = tmp_path / "speed.yaml"
    write_constants(model, x, spread, stated, "a test", file)
    monkeypatch.setattr(rates, "FILE", file)
    rates.constants.cache_clear()
    try:
        read = rates.constants()
    finally:
        rates.constants.cache_clear()
    for term, place in model.places.items():
        assert read.log(term) == pytest.approx(x[place], abs=2e-3)
    assert {"rtx-3090", "rtx-4090", "t4", "a30"} == set().union(*read.gpus.values())
    runtimes = {run.runtime for run in model.runs}
    assert runtimes == set(read.gpus) == set(read.architectures)
    said = report(model, x, held, stated, {"no graph": 3})
    assert "| timm tables, held back by network | 40 |" in said
    assert "- 3 rows: no graph" in said
