"""Trace the operators of networks and write catalogs/deep_learning_operators.csv.

python -m benchmarks.trace_operators [FILE]

Needs an environment with torch 2.14, timm 1.0.31 and transformers, which the product does not: networks are built with random
weights on the meta device and run once on fake tensors under fp16 autocast, so nothing is computed and nothing is loaded.
"""

from __future__ import annotations

import copy
import json
import math
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as functional
from timm.utils.model import reparameterize_model
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.described_networks import described
from sizing.deep_learning.networks import FILE, ONE_POSITION
from sizing.deep_learning.speed import AT, PRODUCTS

SMALL_SHARE = 0.006
"""Operators of less than this share of multiply-adds and of elements moved are put together [1]."""
UNSEEN = {
    "view",
    "_unsafe_view",
    "reshape",
    "expand",
    "permute",
    "transpose",
    "t",
    "squeeze",
    "unsqueeze",
    "detach",
    "alias",
    "as_strided",
    "as_strided_",
    "select",
    "slice",
    "split",
    "chunk",
    "unbind",
    "unfold",
    "flatten",
    "lift_fresh",
    "split_with_sizes",
    "_reshape_alias",
    "diagonal",
    "movedim",
    "narrow",
    "unsafe_split",
    "empty",
    "empty_strided",
    "new_empty",
    "zeros",
    "ones",
    "full",
    "arange",
    "scalar_tensor",
    "zeros_like",
    "ones_like",
    "new_zeros",
    "new_ones",
    "empty_like",
    "linspace",
    "eye",
    "sym_size",
    "is_same_size",
    "lift",
    "new_full",
    "view_as_real",
    "view_as_complex",
    "resize_",
    "device",
    "equal",
    "item",
    "_local_scalar_dense",
}
"""Operators that only share or set up storage."""
CLASS_OF = {
    **dict.fromkeys(["native_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit", "cudnn_batch_norm"], "batch_norm"),
    **dict.fromkeys(["native_layer_norm", "native_group_norm", "_fused_rms_norm", "rms_norm"], "layer_norm"),
    **dict.fromkeys(["_softmax", "_log_softmax"], "softmax"),
    **dict.fromkeys(
        ["max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "mean", "sum", "amax", "max", "adaptive_max_pool2d", "max_pool2d", "var", "std", "var_mean", "linalg_vector_norm", "norm", "cumsum", "amin", "max_pool3d_with_indices", "avg_pool3d", "_adaptive_avg_pool3d", "argmax", "logsumexp", "any", "all"],
        "pooling",
    ),
    **dict.fromkeys(
        ["relu", "relu_", "silu", "silu_", "gelu", "hardswish", "hardswish_", "hardsigmoid", "sigmoid", "sigmoid_", "tanh", "tanh_", "leaky_relu", "leaky_relu_", "hardtanh", "hardtanh_", "elu", "elu_", "mish", "_prelu_kernel", "prelu", "softplus", "clamp", "clamp_", "clamp_min", "exp", "relu6", "erf"],
        "activation",
    ),
    **dict.fromkeys(
        ["cat", "clone", "copy_", "index", "gather", "constant_pad_nd", "roll", "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "stack", "repeat", "flip", "contiguous", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "im2col", "col2im", "index_select", "embedding", "index_put", "index_put_", "replication_pad2d", "reflection_pad2d", "repeat_interleave", "grid_sampler_2d", "scatter", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "tile", "select_scatter", "slice_scatter", "_embedding_bag", "topk", "sort", "nonzero", "_index_put_impl_", "upsample_nearest3d"],
        "movement",
    ),
}  # fmt: skip
"""Class of the operators by their name in torch; what is not named is elementwise."""
PRODUCT_NAMES = ("addmm", "mm", "bmm", "baddbmm", "matmul", "mv", "dot", "addmv")


@dataclass
class Record:
    """Operators seen in one pass: class, macs, moved, wide, weights, width, depth."""

    parameters: set[int]
    rows: list[tuple[str, float, float, float, float, float, float]] = field(default_factory=list)
    silent: bool = False
    inside_linear: bool = False
    outputs: int = 0

    def add(
        self,
        name: str,
        macs: float,
        moved: float,
        wide: float,
        weights: float,
        width: float,
        depth: float,
        written: int = 0,
    ) -> None:
        """Note one operator; `written` counts the elements that a product writes."""
        self.outputs += written
        self.rows.append((name, macs, moved, wide, weights, width, depth))

    def is_weight(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor is a parameter or buffer of the network."""
        base = getattr(tensor, "_base", None)
        return isinstance(tensor, nn.Parameter) or id(tensor) in self.parameters or id(base) in self.parameters


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)


class Operators(TorchDispatchMode):
    """Notes every operator that reaches the GPU."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        record, name = self.record, func._schema.name.split("::")[1]
        made = list(_tensors(out))
        if record.silent or name in UNSEEN or not made or (record.inside_linear and name != "_to_copy"):
            return out
        taken = list(_tensors(args))
        if name == "_to_copy":
            source = taken[0]
            if not record.is_weight(source) and source.numel() > 1 and source.dtype != out.dtype:
                wide = sum(t.numel() for t in (source, out) if t.element_size() >= 4)
                record.add("cast", 0, 2 * source.numel(), wide, 0, 1, 1)
            return out
        active = [t for t in taken if not record.is_weight(t)]
        weights = sum(t.numel() for t in taken if record.is_weight(t))
        wide = sum(t.numel() for t in (*active, made[0]) if t.element_size() >= 4)
        moved = sum(t.numel() for t in active) + made[0].numel()
        if "convolution" in name:
            self._convolution(args, made[0])
        elif name in PRODUCT_NAMES:
            a, b = taken[1:3] if name in ("addmm", "baddbmm", "addmv") else taken[:2]
            depth, width = a.shape[-1], b.shape[-1] if b.dim() > 1 else 1
            macs = a.numel() * width
            if name in ("bmm", "baddbmm") and not record.is_weight(b):
                record.add(
                    "attention_product",
                    macs,
                    a.numel() + b.numel() + made[0].numel(),
                    wide,
                    0,
                    width,
                    depth,
                    made[0].numel(),
                )
            else:
                record.add("matmul", macs, a.numel() + made[0].numel(), wide, b.numel(), width, depth, made[0].numel())
        else:
            kind = CLASS_OF.get(name, "elementwise")
            if kind in ("batch_norm", "layer_norm") and not taken[0].is_contiguous():
                record.add("movement", 0, 2 * taken[0].numel(), 0, 0, 1, 1)
            if name in ("embedding", "index", "copy_"):
                moved, wide = 2 * made[0].numel(), 0
            record.add(kind, 0, moved, wide, weights if kind != "movement" else 0, 1, 1)
        return out

    def _convolution(self, args: Any, made: torch.Tensor) -> None:
        source, weight, groups, transposed = args[0], args[1], args[8], args[6]
        plain = source.is_contiguous() or (
            source.dim() == 4 and source.is_contiguous(memory_format=torch.channels_last)
        )
        if not plain:
            self.record.add("movement", 0, 2 * source.numel(), 0, 0, 1, 1)
        area = math.prod(weight.shape[2:])
        inner = weight.shape[0] // groups if transposed else weight.shape[1]
        outer = made.shape[1] // groups
        places = math.prod((source if transposed else made).shape[2:])
        macs = made.shape[0] * places * groups * inner * outer * area
        width, depth = outer, inner
        if groups == 1:
            kind = "convolution" if area > 1 else "pointwise"
        elif inner == 1:
            kind = "depthwise_strided" if args[3] and args[3][0] > 1 else "depthwise"
            width, depth = groups, area
        else:
            kind = "grouped"
        wide = sum(t.numel() for t in (source, made) if t.element_size() >= 4)
        weights = weight.numel() + (args[2].numel() if args[2] is not None else 0)
        self.record.add(kind, macs, source.numel() + made.numel(), wide, weights, width, depth, made.numel())


class Functions(TorchFunctionMode):
    """Notes attention and linear layers whole, before they are taken apart."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given, record = kwargs or {}, self.record
        if record.silent or func not in (functional.scaled_dot_product_attention, functional.linear):
            return func(*args, **given)
        if func is functional.linear:
            source, weight = args[0], args[1] if len(args) > 1 else given["weight"]
            bias = args[2] if len(args) > 2 else given.get("bias")
            record.inside_linear = True
            try:
                out = func(*args, **given)
            finally:
                record.inside_linear = False
            if not source.is_contiguous():
                record.add("movement", 0, 2 * source.numel(), 0, 0, 1, 1)
            weights = weight.numel() + (bias.numel() if bias is not None else 0)
            macs = source.numel() * weight.shape[0]
            record.add(
                "matmul", macs, source.numel() + out.numel(), 0, weights, weight.shape[0], source.shape[-1], out.numel()
            )
            return out
        record.silent = True
        try:
            out = func(*args, **given)
        finally:
            record.silent = False
        query, key, value = (*args, *(given[n] for n in ("query", "key", "value")[len(args) :]))[:3]
        mask = given.get("attn_mask", args[3] if len(args) > 3 else None)
        apart = query.dim() != 4 or key.shape[:-2] != query.shape[:-2] or query.shape[-1] % 8 != 0
        kind = "attention_math" if apart else "attention" if mask is None else "attention_mask"
        rows, keys = query.numel() // query.shape[-1], key.shape[-2]
        moved = query.numel() + key.numel() + value.numel() + out.numel() + (0 if mask is None else mask.numel())
        record.add(
            kind, rows * keys * (query.shape[-1] + value.shape[-1]), moved, 0, 0, query.shape[-1], keys, out.numel()
        )
        return out


def trace(
    network: nn.Module, inputs: list[tuple[tuple[int, ...], torch.dtype]], *, fake: bool = True
) -> tuple[Record, int]:
    """Operators of one pass of a network that lies on the meta device, and its parameters."""
    device = "cuda" if fake else "meta"
    with FakeTensorMode(allow_non_fake_inputs=True) if fake else nullcontext(), torch.device(device):
        network = network.eval().to_empty(device=device) if fake else network.eval()
        held = [*network.parameters(), *network.buffers()]
        record = Record({id(tensor) for tensor in held})
        made = [torch.zeros(shape, dtype=kind, device=device) for shape, kind in inputs]
        with torch.no_grad(), Operators(record), Functions(record):
            network(*made)
    if not fake:  # no autocast on meta tensors: all of them look wide
        record.rows = [(*row[:3], 0.0, *row[4:]) for row in record.rows]
    return record, sum(p.numel() for p in network.parameters())


def grouped(record: Record, more: tuple[tuple[str, float], ...] = ()) -> str:
    """Operators as one text, like ones together: those of a class near in shape and intensity, and all the small ones."""
    rows = record.rows
    all_macs, all_moved = sum(r[1] for r in rows) or 1.0, sum(r[2] for r in rows) or 1.0
    found: dict[tuple[Any, ...], list[tuple[str, float, float, float, float, float, float]]] = {}
    counted: dict[tuple[Any, ...], int] = {}
    for row in rows:
        counted[row] = counted.get(row, 0) + 1
    for row in rows:
        name, macs, moved, _, weights, width, depth = row
        key: tuple[Any, ...] = (name,)
        if name in PRODUCTS:
            once, many = 0 < macs <= ONE_POSITION * weights, counted[row]
            if macs * many < SMALL_SHARE * all_macs and moved * many < SMALL_SHARE * all_moved:
                key += ("small", once)
            else:
                near = depth if name.startswith("attention") else round(math.log2(max(depth, 1)))
                intensity = round(0.5 * math.log2((macs + 1) / (moved + weights + 1)))
                key += (0 if name.startswith("depthwise") else round(math.log2(max(width, 1))), near, intensity, once)
        found.setdefault(key, []).append(row)
    groups = []
    for key, many in found.items():
        table = np.maximum(np.array([row[1:] for row in many], dtype=float), 0.0)
        share = (table[:, 0] + 1) / (table[:, 0] + 1).sum()
        figures = [float(len(many)), *table[:, :4].mean(axis=0)]
        if key[0] in PRODUCTS:
            figures += [float(np.exp((share * np.log(np.maximum(table[:, i], 1))).sum())) for i in (4, 5)]
        groups.append(" ".join([str(AT[key[0]]), *(_short(x) for x in figures)]).rstrip())
    groups += [f"{AT[name]} {launches:g}" for name, launches in more]
    return ";".join(groups)


def _short(value: float) -> str:
    if value == 0:
        return ""
    text = f"{value:.3g}".replace("e+0", "e").replace("e+", "e")
    whole = f"{round(value)}"
    return text if len(text) <= len(whole) or value < 1e3 else whole


def timm_networks() -> Iterator[list[str]]:
    """Lines of the networks of timm at the image size they are trained at, with their branches as they are and merged."""
    for name in timm.list_models():
        config = timm.get_pretrained_cfg(name)
        if not config or not config.input_size:
            continue
        channels, size, _ = config.input_size
        for merged in (False, True):
            try:
                with torch.device("meta"):
                    network = timm.create_model(name)
                if merged:
                    if not any(hasattr(m, "reparameterize") or hasattr(m, "fuse") for m in network.modules()):
                        continue
                    network, before = timm.create_model(name), sum(p.numel() for p in network.parameters())
                    network = reparameterize_model(network)
                    if sum(p.numel() for p in network.parameters()) == before:
                        continue
                shape = [((1, channels, size, size), torch.float32)]
                family = type(network).__module__.rsplit(".", 1)[-1]
                yield line(name, size, merged, network, shape, family=family)
            except Exception as error:  # what cannot be traced is said and left out
                print(f"{name} at {size}: {type(error).__name__}: {error}"[:160], file=sys.stderr)


def line(
    name: str, size: int, merged: bool, network: nn.Module, inputs: list[tuple[tuple[int, ...], torch.dtype]], *,
    family: str, unit: str = "pixels", transfer: int = 0, more: tuple[tuple[str, float], ...] = (),
) -> list[str]:  # fmt: skip
    """One line of the file. Recurrent layers do not run on fake GPUs without a driver: those are traced on meta tensors."""
    try:
        record, parameters = trace(copy.deepcopy(network), inputs)
    except RuntimeError:
        record, parameters = trace(network, inputs, fake=False)
    return [name, str(size), str(int(merged)), unit, str(parameters), str(record.outputs), str(transfer), family,
            grouped(record, more)]  # fmt: skip


def described_lines() -> Iterator[list[str]]:
    """Lines of the networks behind public batch curves."""
    for one in described():
        yield line(one.name, one.size, False, one.network, one.inputs, family=one.family, unit=one.unit,
                   transfer=one.transfer_bytes, more=one.more)  # fmt: skip


def main(file: Path = FILE) -> None:
    """Trace all networks and write the file; one that timm has too keeps the line with what a server transfers."""
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", torch.float16)
    found = {(row[0], row[1], row[2]): row for row in timm_networks()}
    found |= {(row[0], row[1], row[2]): row for row in described_lines()}
    head = [
        "# catalog: deep_learning_operators. Operators of networks, like ones together, per sample: timm 1.0.31 and networks behind public batch curves.",
        f"# source: traces on fake tensors with torch {torch.__version__.split('+')[0]} under fp16 autocast, written by benchmarks/trace_operators.py; as_of: {date.today()}",
        "# size: side of the input [pixels] or its length [tokens], 0 where it is fixed; merged: 1 with parallel branches merged; outputs: elements that products write;",
        "# transfer_bytes: inputs and outputs of a sample through a server; operators: class number, launches, macs, elements moved, of these in fp32, weights, width, depth",
        "name,size,merged,unit,parameters,outputs,transfer_bytes,family,operators",
    ]
    lines = [",".join(row) for row in found.values()]
    file.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    print(json.dumps({"networks": len(lines), "bytes": file.stat().st_size}))


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:2]))
