"""What an API would charge for a scenario's traffic: the prices that fit its model, or the user's own, by the request.

A request of a language model is billed by its tokens: those of the prompt that no cache holds, those that one holds (at
the provider's price for them, else at the prompt's), and those of the reply. Anything else is billed by the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sizing.catalog import Catalog
from sizing.catalog_rows import UNDATED
from sizing.llm.levers import prompt_work
from sizing.llm.models import CUSTOM
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario
from sizing.units import HOURS_PER_MONTH, SECONDS_PER_HOUR

SECONDS_PER_MONTH = HOURS_PER_MONTH * SECONDS_PER_HOUR
TOKENS_A_PRICE_IS_FOR = 1e6
OWN = "own"
"""Id of the price that the user entered."""


@dataclass(frozen=True, slots=True)
class Billed:
    """Mean tokens of a request as an API bills them [tokens]."""

    input_tokens: float
    cached_tokens: float
    output_tokens: float


@dataclass(frozen=True, slots=True)
class ApiOffer:
    """One API for this traffic: its prices [USD per 10^6 tokens, per 1,000 requests], and what a request costs [USD]."""

    id: str
    provider: str
    model: str
    usd_per_million_input: float | None
    usd_per_million_output: float | None
    usd_per_million_cached: float | None
    usd_per_1k_requests: float | None
    usd_per_request: float
    as_of: str
    marks: tuple[str, ...]
    source: str
    note: str | None
    serves_the_model: bool

    @property
    def name(self) -> str:
        """The provider, and the model as it is called there."""
        return self.provider if self.id == OWN else f"{self.provider}: {self.model}"

    def usd_per_month(self, requests_per_s: float) -> float:
        """Cost of a month of 730 h [USD] at a mean load [1/s]: load x 730 x 3600 x cost of a request."""
        return requests_per_s * SECONDS_PER_MONTH * self.usd_per_request


def billed(scenario: LlmScenario) -> Billed:
    """Mean tokens of a request as an API bills them; what the scenario's prompts share counts as found in its cache.

    >>> billed(LlmScenario(prompt_tokens=3000, output_tokens=200, shared_prefix_tokens=1000))
    Billed(input_tokens=2008, cached_tokens=992, output_tokens=200)
    """
    work = prompt_work(scenario)
    return Billed(work.computed_tokens, work.cached_tokens, scenario.output_tokens)


def usd_per_request(
    tokens: Billed | None,
    *,
    input_usd: float | None = None,
    output_usd: float | None = None,
    cached_usd: float | None = None,
    usd_per_1k_requests: float | None = None,
) -> float:
    """Cost of a request [USD]: (prompt x its price + cached x its price + reply x its price) / 10^6 + fee / 1,000.

    Prices are USD per 10^6 tokens, the fee USD per 1,000 requests; a price not given is 0, that of cached tokens the
    prompt's.

    >>> usd_per_request(Billed(2008, 992, 200), input_usd=0.5, output_usd=1.5)
    0.0018
    >>> usd_per_request(None, usd_per_1k_requests=40.0)
    0.04
    """
    fee = (usd_per_1k_requests or 0.0) / 1000.0
    if tokens is None:
        return fee
    prompt = input_usd or 0.0
    cached = prompt if cached_usd is None else cached_usd
    sum_of_parts = tokens.input_tokens * prompt + tokens.cached_tokens * cached
    return (sum_of_parts + tokens.output_tokens * (output_usd or 0.0)) / TOKENS_A_PRICE_IS_FOR + fee


def own_offer(scenario: AnyScenario) -> ApiOffer | None:
    """The API price that the user entered, or None if they entered none."""
    per_request = scenario.api_usd_per_1k_requests
    prompt = output = cached = tokens = None
    if isinstance(scenario, LlmScenario):
        prompt, output = scenario.api_usd_per_million_input_tokens, scenario.api_usd_per_million_output_tokens
        cached, tokens = scenario.api_usd_per_million_cached_tokens, billed(scenario)
    if per_request is None and prompt is None and output is None:
        return None
    missing = " and ".join(name for name, price in (("prompt", prompt), ("reply", output)) if price is None)
    counts = f"no price of {missing} tokens was entered: they count as free" if missing and tokens is not None else None
    return ApiOffer(
        id=OWN,
        provider="your API price",
        model="as you entered it",
        usd_per_million_input=prompt,
        usd_per_million_output=output,
        usd_per_million_cached=cached,
        usd_per_1k_requests=per_request,
        usd_per_request=usd_per_request(
            tokens, input_usd=prompt, output_usd=output, cached_usd=cached, usd_per_1k_requests=per_request
        ),
        as_of=UNDATED,
        marks=("your own price",),
        source="entered by the user",
        note=counts,
        serves_the_model=True,
    )


@lru_cache(maxsize=16)
def api_offers(scenario: AnyScenario, catalog: Catalog) -> tuple[ApiOffer, ...]:
    """The APIs of the catalog for a scenario's traffic, those of its own model first, each group by cost of a request."""
    tokens = billed(scenario) if isinstance(scenario, LlmScenario) else None
    model = scenario.model if isinstance(scenario, LlmScenario | DeepLearningScenario) else None
    if model == CUSTOM or (isinstance(scenario, LlmScenario) and scenario.custom_config is not None):
        model = None
    found = []
    for row in catalog.api_prices.values():
        serves = model is not None and model in row.models
        if row.kind != scenario.kind or not (serves or (row.kind == "llm" and not row.models)):
            continue
        found.append(
            ApiOffer(
                id=row.id,
                provider=row.provider,
                model=row.provider_model,
                usd_per_million_input=row.usd_per_million_input_tokens,
                usd_per_million_output=row.usd_per_million_output_tokens,
                usd_per_million_cached=row.usd_per_million_cached_tokens,
                usd_per_1k_requests=row.usd_per_1k_requests,
                usd_per_request=usd_per_request(
                    tokens,
                    input_usd=row.usd_per_million_input_tokens,
                    output_usd=row.usd_per_million_output_tokens,
                    cached_usd=row.usd_per_million_cached_tokens,
                    usd_per_1k_requests=row.usd_per_1k_requests,
                ),
                as_of=row.as_of,
                marks=row.marks(catalog.as_of),
                source=row.source,
                note=row.note,
                serves_the_model=serves,
            )
        )
    return tuple(sorted(found, key=lambda offer: (not offer.serves_the_model, offer.usd_per_request, offer.id)))
