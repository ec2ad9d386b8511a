"""How right `inspect` is on ONNX files that torch exports: ONNX_INSPECT.md from the files and the truth of `onnx_truth.py`.

    python benchmarks/onnx_truth.py FOLDER                            where torch is; writes files and truth
    python -m benchmarks.onnx_inspect FOLDER                          here; writes benchmarks/ONNX_INSPECT.md

A second table says what fusion and work in place change, against the catalog's traces of eager PyTorch by storage lifetime.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from sizing.catalog import load
from sizing.deep_learning.onnx.analysis import analyse
from sizing.onnx.reader import read_network
from sizing.scenario_deep_learning import Attention

OUT = Path(__file__).with_name("ONNX_INSPECT.md")
EAGER: dict[str, tuple[str, int, Attention | None]] = {
    "resnet18": ("timm-resnet18-224", 224, None), "resnet50": ("torchvision-resnet50", 224, None),
    "vgg16": ("torchvision-vgg16", 224, None), "densenet121": ("torchvision-densenet121", 224, None),
    "deeplabv3_resnet50": ("torchvision-deeplabv3_resnet50", 520, None),
    "timm_vit_small": ("timm-vit-small-patch16-224-224", 224, "math"),
    "bert_base": ("bert-base-uncased", 128, "math"), "distilbert": ("distilbert-base-uncased", 128, "math"),
}  # fmt: skip
"""Networks that the catalog has a trace of in eager PyTorch at the same input: id, size, attention."""
HEAD = """# `inspect` on ONNX files exported by torch

Written by `python -m benchmarks.onnx_inspect`; the files and the truth by `benchmarks/onnx_truth.py` with torch 2.14.1,
torchvision 0.29.1, timm 1.0.31, transformers, onnx 1.23.2 and onnxruntime 1.32.0, weights random. The files have no weights in
them: what is read is the graph alone.

Truth: parameters that get a gradient, and multiply-adds by torch's own counter with attention written out (both of torch, not
of the file). Sum and peak from the tensors that ONNX Runtime really made with its optimisations off, each declared an output
of the graph; at each node the intervals of life that cover it are added up. That code shares nothing with `sizing`.

Convention: nodes in stored order; outputs are allocated while inputs still live, and the peak is read there; a tensor is freed
after its last reader; Reshape, Flatten, Squeeze, Unsqueeze, Identity and Dropout share storage; constants do not count; inputs
count apart; outputs live to the end; nothing is fused, aligned or done in place.

Ways to export: *kept* is the older exporter with batch norm kept and nothing folded, batch 1; *folded* the same exporter as
people use it, batch open and set to 2; *dynamo* the exporter that is torch's default, batch open and set to 2.

Parameters: where the exporter folds a batch norm of C channels into a convolution without bias, its 2 C parameters become a
bias of C; the column has the parameters expected of the file, that is torch's less C for each batch norm that is gone.
"""
FOLDED = """
Differences in parameters that stay are the exporters': where torch computes a tensor from parameters alone, the folded file
holds the result. Swin's table of relative positions (169 rows) is stored as a bias of 49 x 49 a head; weight norm of wav2vec2
(a direction and 128 lengths) as one tensor; the dynamo exporter adds a scale of ones and a bias of zeros for each group norm
that it writes as an instance norm. `inspect` says what the file has.
"""
EAGER_TEXT = """
## Against eager PyTorch

Eager PyTorch by the lifetime of each storage, and the ONNX graphs of the same networks under the convention above, a sample.

{table}

- *In place*: torchvision's ReLU and additions overwrite their input in PyTorch, so nothing is allocated for them; in ONNX each
  makes a tensor. With batch norm kept the sum of these networks is 1.4 to 1.7 times that of eager.
- *Names of the program*: a Python function holds what its names point to until it returns; ONNX has no names, and a tensor ends
  with its last reader. ResNet-50's peak is the same moment in both: 10,436,608 bytes in eager are 9,633,792 and the block's input
  of 802,816, which nothing reads any more.
- *Batch norm*: kept, it makes a map of its own, as in eager. Folded into the convolution, that map is gone from the sum; the
  peak stays, as the ReLU or the addition after it holds as much.
- *Composed operators*: GELU is one kernel in PyTorch, and in an ONNX graph of opset 17 five nodes, with three maps of the widest
  layer alive at once at its Erf: the peak of BERT is larger in the file. The dynamo exporter writes one Gelu node. Attention
  stands in the file as written out, so it is compared with eager attention of the same kind; its scales, transposes and masks
  are nodes of their own. A runtime that fuses does away with all of these.
- *Workspaces*: neither side counts what a kernel needs for itself; that belongs to the runtime's profile.

So the figures of a file are a convention to compare by, near what an executor needs that runs node by node and frees at the last
reader. What a runtime reports has its fusion, arena and workspace in it.
"""


def main() -> None:
    """Write the document."""
    folder = Path(sys.argv[1])
    rows = [json.loads(line) for line in (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    rows.sort(key=lambda row: row["model"])
    lines = [
        "| network | export | batch | nodes | parameters | - expected | MACs / torch - 1 | sum | / truth - 1 | peak live | / truth - 1 | peak at | unknown | s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    worst = {"macs": 0.0, "sum": 0.0, "peak": 0.0}
    exact = 0
    ours: dict[tuple[str, str], tuple[float, float]] = {}
    for row in rows:
        path = folder / f"{row['model']}.{row['variant']}.onnx"
        start = time.process_time()
        with path.open("rb") as stream:
            network = read_network(stream, path.stat().st_size, path.name)
        found = analyse(network, dict.fromkeys(network.batch_dims, row["batch"]))
        life = found.life
        seconds = time.process_time() - start
        expected = row["parameters"] - (row["channels"] - row["batch_norm_channels"])
        off = {
            "macs": found.macs / (row["macs"] * row["batch"]) - 1,
            "sum": life.sum_bytes / row["sum"] - 1,
            "peak": life.peak_bytes / row["peak"] - 1,
        }
        worst = {name: max(value, abs(off[name])) for name, value in worst.items()}
        exact += found.parameters == expected
        ours[row["model"], row["variant"]] = (life.sum_bytes / row["batch"], life.peak_bytes / row["batch"])
        at = "" if life.peak_step is None else found.shapes.nodes[life.peak_step].op
        lines.append(
            f"| {row['model']} | {row['variant']} | {row['batch']} | {len(network.nodes):,} | {found.parameters:,} "
            f"| {found.parameters - expected:,} | {off['macs']:.5f} | {life.sum_bytes:,} | {off['sum']:.6f} "
            f"| {life.peak_bytes:,} | {off['peak']:.6f} | {at} | {len(found.unknown)} | {seconds:.2f} |"
        )
    networks = len({row["model"] for row in rows})
    summary = (
        f"\n{len(rows)} files of {networks} networks. Parameters equal in {exact}. Largest difference: multiply-adds "
        f"{worst['macs']:.4%}, sum {worst['sum']:.4%}, peak {worst['peak']:.4%}.\n"
    )
    text = HEAD + summary + "\n" + "\n".join(lines) + "\n" + FOLDED
    text += EAGER_TEXT.format(table=_eager(ours))
    OUT.write_text(text, encoding="utf-8")
    print(summary.strip())


def _eager(ours: dict[tuple[str, str], tuple[float, float]]) -> str:
    lines = [
        "| network | sum, eager (MB) | kept | folded | dynamo | peak, eager (MB) | kept | folded | dynamo |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    models = load().deep_learning_models
    for name, (model, size, attention) in EAGER.items():
        traces = models[model].traces if model in models else ()
        trace = next((t for t in traces if (t.size, t.attention) == (size, attention)), None)
        if trace is None:
            continue
        cells = []
        for index, eager in enumerate((trace.sum_activation_bytes_fp32, trace.peak_live_bytes_fp32)):
            cells.append(f"{eager / 1e6:.2f}")
            for variant in ("kept", "folded", "dynamo"):
                value = ours.get((name, variant))
                cells.append("" if value is None else f"{value[index] / 1e6:.2f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
