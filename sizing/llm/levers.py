"""What shortens the work of a request: prompts found in the prefix cache, and several tokens a step by drafting."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.llm.parameters import active_matmul_parameters
from sizing.llm.sharding import Split, step_bytes
from sizing.scenario import LlmScenario
from sizing.scenario_llm import WeightFormat

BLOCK_TOKENS = 16
"""Tokens of a block of the prefix cache; only whole blocks are found again. Source: vLLM's default (2025)."""


@dataclass(frozen=True, slots=True)
class PromptWork:
    """A mean prompt in parts [tokens]: found in the cache, and computed. `history_tokens` are earlier turns."""

    cached_tokens: int
    computed_tokens: int
    history_tokens: float
    new_tokens: float  # of the user's message


def prompt_work(scenario: LlmScenario) -> PromptWork:
    """Tokens of a mean prompt that are computed [tokens], the rest found in the prefix cache.

    A conversation of T turns sends S + k u + (k - 1) o tokens at turn k: shared prefix S, messages u, replies o. With a
    mean prompt L: u = 2 (L - S - o (T - 1) / 2) / (T + 1). History = L - S - u; its share that is still kept is found, S
    always; rounded down to whole blocks.

    Raises InputError when the prompt is too short for its shared prefix or its turns. Source: own, from the definition.

    >>> prompt_work(LlmScenario(prompt_tokens=3000, output_tokens=200, shared_prefix_tokens=1000)).computed_tokens
    2008
    >>> prompt_work(LlmScenario(prompt_tokens=3000, output_tokens=200, turns_per_conversation=5)).new_tokens
    866.6666666666666
    """
    length, shared, turns = scenario.prompt_tokens, scenario.shared_prefix_tokens, scenario.turns_per_conversation
    if shared >= length and shared:
        raise InputError("shared_prefix_tokens", shared, f"fewer tokens than the prompt's {length:,}")
    replies = scenario.output_tokens * (turns - 1.0) / 2.0
    new = 2.0 * (length - shared - replies) / (turns + 1.0)
    if new < 1.0:
        least = int(shared + replies + (turns + 1.0) / 2.0) + 1
        words = (
            f"at most what the prompt allows: {turns:g} turns with such replies need mean prompts of {least:,} tokens"
        )
        raise InputError("turns_per_conversation", turns, words)
    history = length - shared - new
    found = int((shared + scenario.history_kept_share * history) // BLOCK_TOKENS * BLOCK_TOKENS)
    found = min(found, length - 1)
    return PromptWork(found, length - found, history, new)


def history_demand_tokens(scenario: LlmScenario, requests_per_s: float) -> float:
    """KV tokens [tokens] of conversations that wait for their next turn, under so many requests per second.

    = rate x (T - 1) / T x time between turns x (mean prompt + reply): Little's law over the waits that a turn follows.
    """
    turns = scenario.turns_per_conversation
    waiting = requests_per_s * (turns - 1.0) / turns * scenario.seconds_between_turns
    return waiting * (scenario.prompt_tokens + scenario.output_tokens)


def tokens_per_pass(drafted: int, acceptance: float) -> float:
    """Tokens that a pass of the model yields on average [tokens]: 1 + a + ... + a^k for k drafted tokens.

    Source: Leviathan et al. 2023, equation 1 (each drafted token accepted with chance a, if those before it were).

    >>> tokens_per_pass(0, 0.7), round(tokens_per_pass(3, 0.7), 3), tokens_per_pass(2, 1.0)
    (1.0, 2.533, 3.0)
    """
    return float(sum(acceptance**k for k in range(drafted + 1)))


@dataclass(frozen=True, slots=True)
class Drafting:
    """How tokens are drafted: passes of the draft before each pass of the model, and what one reads and computes on a
    rank."""

    passes: int
    tokens_per_pass: float
    bytes_per_pass: float
    flops_per_token: float
    layers: float


NO_DRAFTING = Drafting(0, 1.0, 0.0, 0.0, 0.0)


@lru_cache(maxsize=1024)
def drafting_of(
    model: LlmModel,
    draft: LlmModel | None,
    *,
    drafted: int,
    acceptance: float,
    weight_format: WeightFormat,
    split: Split,
) -> Drafting:
    """Drafting by another model, or (draft None) by the model's own block: one more layer and the output head.

    Bytes are those of weights, every expert counted; operations 2 a parameter and token.
    """
    if draft is not None:
        alone = Split(tensor=split.tensor)
        dense, experts = step_bytes(draft, "native", alone)
        read, layers = dense + experts, float(draft.layers)
        active, head = active_matmul_parameters(draft)
        ranks = alone.width
    else:
        dense, experts = step_bytes(model, weight_format, split)
        active, head = active_matmul_parameters(model)
        share = head / (active + head)
        read = dense * (share + (1.0 - share) / model.layers) + experts / max(model.moe_layers, 1)
        active, layers, ranks = active / model.layers, 1.0, split.width
    return Drafting(drafted, tokens_per_pass(drafted, acceptance), read, 2.0 * (active + head) / ranks, layers)
