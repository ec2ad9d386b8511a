"""Which part of a model a tensor belongs to, by its name in checkpoints of Hugging Face and in GGUF files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

SCALES, VISION, MTP = "scales", "vision", "mtp"
STORED_GROUPS = (
    *("embedding", "attention", "mixer", "dense_ffn", "experts", "shared_experts", "router", "norms", "head"),
    *(SCALES, VISION, MTP, "other"),
)
"""Groups of `sizing.llm.architecture`, and: scales (with zero points and the like), vision (encoders of images or sound and
their projectors), mtp (blocks that predict several tokens)."""

_DIGITS = re.compile(r"(?<![A-Za-z_])\d+")
_GROUPS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (group, re.compile(pattern))
    for group, pattern in (
        (MTP, r"(^|\.)mtp(_\w+)?\.|\.nextn\."),
        (
            VISION,
            r"(^|\.)(visual|vision\w*|image_\w+|img_\w+|multi_modal_projector|mm_projector|modality_projection|audio\w*|speech\w*"
            r"|embed_vision|embed_audio|patch_embed|aligner|connector|merger)\.|^(v|a|mm)\.",
        ),
        ("norms", r"norm\d?(_\w+)?(\.|$)|norm_\w+\.|layernorm|(^|[._])ln(_\w+|\d)?\.|norm\.weight$"),
        (
            "router",
            r"(mlp|moe|block_sparse_moe|feed_forward|ffn|mixer)\.(gate|router)(\.|$)|\.router(\.|$)|gate_inp|\.gate\.wg\."
            r"|correction_bias|exp_probs_b|shared_expert_gate|expert_bias",
        ),
        ("shared_experts", r"shared_experts?(\.|$)|shared_mlp|_shexp(\.|$)"),
        ("experts", r"experts?\.|_exps(\.|$)|block_sparse_moe\.(input|output)_linear"),
        (
            "head",
            r"^(model\.|language_model\.|transformer\.|text_model\.)*(lm_head|embed_out|output_layer|output|head|unembedding)\.",
        ),
        (
            "embedding",
            r"embed_tokens|word_embeddings?|(^|\.)wte\.|(^|\.)wpe\.|tok_embeddings|embed_in\.|token_embd|position_embd|token_types"
            r"|embed_positions|(^|\.)embeddings?\.|^(model\.)?embed\.",
        ),
        ("attention", r"mixer\.(q|k|v|o|qkv)_proj"),
        ("dense_ffn", r"mixer\.(up|down|gate)_proj"),
        (
            "mixer",
            r"mixer\.|mamba\.|linear_attn|\.ssm_|time_mix|shortconv|short_conv|\.conv\.(conv|in_proj|out_proj)|A_log|dt_bias",
        ),
        (
            "attention",
            r"attn|attention|\.(q|k|v|o|qkv|out)_proj\.|query_key_value|\.(wq|wk|wv|wo|wqkv|Wqkv|sinks)(\.|$)|indexer",
        ),
        ("dense_ffn", r"mlp|feed_forward|ffn|fc1|fc2|fc_in|fc_out|(up|down|gate|gate_up)_proj|\.w[123]\.|dense_\w*4?h"),
    )
)
"""Patterns in the order they are tried. Source: names that transformers and llama.cpp use (2026)."""


def groups_of(names: Iterable[str]) -> dict[str, str]:
    """Group of each tensor name.

    A whole layer belongs to mtp if it holds an `eh_proj`, as in DeepSeek-V3; a module belongs to mixer if it holds an
    `A_log`, as in Kimi linear attention.

    >>> groups_of(["model.layers.0.mlp.up_proj.weight", "blk.0.attn_q.weight", "model.layers.61.eh_proj.weight"])
    {'model.layers.0.mlp.up_proj.weight': 'dense_ffn', 'blk.0.attn_q.weight': 'attention', 'model.layers.61.eh_proj.weight': 'mtp'}
    """
    listed = list(names)
    extra = {n.split(".eh_proj.")[0] + "." for n in listed if ".eh_proj." in n}
    states = {n[: -len("A_log")] for n in listed if n.endswith(".A_log")}
    found = {}
    for name in listed:
        group = group_of(name)
        if extra and any(name.startswith(prefix) for prefix in extra):
            group = MTP
        elif group == "attention" and states and any(name.startswith(prefix) for prefix in states):
            group = "mixer"
        found[name] = group
    return found


def group_of(name: str) -> str:
    """Group of one tensor name taken alone, one of `STORED_GROUPS` but scales, which need the names beside them.

    >>> [group_of(n) for n in ("lm_head.weight", "blk.3.ffn_down_exps.weight", "transformer.h.0.ln_1.bias")]
    ['head', 'experts', 'norms']
    """
    return _group_of_pattern(_DIGITS.sub("0", name))


@lru_cache(maxsize=4096)
def _group_of_pattern(name: str) -> str:
    return next((group for group, pattern in _GROUPS if pattern.search(name)), "other")
