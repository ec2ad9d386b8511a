"""Operators of known networks: counts against published ones, other sizes, networks that are borrowed or one's own."""

from __future__ import annotations

import numpy as np
import pytest

from sizing.deep_learning.networks import borrowed, known, lines, of_totals, resized
from sizing.deep_learning.operators import Operator, totals
from sizing.deep_learning.speed import AT, CLASSES, Network


def macs(network: Network) -> float:
    return float((network.macs * network.launches).sum())


@pytest.mark.parametrize(
    ("name", "size", "gmacs"),
    # Counts of convolutions and products: torchvision 4.09 and 15.47; timm's tables 17.58 and 4.47 less than 1 % apart.
    [
        ("resnet50", 224, 4.089),
        ("vgg16", 224, 15.47),
        ("vit_base_patch16_224", 224, 17.56),
        ("convnext_tiny", 224, 4.456),
    ],
)
def test_multiply_adds_are_those_published(name: str, size: int, gmacs: float) -> None:
    found = known(name, size)
    assert found is not None
    assert found.error == 0.0
    assert macs(found.network) / 1e9 == pytest.approx(gmacs, rel=0.01)


def test_every_line_reads() -> None:
    rows = [row for many in lines().values() for row in many]
    assert len(rows) > 1000
    for row in rows:
        found = known(row.name, row.size)
        assert found is not None
        assert found.network.kind.max() < len(CLASSES)
        assert (found.network.launches >= 1.0).all()
        assert (found.network.width >= 1.0).all()


def test_a_convolutional_network_grows_with_its_area_and_a_transformer_beyond() -> None:
    small, large = known("resnet50", 224), known("resnet50", 448)
    assert small is not None
    assert large is not None
    assert macs(large.network) / macs(small.network) == pytest.approx(4.0, rel=0.01)
    assert large.error > 0.0
    short, long = known("bert-base", 128), known("bert-base", 512)
    assert short is not None
    assert long is not None
    assert macs(long.network) / macs(short.network) > 4.1
    assert np.isin(long.network.kind, AT["attention_product"]).any()


def test_the_same_size_is_left_alone() -> None:
    found = known("resnet50", 224)
    assert found is not None
    assert resized(found.network, 224, 224, tokens=False) is found.network


def test_merged_branches_are_told_by_parameters() -> None:
    many, few = known("repvgg_b0", 224, 15.82e6), known("repvgg_b0", 224, 14.34e6)
    assert many is not None
    assert few is not None
    assert many.network.launches.sum() > few.network.launches.sum()


def test_names_lose_hub_and_tag_and_unknown_ones_are_none() -> None:
    assert known("timm/resnet50.a1_in1k") is not None
    assert known("no_such_net") is None


def test_a_borrowed_network_has_the_multiply_adds_it_is_asked_for() -> None:
    found = borrowed("resnet50_of_tomorrow", 8e9, 20e6, 50e6)
    assert macs(found.network) == pytest.approx(8e9, rel=0.01)
    assert "resnet" in found.source
    assert found.error > 0.3


def test_own_operators_become_groups() -> None:
    one = totals([Operator("a", "convolution", 2e6, 100, 200, 50), Operator("b", "normalisation", 0, 200, 200),
                  Operator("c", "attention", 1e6, 10, 10)])  # fmt: skip
    network = of_totals(one)
    assert macs(network) == 3e6
    assert {CLASSES[kind] for kind in network.kind} == {"convolution", "layer_norm", "attention"}
    assert float((network.moved * network.launches).sum()) == 720
