"""Networks behind public batch curves, written from their published descriptions for `benchmarks.trace_operators`.

Widths and depths are those of NVIDIA DeepLearningExamples @729963dd (GPUNet configurations, TFT, Wide and Deep, DLRM, DCNv2, NCF,
U-Net, nnU-Net, SSD) and of the BERT papers. Weights are random; only the operators and their sizes matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import timm
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from transformers import BertConfig, BertForQuestionAnswering

Layer = tuple[
    str, int, int, int, float, int, bool
]  # conv, fused or inverted; channels in, out; stride, expansion, kernel, SE


@dataclass(frozen=True)
class Described:
    """One network with its inputs, what a server moves for a sample [bytes], and steps that a trace does not show."""

    name: str
    size: int
    network: nn.Module
    inputs: list[tuple[tuple[int, ...], torch.dtype]]
    family: str
    transfer_bytes: int
    unit: str = "pixels"
    more: tuple[tuple[str, float], ...] = ()


class Squeeze(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(functional.relu(self.down(x.mean((2, 3), keepdim=True)))))


def _conv(inner: int, outer: int, kernel: int, stride: int = 1, groups: int = 1, *, act: bool = True) -> nn.Sequential:
    made: list[nn.Module] = [
        nn.Conv2d(inner, outer, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outer),
    ]
    return nn.Sequential(*made, *([nn.ReLU()] if act else []))


class Inverted(nn.Module):
    """Inverted residual; fused: a full convolution expands."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        kind, inner, outer, stride, expansion, kernel, squeeze = layer
        middle, self.skip = round(inner * expansion), stride == 1 and inner == outer
        if kind == "f":
            made = [_conv(inner, middle, kernel, stride)]
        else:
            made = [
                *([_conv(inner, middle, 1)] if expansion != 1 else []),
                _conv(middle, middle, kernel, stride, middle),
            ]
        if squeeze:
            made.append(Squeeze(middle, max(8, inner // 4)))  # type: ignore[arg-type]
        self.body = nn.Sequential(*made, _conv(middle, outer, 1, act=False))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.skip else self.body(x)


def _repeat(times: int, *layer: Any) -> list[Any]:
    return [layer] * times


def _gpunet(head: int, layers: Sequence[Any], tail: int) -> nn.Module:
    made: list[nn.Module] = [_conv(3, head, 3, 2)]
    made += [_conv(x[1], x[2], x[5], x[3]) if x[0] == "c" else Inverted(x) for x in layers]
    last = layers[-1][2]
    return nn.Sequential(*made, _conv(last, tail, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(tail, 1000))


def _inverted(rows: Sequence[tuple[int, int, int, float, int]]) -> list[Layer]:
    return [("i", *row, False) for row in rows]


GPUNETS: dict[str, tuple[int, int, list[Any], int]] = {
    "gpunet-0": (320, 32, [
        *_repeat(2, "c", 32, 32, 1, 0, 3, False), ("f", 32, 32, 2, 5, 3, False), ("f", 32, 32, 1, 5, 3, False),
        ("f", 32, 64, 2, 5, 3, False), *_repeat(2, "f", 64, 64, 1, 5, 3, False), ("i", 64, 256, 2, 5, 3, False),
        *_repeat(2, "i", 256, 256, 1, 5, 3, False), ("i", 256, 704, 2, 5, 3, True), ("i", 704, 704, 1, 5, 3, True),
    ], 1280),
    "gpunet-1": (288, 24, [
        ("c", 24, 24, 1, 0, 3, False), ("f", 24, 64, 2, 4, 3, False), ("f", 64, 64, 1, 4, 3, False), ("f", 64, 96, 2, 4, 3, False),
        ("f", 96, 96, 1, 4, 3, False), ("i", 96, 160, 2, 2, 3, True), ("i", 160, 288, 1, 5, 3, False),
        *_repeat(3, "i", 288, 288, 1, 5, 3, False), ("i", 288, 448, 2, 4, 3, True), *_repeat(3, "i", 448, 448, 1, 4, 3, True),
    ], 1280),
    "gpunet-2": (384, 32, [
        *_repeat(3, "c", 32, 32, 1, 0, 3, False), ("f", 32, 32, 2, 6, 5, True), ("f", 32, 112, 2, 3, 3, False),
        *_repeat(2, "f", 112, 112, 1, 3, 3, False), ("i", 112, 144, 2, 6, 3, False), *_repeat(5, "i", 144, 144, 1, 6, 3, False),
        ("i", 144, 160, 1, 3, 5, False), *_repeat(3, "i", 160, 160, 1, 3, 5, False), ("i", 160, 224, 2, 3, 3, True),
        *_repeat(7, "i", 224, 224, 1, 3, 3, True), ("i", 224, 832, 1, 2, 5, False), *_repeat(6, "i", 832, 832, 1, 2, 5, False),
    ], 1280),
    "gpunet-p0": (224, 32, [
        *_repeat(2, "c", 32, 32, 1, 0, 3, False), ("c", 32, 64, 2, 0, 3, False),
        *_inverted([(64, 96, 2, 8, 3), (96, 96, 1, 7.67, 3), (96, 96, 1, 7.67, 3), (96, 256, 2, 7.67, 3), (256, 256, 1, 4.25, 5),
                    (256, 256, 1, 4.75, 3), (256, 704, 2, 8, 3), (704, 704, 1, 3.82, 5), (704, 704, 1, 3.36, 3),
                    (704, 704, 1, 2.55, 3), (704, 704, 2, 5.73, 3)]),
    ], 1984),
    "gpunet-p1": (224, 32, [
        *_repeat(2, "c", 32, 32, 1, 0, 3, False), ("c", 32, 64, 2, 0, 5, False),
        *_inverted([(64, 64, 1, 8, 3), (64, 64, 1, 8, 3), (64, 96, 2, 8, 5), (96, 96, 1, 8, 5), (96, 256, 2, 8, 5),
                    (256, 256, 1, 7.5, 5), (256, 256, 1, 7.88, 3), (256, 704, 2, 7.88, 5), (704, 704, 1, 8, 5),
                    (704, 704, 1, 7.41, 3), (704, 704, 1, 8, 5), (704, 704, 2, 7.95, 5)]),
    ], 1984),
    "gpunet-d1": (456, 33, _inverted([
        (33, 33, 1, 1, 3), (33, 44, 2, 3, 3), (44, 44, 1, 4, 5), (44, 44, 1, 3, 3), (44, 67, 2, 4, 5), (67, 67, 1, 4, 5),
        (67, 67, 1, 6, 3), (67, 67, 1, 3, 5), (67, 134, 2, 6, 7), (134, 134, 1, 6, 5), (134, 134, 1, 3, 3), (134, 134, 1, 4, 5),
        (134, 190, 1, 6, 3), (190, 190, 1, 6, 5), (190, 190, 1, 6, 7), (190, 190, 1, 4, 3), (190, 268, 2, 6, 3),
        (268, 268, 1, 6, 3), (268, 268, 1, 6, 5), *_repeat(3, 268, 268, 1, 3, 3),
    ]), 1984),
    "gpunet-d2": (528, 48, _inverted([
        (48, 48, 1, 1, 3), (48, 64, 2, 3, 3), (64, 64, 1, 4, 5), (64, 64, 1, 3, 3), (64, 96, 2, 4, 5), (96, 96, 1, 4, 5),
        (96, 96, 1, 6, 3), (96, 96, 1, 3, 5), (96, 192, 2, 6, 7), (192, 192, 1, 6, 5), (192, 192, 1, 3, 3), (192, 192, 1, 4, 5),
        (192, 192, 1, 4, 5), (192, 272, 1, 6, 3), (272, 272, 1, 6, 5), (272, 272, 1, 6, 7), (272, 272, 1, 6, 5),
        (272, 272, 1, 4, 3), (272, 384, 2, 6, 3), (384, 384, 1, 6, 3), (384, 384, 1, 6, 5), *_repeat(4, 384, 384, 1, 3, 3),
    ]), 1984),
}  # fmt: skip


class UNet(nn.Module):
    """U-Net in two or three dimensions."""

    def __init__(
        self, dims: int, inner: int, widths: list[int], padding: int, outer: int, *, norm: bool = False
    ) -> None:
        super().__init__()
        conv: Any = nn.Conv2d if dims == 2 else nn.Conv3d
        back: Any = nn.ConvTranspose2d if dims == 2 else nn.ConvTranspose3d

        def two(a: int, b: int) -> nn.Sequential:
            one = lambda i, o: [conv(i, o, 3, padding=padding), *([nn.GroupNorm(1, o)] if norm else []), nn.ReLU()]  # noqa: E731
            return nn.Sequential(*one(a, b), *one(b, b))

        self.down = nn.ModuleList([two(a, b) for a, b in pairwise([inner, *widths])])
        self.up = nn.ModuleList([back(b, a, 2, 2) for a, b in pairwise(widths)])
        self.join = nn.ModuleList([two(2 * width, width) for width in widths[:-1]])
        self.last = conv(widths[0], outer, 1)
        self.pool = nn.MaxPool2d(2) if dims == 2 else nn.MaxPool3d(2)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for index, down in enumerate(self.down):
            x = down(x)
            if index < len(self.down) - 1:
                kept.append(x)
                x = self.pool(x)
        for up, join, skip in zip(reversed(self.up), reversed(self.join), reversed(kept), strict=True):
            x = up(x)
            crop = (slice(None), slice(None), *(slice(0, n) for n in x.shape[2:]))
            x = join(torch.cat([skip[crop], x], 1))
        return self.last(x)


class Gated(nn.Module):
    """Gated residual network of TFT."""

    def __init__(self, inner: int, hidden: int, outer: int | None = None, *, context: bool = False) -> None:
        super().__init__()
        last = outer or hidden
        self.a, self.i, self.g = nn.Linear(inner, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 2 * last)
        self.c = nn.Linear(hidden, hidden, bias=False) if context else None
        self.o = nn.Linear(inner, outer) if outer else None
        self.n: nn.Module = nn.LayerNorm(last) if outer != 1 else nn.Identity()

    def forward(self, a: Tensor, c: Tensor | None = None) -> Tensor:
        x = self.a(a)
        if c is not None and self.c is not None:
            x = x + self.c(c).unsqueeze(1)
        x = functional.glu(self.g(self.i(functional.elu(x))))
        return self.n(x + (a if self.o is None else self.o(a)))


class Selection(nn.Module):
    """Variable selection of TFT."""

    def __init__(self, variables: int, hidden: int) -> None:
        super().__init__()
        self.joint = Gated(hidden * variables, hidden, variables, context=True)
        self.each = nn.ModuleList([Gated(hidden, hidden) for _ in range(variables)])

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        share = torch.softmax(self.joint(x.reshape(*x.shape[:-2], -1), c), -1)
        values = torch.stack([one(x[..., i, :]) for i, one in enumerate(self.each)], -1)
        return torch.matmul(values, share.unsqueeze(-1)).squeeze(-1)


class Tft(nn.Module):
    """Temporal fusion transformer: 192 hours of which 168 are past, hidden 128, 4 heads; its two recurrent layers as one product
    of their inputs, the steps apart."""

    def __init__(self, hidden: int = 128) -> None:
        super().__init__()
        self.static, self.past, self.future = (Selection(n, hidden) for n in (1, 4, 3))
        self.contexts = nn.ModuleList([Gated(hidden, hidden) for _ in range(4)])
        self.recurrent = nn.ModuleList([nn.Linear(hidden, 4 * hidden) for _ in range(2)])
        self.gates = nn.ModuleList([nn.Linear(hidden, 2 * hidden) for _ in range(3)])
        self.norms = nn.ModuleList([nn.LayerNorm(hidden) for _ in range(3)])
        self.enrich, self.wise = Gated(hidden, hidden, context=True), Gated(hidden, hidden)
        self.qkv, self.out = nn.Linear(hidden, 288, bias=False), nn.Linear(32, hidden, bias=False)
        self.quantiles = nn.Linear(hidden, 3)
        self.known_vectors, self.target_vectors = (
            nn.Parameter(torch.empty(3, hidden)),
            nn.Parameter(torch.empty(1, hidden)),
        )

    def forward(self, known: Tensor, target: Tensor, static: Tensor) -> Tensor:
        k, t = known.unsqueeze(-1) * self.known_vectors + 1.0, target.unsqueeze(-1) * self.target_vectors + 1.0
        chosen = self.static(static)
        select, enrich, _, _ = (one(chosen) for one in self.contexts)
        before, after = torch.cat([k[:, :168], t[:, :168]], -2), k[:, 168:]
        history, future = self.past(before, select), self.future(after, select)
        inputs = torch.cat([history, future], 1)
        x = torch.cat(
            [layer(part)[..., :128] for layer, part in zip(self.recurrent, (history, future), strict=True)], 1
        )
        x = self.norms[0](functional.glu(self.gates[0](x)) + inputs)
        rich = self.enrich(x, enrich)
        qkv = self.qkv(rich)
        batch, length, _ = qkv.shape
        query = qkv[..., :128].view(batch, length, 4, 32).permute(0, 2, 1, 3)
        key = qkv[..., 128:256].view(batch, length, 4, 32).permute(0, 2, 3, 1)
        share = torch.softmax(torch.matmul(query, key) * 0.17 + 1.0, -1)
        seen = torch.matmul(share, qkv[..., 256:].unsqueeze(1).expand(batch, 4, length, 32)).mean(1)
        y = self.norms[1](functional.glu(self.gates[1](self.out(seen)[:, 168:])) + rich[:, 168:])
        y = self.norms[2](functional.glu(self.gates[2](self.wise(y))) + x[:, 168:])
        return self.quantiles(y)


def _layers(widths: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(*[layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())])


class WideAndDeep(nn.Module):
    """Wide and Deep on 13 numbers and 19 categories."""

    WIDTHS = (64, 64, 16, 64, 16, 32, 64, 128, 16, 32, *([19] * 9))

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(1000, width) for width in self.WIDTHS])
        self.deep = _layers([13 + sum(self.WIDTHS), *([1024] * 5)])
        self.last, self.wide = nn.Linear(1024, 1), nn.Embedding(1000, 1)

    def forward(self, numbers: Tensor, ids: Tensor) -> Tensor:
        x = torch.cat([numbers, *(table(ids[:, i]) for i, table in enumerate(self.tables))], 1)
        return torch.sigmoid(self.last(self.deep(x)) + self.wide(ids).sum(1))


class Dlrm(nn.Module):
    """DLRM on 13 numbers and 26 categories; with `cross`, DCNv2 of three low-rank layers."""

    def __init__(self, *, cross: bool = False) -> None:
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(1000, 128) for _ in range(26)])
        self.bottom, self.cross = _layers([13, 512, 256, 128]), cross
        if cross:
            self.low = nn.ModuleList([nn.Linear(27 * 128, 512, bias=False) for _ in range(3)])
            self.high = nn.ModuleList([nn.Linear(512, 27 * 128) for _ in range(3)])
        self.top, self.last = _layers([27 * 128 if cross else 480, 1024, 1024, 512, 256]), nn.Linear(256, 1)

    def forward(self, numbers: Tensor, ids: Tensor) -> Tensor:
        first = self.bottom(numbers)
        rows = torch.stack([first, *(table(ids[:, i]) for i, table in enumerate(self.tables))], 1)
        if self.cross:
            x0 = x = rows.flatten(1)
            for low, high in zip(self.low, self.high, strict=True):
                x = x0 * high(low(x)) + x
        else:
            x = torch.cat([first, torch.bmm(rows, rows.transpose(1, 2)).flatten(1)[:, :352]], 1)
        return self.last(self.top(x))


class Ncf(nn.Module):
    """Neural collaborative filtering with 64 factors."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(1000, width) for width in (64, 64, 128, 128)])
        self.deep, self.last = _layers([256, 256, 128, 64]), nn.Linear(128, 1)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        deep = self.deep(torch.cat([self.tables[2](user), self.tables[3](item)], 1))
        return torch.sigmoid(self.last(torch.cat([self.tables[0](user) * self.tables[1](item), deep], 1)))


class Ssd(nn.Module):
    """SSD at 320 pixels: ResNet-50 with a feature pyramid and two heads of four convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.body = timm.create_model("resnet50", features_only=True, out_indices=(2, 3, 4))
        self.lateral = nn.ModuleList([nn.Conv2d(width, 256, 1) for width in (512, 1024, 2048)])
        self.smooth = nn.ModuleList([nn.Conv2d(256, 256, 3, padding=1) for _ in range(3)])
        self.extra = nn.ModuleList([nn.Conv2d(256, 256, 3, 2, 1) for _ in range(2)])
        self.heads = nn.ModuleList([
            nn.Sequential(*[_conv(256, 256, 3) for _ in range(4)], nn.Conv2d(256, outer, 3, padding=1)) for outer in (546, 24)
        ])  # fmt: skip

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = [layer(one) for layer, one in zip(self.lateral, self.body(x), strict=True)]
        for at in (1, 0):
            levels[at] = levels[at] + functional.interpolate(levels[at + 1], scale_factor=2.0)
        levels = [layer(one) for layer, one in zip(self.smooth, levels, strict=True)]
        for layer in self.extra:
            levels.append(layer(levels[-1]))
        return [torch.cat([head(one).flatten(2) for one in levels], 2) for head in self.heads]


def described() -> Iterator[Described]:
    """The networks, on the meta device."""
    real, ids = torch.float32, torch.int64
    with torch.device("meta"):
        for name, (side, head, layers, tail) in GPUNETS.items():
            shape = (1, 3, side, side)
            yield Described(name, side, _gpunet(head, layers, tail), [(shape, real)], "gpunet", 12 * side**2 + 4000)
        for name, network, shape in (
            ("unet-medical", UNet(2, 1, [64, 128, 256, 512, 1024], 0, 2), (1, 1, 572, 572)),
            ("unet3d-medical", UNet(3, 4, [32, 64, 128, 256, 320], 1, 4, norm=True), (1, 4, 224, 224, 160)),
            ("nnunet-2d", UNet(2, 4, [32, 64, 128, 256, 512, 512], 1, 4, norm=True), (1, 4, 192, 160)),
            ("nnunet-3d", UNet(3, 4, [32, 64, 128, 256, 320], 1, 4, norm=True), (1, 4, 128, 128, 128)),
        ):
            yield Described(name, 0, network, [(shape, real)], "unet", 4 * torch.Size(shape).numel() + 4000)
        for name, side in (("resnet50", 224), ("resnext101_32x4d", 224), ("seresnext101_32x4d", 224), ("efficientnet_b0", 224),
                           ("efficientnet_b4", 380), ("efficientnetv2_s", 384)):  # fmt: skip
            network = timm.create_model(name)
            family = type(network).__module__.rsplit(".", 1)[-1]
            yield Described(name, side, network, [((1, 3, side, side), real)], family, 12 * side**2 + 4000)
        large = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
        for name, changed in (
            ("bert-base", {}), ("bert-large", large), ("bert-dist-6l", {"num_hidden_layers": 6}),
            ("bert-dist-4l", {"hidden_size": 312, "num_hidden_layers": 4, "num_attention_heads": 12, "intermediate_size": 1200}),
        ):  # fmt: skip
            for length in (128, 384):
                network = BertForQuestionAnswering(BertConfig(attn_implementation="eager", **changed))
                yield Described(name, length, network, [((1, length), ids)], "bert", 32 * length, "tokens")
        tft = [((1, 192, 3), real), ((1, 192, 1), real), ((1, 1, 128), real)]
        yield Described("tft", 0, Tft(), tft, "tft", 192 * 28 + 288, more=(("step", 192.0),))
        yield Described("wide-and-deep", 0, WideAndDeep(), [((1, 13), real), ((1, 19), ids)], "mlp", 208)
        yield Described("dlrm", 0, Dlrm(), [((1, 13), real), ((1, 26), ids)], "mlp", 160)
        yield Described("dcnv2", 0, Dlrm(cross=True), [((1, 13), real), ((1, 26), ids)], "mlp", 160)
        yield Described("ncf", 0, Ncf(), [((1,), ids), ((1,), ids)], "mlp", 20)
        yield Described("ssd320", 320, Ssd(), [((1, 3, 320, 320), real)], "ssd", 12 * 320**2 + 4 * 95 * 5000)
