"""Smaller siblings of a model in the catalog, and published scores that say what the step down costs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sizing.advisor.quality import LOOKED, Quality, measure
from sizing.catalog import Catalog
from sizing.catalog_rows import LlmModel

MOST_SIBLINGS = 2
LESS_TOTAL, LESS_ACTIVE = 0.67, 0.5
"""A smaller sibling has at most this share of the parameters, or of those active in a token [1]."""
DRAFT_SHARE = 1 / 6
"""Most parameters of a draft model against its target [1]: larger ones draft too slowly to gain. A rule of this search."""
_SIZE = re.compile(r"^\d+(\.\d+)?(x\d+(\.\d+)?)?[bm]$")
_FOLLOWS = {"llama-3.1": ("llama-3.2",), "llama-3.3": ("llama-3.1", "llama-3.2"), "meta-llama-3": ("llama-3.2",)}
"""Lines whose smaller members came out under another number."""

DEEP_LINES: tuple[tuple[str, ...], ...] = (
    ("timm-resnet101-224", "timm-resnet50-224", "timm-resnet18-224"),
    ("torchvision-resnet152", "torchvision-resnet50", "timm-resnet18-224"),
    ("torchvision-efficientnet_b4", "timm-efficientnet-b3-288", "timm-efficientnet-b0-224"),
    ("timm-convnext-large-224", "timm-convnext-base-224", "torchvision-convnext_small", "timm-convnext-tiny-224"),
    (
        "timm-vit-large-patch16-224-224",
        "timm-vit-base-patch16-224-224",
        "timm-vit-small-patch16-224-224",
        "timm-vit-tiny-patch16-224-224",
    ),
    ("timm-swin-base-patch4-window7-224-224", "timm-swin-tiny-patch4-window7-224-224"),
    ("yolov8x", "yolov8m", "yolov8n"),
    ("yolo11x", "yolo11m", "yolo11n"),
    ("yolo26x", "yolo26m", "yolo26n"),
    ("bert-large-uncased", "bert-base-uncased", "distilbert-base-uncased"),
    ("bge-large-en-v1.5", "bge-base-en-v1.5", "bge-small-en-v1.5"),
    ("bge-reranker-v2-m3", "bge-reranker-base"),
    ("whisper-large-v3", "whisper-large-v3-turbo", "whisper-medium", "whisper-small", "whisper-base", "whisper-tiny"),
    ("clip-vit-large-patch14", "clip-vit-base-patch32"),
    *(
        tuple(f"whisper-{size}{part}" for size in ("large-v3", "large-v3-turbo", "medium", "small", "base", "tiny"))
        for part in ("-encoder", "-speech-to-text")
    ),
    *(
        tuple(f"clip-vit-{size}{part}" for size in ("large-patch14", "base-patch32"))
        for part in ("-both-towers", "-text", "-image")
    ),
)
"""Models of one make by size, the largest first: each does the same task."""


@dataclass(frozen=True, slots=True)
class Score:
    """A published score of a model: name of the benchmark, value, source and date."""

    benchmark: str
    value: float
    source: str
    as_of: str


def _scores(benchmark: str, source: str, as_of: str, values: dict[str, float]) -> dict[str, Score]:
    return {name: Score(benchmark, value, source, as_of) for name, value in values.items()}


_TIMM = "timm, results-imagenet.csv"
SCORES: tuple[dict[str, Score], ...] = (
    _scores(
        "MMLU, 5 shots, of the base model [%]", "Llama 3.1 model card", "2024-07-23",
        {"llama-3.1-8b": 66.7, "meta-llama-3-8b": 66.7, "meta-llama-3-70b": 79.5, "llama-3.1-70b": 79.3, "llama-3.1-405b": 85.2},
    ),
    _scores(
        "MMLU in Spanish, of the instruct model [%]", "Llama 3.2 model card", "2024-09-25",
        {"llama-3.2-1b": 41.5, "llama-3.2-3b": 55.1, "llama-3.1-8b": 62.5, "llama-3.1-70b": 80.05},
    ),
    _scores(
        "MMLU, 5 shots, of the base model [%]", "Llama 3 model card", "2024-04-18",
        {"llama-2-7b-hf": 45.7, "llama-2-13b-hf": 53.8, "llama-2-70b-hf": 69.7},
    ),
    _scores(
        "ImageNet top-1, weights a1_in1k [%]", _TIMM, LOOKED,
        {"timm-resnet101-224": 82.322, "timm-resnet50-224": 81.214, "timm-resnet18-224": 73.158},
    ),
    _scores(
        "ImageNet top-1, weights tv_in1k [%]", _TIMM, LOOKED,
        {"torchvision-resnet152": 78.322, "torchvision-resnet50": 76.130, "timm-resnet18-224": 69.760},
    ),
    _scores(
        "ImageNet top-1, weights fb_in1k [%]", _TIMM, LOOKED,
        {"timm-convnext-large-224": 84.846, "timm-convnext-base-224": 84.428, "torchvision-convnext_small": 83.700,
         "timm-convnext-tiny-224": 82.698},
    ),
    _scores(
        "ImageNet top-1, weights augreg_in21k_ft_in1k [%]", _TIMM, LOOKED,
        {"timm-vit-large-patch16-224-224": 85.834, "timm-vit-base-patch16-224-224": 84.532,
         "timm-vit-small-patch16-224-224": 81.384, "timm-vit-tiny-patch16-224-224": 75.454},
    ),
    _scores(
        "ImageNet top-1, weights ms_in1k [%]", _TIMM, LOOKED,
        {"timm-swin-base-patch4-window7-224-224": 83.606, "timm-swin-tiny-patch4-window7-224-224": 81.376},
    ),
    _scores(
        "ImageNet top-1, weights ra2_in1k and ra_in1k [%]", _TIMM, LOOKED,
        {"torchvision-efficientnet_b4": 83.414, "timm-efficientnet-b3-288": 82.242, "timm-efficientnet-b0-224": 77.694},
    ),
    _scores("COCO mAP 50-95 [%]", "Ultralytics YOLOv8 documentation", LOOKED, {"yolov8n": 37.3, "yolov8m": 50.2, "yolov8x": 53.9}),
    _scores("COCO mAP 50-95 [%]", "Ultralytics YOLO26 documentation", LOOKED, {"yolo26n": 40.9, "yolo26m": 53.1, "yolo26x": 57.5}),
    *(
        _scores(
            "Mean word error rate on ESB [%]", "LiteASR model card", "2025-02",
            {f"whisper-{size}{part}": value for size, value in (("large-v3", 10.1), ("large-v3-turbo", 10.1), ("medium", 14.8))},
        )
        for part in ("", "-speech-to-text")
    ),
)  # fmt: skip
"""Published scores, comparable within one table. Looked up on quality.LOOKED."""
DISTILBERT = Quality(
    "may_change",
    "DistilBERT keeps 97 % of BERT's language understanding (GLUE).",
    "Sanh et al. (arXiv 1910.01108)",
    "2019-10",
)


def step_down(now: str, smaller: str) -> Quality:
    """What is published of the step from one model to a smaller one, by their catalog ids.

    >>> step_down("llama-3.1-70b", "llama-3.1-8b").words
    'MMLU, 5 shots, of the base model: 79.3 falls to 66.7 %.'
    """
    if (now, smaller) == ("bert-base-uncased", "distilbert-base-uncased"):
        return DISTILBERT
    for table in SCORES:
        if now in table and smaller in table:
            a, b = table[now], table[smaller]
            name = a.benchmark.removesuffix(" [%]")
            verb = "stays at" if a.value == b.value else "rises to" if b.value > a.value else "falls to"
            words = f"{name}: {a.value:g} {verb} {b.value:g} %."
            return Quality("may_change", words, a.source, a.as_of)
    return measure("a smaller model answers differently, and no published comparison of the two was found")


def line_of(id_: str) -> str:
    """The line a language model belongs to: its id up to the size.

    >>> line_of("llama-3.1-70b"), line_of("qwen3-30b-a3b"), line_of("mixtral-8x22b-v0.1")
    ('llama-3.1', 'qwen3', 'mixtral')
    """
    parts = id_.split("-")
    for place, part in enumerate(parts):
        if place and _SIZE.match(part):
            return "-".join(parts[:place])
    return id_


def smaller_llms(model: LlmModel, catalog: Catalog) -> list[LlmModel]:
    """Smaller models of its line that the catalog knows, the largest first; at most two."""
    line = line_of(model.id)
    lines = (line, *_FOLLOWS.get(line, ()))
    total, active = model.params_total, model.params_active or model.params_total
    if total is None or active is None or model.id not in catalog.llm_models:
        return []

    def is_smaller(row: LlmModel) -> bool:
        if row.id == model.id or line_of(row.id) not in lines or row.params_total is None:
            return False
        return row.params_total <= LESS_TOTAL * total or (
            row.params_total < total and (row.params_active or row.params_total) <= LESS_ACTIVE * active
        )

    found = [row for row in catalog.llm_models.values() if is_smaller(row)]
    return sorted(found, key=lambda row: (-(row.params_total or 0), row.id))[:MOST_SIBLINGS]


def draft_for(model: LlmModel, catalog: Catalog) -> LlmModel | None:
    """The largest model of the same line and vocabulary that is small enough to draft for this one, or None."""
    line = line_of(model.id)
    lines = (line, *_FOLLOWS.get(line, ()))
    fitting = [
        row
        for row in catalog.llm_models.values()
        if line_of(row.id) in lines
        and row.vocab == model.vocab
        and row.params_total is not None
        and row.params_total <= DRAFT_SHARE * (model.params_total or 0)
    ]
    return max(fitting, key=lambda row: (row.params_total or 0, row.id), default=None)


def smaller_networks(id_: str, catalog: Catalog) -> list[str]:
    """Ids of the next smaller networks of the same make and task, the larger first; at most two."""
    for line in DEEP_LINES:
        if id_ in line:
            return [other for other in line[line.index(id_) + 1 :] if other in catalog.deep_learning_models][
                :MOST_SIBLINGS
            ]
    return []
