"""Truth for `onnx_inspect.py`: networks exported to ONNX by torch, with torch's own counts and measured tensor sizes.

Run where torch, torchvision, timm, transformers, onnx, onnxruntime and onnxscript are (the product needs none of them but
onnx); no weights are downloaded. Nothing of `sizing` is used, so that the two sides share no code:

    python benchmarks/onnx_truth.py FOLDER [MODEL ...]

For each network and way to export: FOLDER/NAME.VARIANT.onnx with the weights taken out (as if its external data file was
left behind), and a line of FOLDER/truth.jsonl. Parameters and multiply-adds are torch's; the sum and the peak come from the
sizes of the tensors that ONNX Runtime really made, every one of them declared an output, by counting at each node which
intervals of life cover it.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

SHARES_STORAGE = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"}
KEPT_BYTES = 1024
"""Initializers up to this size keep their data [bytes]: the shapes that a graph computes with."""


class UNet(nn.Module):
    """The classic U-Net, 31 M parameters, with transposed convolutions on the way up."""

    def __init__(self) -> None:
        super().__init__()

        def block(i: int, o: int) -> nn.Module:
            return nn.Sequential(
                nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(),
                nn.Conv2d(o, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(),
            )  # fmt: skip

        widths = [64, 128, 256, 512, 1024]
        self.down = nn.ModuleList([block(i, o) for i, o in zip([3, *widths], widths, strict=False)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(w, w // 2, 2, 2) for w in widths[:0:-1]])
        self.join = nn.ModuleList([block(w, w // 2) for w in widths[:0:-1]])
        self.head = nn.Conv2d(64, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        for i, down in enumerate(self.down):
            x = down(x if i == 0 else nn.functional.max_pool2d(x, 2))
            kept.append(x)
        for up, join, skip in zip(self.up, self.join, kept[-2::-1], strict=True):
            x = join(torch.cat([skip, up(x)], 1))
        return self.head(x)


class Only(nn.Module):
    """One tensor in, one tensor out, of a model that gives a record."""

    def __init__(self, model: nn.Module, pick: str | int | None) -> None:
        super().__init__()
        self.model, self.pick = model, pick

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.model(x)
        return found if self.pick is None else found[self.pick]


def image(side: int) -> Callable[[int], torch.Tensor]:
    return lambda batch: torch.randn(batch, 3, side, side)


def tokens(length: int) -> Callable[[int], torch.Tensor]:
    return lambda batch: torch.randint(0, 1000, (batch, length))


def _torchvision(name: str, **more: Any) -> nn.Module:
    import torchvision

    if name == "deeplabv3_resnet50":
        return Only(torchvision.models.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None), "out")
    if name == "inception_v3":
        more |= {"init_weights": False, "aux_logits": False}  # as it is served
    return torchvision.models.get_model(name, weights=None, **more)


def _timm(name: str) -> nn.Module:
    import timm

    return timm.create_model(name, pretrained=False)


def _transformer(name: str) -> nn.Module:
    import transformers as hf

    made: dict[str, Callable[[], nn.Module]] = {
        "bert_base": lambda: hf.BertModel(hf.BertConfig(), add_pooling_layer=False),
        "distilbert": lambda: hf.DistilBertModel(hf.DistilBertConfig()),
        "wav2vec2_base": lambda: hf.Wav2Vec2Model(hf.Wav2Vec2Config()),
        "whisper_tiny_encoder": lambda: (
            hf.WhisperModel(
                hf.WhisperConfig(d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536)
            ).encoder
        ),
    }
    return Only(made[name](), 0)


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], torch.Tensor]]] = {
    **{
        name: (lambda name=name: _torchvision(name), image(299 if name == "inception_v3" else 224))
        for name in (
            "resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0", "densenet121", "vgg16",
            "inception_v3", "convnext_tiny", "swin_t", "vit_b_16",
        )
    },
    "deeplabv3_resnet50": (lambda: _torchvision("deeplabv3_resnet50"), image(520)),
    "timm_vit_small": (lambda: _timm("vit_small_patch16_224"), image(224)),
    "unet_31m": (UNet, image(256)),
    "bert_base": (lambda: _transformer("bert_base"), tokens(128)),
    "distilbert": (lambda: _transformer("distilbert"), tokens(128)),
    "whisper_tiny_encoder": (lambda: _transformer("whisper_tiny_encoder"), lambda b: torch.randn(b, 80, 3000)),
    "wav2vec2_base": (lambda: _transformer("wav2vec2_base"), lambda b: torch.randn(b, 32_000)),
}  # fmt: skip
VARIANTS = ("kept", "folded", "dynamo")
"""kept: the older exporter with batch norm kept as it is and nothing folded; folded: the same exporter as people use it, batch
left open; dynamo: the exporter that is torch's default now, batch left open."""


def randomise(model: nn.Module) -> None:
    """Values that differ: exporters store tensors of equal values once, which would change the count of parameters."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            if value.is_floating_point():
                value.add_(torch.rand(value.shape, generator=generator) * 0.01 + 0.001)


def export(model: nn.Module, sample: Callable[[int], torch.Tensor], variant: str, path: Path) -> None:
    """One ONNX file of a network."""
    common: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"]}
    if variant == "kept":
        mode = torch.onnx.TrainingMode.PRESERVE
        more = {"dynamo": False, "do_constant_folding": False, "training": mode, "opset_version": 17}
        torch.onnx.export(model, (sample(1),), str(path), **common, **more)
    elif variant == "folded":
        more = {"dynamo": False, "opset_version": 17, "dynamic_axes": {"x": {0: "batch"}}}
        torch.onnx.export(model, (sample(1),), str(path), **common, **more)
    else:
        shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
        torch.onnx.export(model, (sample(2),), str(path), **common, dynamo=True, dynamic_shapes=shapes, verbose=False)


def parameters_of(model: nn.Module, x: torch.Tensor) -> int:
    """Parameters that a pass uses [count]: those that get a gradient. The rest, such as the mask that wav2vec2 learns in
    training, no exporter writes."""
    model(x).sum().backward()
    used = sum(p.numel() for p in model.parameters() if p.grad is not None)
    model.zero_grad(set_to_none=True)
    return used


def macs_of(model: nn.Module, x: torch.Tensor) -> int:
    """Multiply-adds of one pass [count] by torch's counter, with attention written out so that it is counted on a CPU."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        model(x)
    return counter.get_total_flops() // 2


def measured(path: Path, x: np.ndarray) -> dict[str, Any]:
    """Sum and peak [bytes] from the tensors that ONNX Runtime made, by brute force over intervals of life."""
    model = onnx.load(str(path))
    graph = model.graph
    constant = {i.name for i in graph.initializer}
    declared = {o.name for o in graph.output}
    for node in graph.node:
        assert not any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute)
        if all(name in constant or not name for name in node.input):
            constant |= set(node.output)
    names = [name for node in graph.node for name in node.output if name and name not in constant]
    for name in names:
        if name not in declared:
            graph.output.append(onnx.ValueInfoProto(name=name))
    onnx.save(model, str(path.with_suffix(".all.onnx")), save_as_external_data=False)
    order = [(node.op_type, list(node.input), list(node.output)) for node in graph.node]
    input_name = graph.input[0].name
    batch_norm = sum(
        int(np.prod(next(i.dims for i in graph.initializer if i.name == node.input[1]), dtype=np.int64))
        for node in graph.node
        if node.op_type == "BatchNormalization"
    )
    del model, graph
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path.with_suffix(".all.onnx")), options, providers=["CPUExecutionProvider"])
    values = session.run(names, {input_name: x})
    size = {name: value.nbytes for name, value in zip(names, values, strict=True)}
    del values, session
    path.with_suffix(".all.onnx").unlink()

    # Each storage is an interval of nodes; one that shares another's storage stretches it.
    root: dict[str, str] = {}
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for at, (op, inputs, outputs) in enumerate(order):
        for name in inputs:
            if root.get(name) in last:
                last[root[name]] = at
        for k, name in enumerate(outputs):
            if name not in size:
                continue
            source = inputs[0] if op in SHARES_STORAGE and k == 0 else None
            if source is not None:
                root[name] = root.get(source, source)  # of the input or a constant: stays outside
                if root[name] in last:
                    last[root[name]] = max(last[root[name]], at)
            else:
                root[name], first[name], last[name] = name, at, at
    for name in declared:
        if root.get(name) in last:
            last[root[name]] = len(order) - 1
    starts = np.array([first[name] for name in first])
    ends = np.array([last[name] for name in first])
    sizes = np.array([size[name] for name in first], dtype=np.int64)
    live = [int(sizes[(starts <= at) & (at <= ends)].sum()) for at in range(len(order))]
    at = int(np.argmax(live))
    return {
        "sum": int(sizes.sum()), "peak": live[at], "peak_op": order[at][0], "nodes": len(order),
        "batch_norm_channels": batch_norm,
    }  # fmt: skip


def without_weights(path: Path, to: Path) -> None:
    """The file as it is when its external data is left behind."""
    model = onnx.load(str(path))
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > KEPT_BYTES:
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="weights.bin")
    onnx.save(model, str(to))


def main() -> None:
    """Write the files and the truth of each network not yet there."""
    folder, chosen = Path(sys.argv[1]), sys.argv[2:] or list(MODELS)
    folder.mkdir(exist_ok=True)
    warnings.simplefilter("ignore")
    torch.backends.mha.set_fastpath_enabled(False)
    for name in chosen:
        make, sample = MODELS[name]
        torch.manual_seed(0)
        model = make().eval()
        randomise(model)
        parameters = parameters_of(model, sample(1))
        channels = sum(m.num_features for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
        macs = macs_of(model, sample(1))
        for variant in VARIANTS:
            to = folder / f"{name}.{variant}.onnx"
            if to.exists():
                continue
            batch = 1 if variant == "kept" else 2
            try:
                with tempfile.TemporaryDirectory(dir=folder) as room:
                    path = Path(room) / "m.onnx"
                    export(model, sample, variant, path)
                    # A graph with its data beside it is joined, so that one file has all.
                    onnx.save(onnx.load(str(path)), str(path), save_as_external_data=False)
                    found = measured(path, sample(batch).numpy())
                    without_weights(path, to)
            except Exception as error:
                print(f"{name} {variant}: {type(error).__name__}: {str(error).splitlines()[0][:200]}", flush=True)
                continue
            row = {
                "model": name, "variant": variant, "batch": batch, "parameters": parameters, "macs": macs,
                "channels": channels, **found,
            }  # fmt: skip
            with (folder / "truth.jsonl").open("a") as out:
                out.write(json.dumps(row) + "\n")
            print(name, variant, found, flush=True)
            gc.collect()


if __name__ == "__main__":
    main()
