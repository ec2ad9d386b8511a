"""One replica with continuous batching and chunked prefill: what a step costs, what bounds it, and how it goes on.

Each step schedules as vLLM's V1 engine does: a token for every decoding sequence, then the prompt in progress, then
waiting requests in order while batch, token budget and KV blocks allow. When no block is free, the sequence admitted
last gives up its blocks, goes back to the front of the queue, and later computes prompt and reply so far again.
Two things are simpler here: a prompt takes all its blocks when admitted (there chunk by chunk), and cached tokens
take blocks of their own in each sequence (there shared).

Between events (an arrival that may be admitted, a prompt, the end of a sequence, a shortage of blocks) all steps have
the same sequences in them, and their durations are an arithmetic series: any number of them is one jump.

Source: vLLM, vllm/v1/core/sched/scheduler.py, `Scheduler.schedule`, read 2026-11-25; the jumps are own.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from sizing.errors import InputError
from sizing.llm.traces import MAX_TOKENS, Trace

Floats = NDArray[np.float64]

TICKS_PER_MS = 2**60
"""Ticks of the clock in a millisecond [1]. Times are whole ticks, which Python adds without rounding: a jump over k
steps ends exactly where k single steps end, so no rounding can move an arrival to another step."""

TOKEN_PARTS = 100
"""Parts of a token in which `tokens_per_step` is counted [1], so that blocks are counted in whole numbers too."""

MAX_COST_MS = 1e9
"""Largest cost accepted [ms]: eleven days, for what takes milliseconds."""

MAX_LIMIT = 10**12
"""Largest limit accepted [1], in tokens or sequences: a bound against slips, far above any machine."""

_NONE = -1


@dataclass(frozen=True, eq=False)
class StepCost:
    """Time [ms] of a step of one replica: D(n) + kv x context + prompt x chunk + attention x c (s + c / 2) per chunk.

    `decode_ms` has shape (max_batch + 1,): a step that decodes n sequences without reading their KV cache; [0] is the
    overhead of a step with prompts alone. `kv_ms_per_token` is for each token of context that decoding sequences
    read, `prompt_ms_per_token` for each prompt token, `attention_ms_per_token2` for a chunk of c tokens after s.
    `request_ms` passes outside the engine and occupies nothing. Raises InputError for a cost below 0 or not finite.

    >>> StepCost(np.array([2.0, 10.0]), kv_ms_per_token=0.0001, prompt_ms_per_token=0.05).request_ms
    0.0
    """

    decode_ms: Floats
    kv_ms_per_token: float
    prompt_ms_per_token: float
    attention_ms_per_token2: float = 0.0
    request_ms: float = 0.0

    def __post_init__(self) -> None:
        for name in ("decode_ms", "kv_ms_per_token", "prompt_ms_per_token", "attention_ms_per_token2", "request_ms"):
            cost_ms = np.ravel(getattr(self, name))
            wrong = ~((cost_ms >= 0.0) & (cost_ms <= MAX_COST_MS))
            if wrong.any():
                raise InputError(name, cost_ms[wrong][0], f"a number of milliseconds from 0 to {MAX_COST_MS:g}")


@dataclass(frozen=True)
class Limits:
    """What bounds a step: sequences at once [1], tokens of a step, KV tokens of memory, tokens of a block.

    `token_budget` is shared by decoding sequences (one each, first) and prompts (what is left); at least `max_batch`.
    Without `chunked`, a prompt is processed whole in a step of its own before decoding goes on, whatever the budget.
    `tokens_per_step` is what a sequence gains in a decoding step (above 1: speculative decoding), in hundredths.
    Raises InputError for values out of range.

    >>> Limits(max_batch=64, token_budget=2048, kv_tokens=100_000).block_tokens
    16
    """

    max_batch: int
    token_budget: int
    kv_tokens: int
    block_tokens: int = 16
    chunked: bool = True
    tokens_per_step: float = 1.0

    def __post_init__(self) -> None:
        least = self.max_batch if self.chunked else 1
        for name, low in (("max_batch", 1), ("token_budget", least), ("block_tokens", 1), ("kv_tokens", 1)):
            value = getattr(self, name)
            if not (low <= value <= MAX_LIMIT and value == int(value)):
                raise InputError(name, value, f"a whole number from {low} to {MAX_LIMIT}")
        if not 1.0 <= self.tokens_per_step <= 100.0:
            raise InputError("tokens_per_step", self.tokens_per_step, "a number from 1 to 100")


def ticks_of(ms: float) -> int:
    """Whole ticks of a time [ms]: ms x TICKS_PER_MS, to the nearest.

    >>> ticks_of(0.5) == 2**59
    True
    """
    return round(ms * TICKS_PER_MS)


def steps_until(gap: int, first: int, growth: int) -> int:
    """Least number of steps [1] that last `gap` ticks or more: k with k first + growth k (k - 1) / 2 >= gap > 0.

    Step m lasts first + (m - 1) growth. The root of the quadratic in floats, then put right in whole numbers.

    >>> steps_until(30, 10, 0), steps_until(31, 10, 0), steps_until(33, 10, 1)
    (3, 4, 3)
    """
    slope = 2 * first - growth
    steps = max(1, int(4 * gap / (slope + math.sqrt(slope * slope + 8 * growth * gap))))
    while duration(steps, first, growth) < gap:
        steps += 1
    while steps > 1 and duration(steps - 1, first, growth) >= gap:
        steps -= 1
    return steps


def duration(steps: int, first: int, growth: int) -> int:
    """Ticks that `steps` steps last, the first `first` ticks and each next one `growth` more: an arithmetic series.

    >>> duration(3, 10, 1)
    33
    """
    return steps * first + growth * (steps * (steps - 1) // 2)


class _Blocks:
    """KV blocks of one replica, counted in whole parts of a token.

    A sequence that decodes gains `gain` parts a round and takes a block when it crosses into one. `phases` counts
    the decoding sequences by the position (round x gain, modulo the size of a block) from which they cross; it holds
    that cycle twice, so that any span up to a cycle is one slice.
    """

    def __init__(self, limits: Limits) -> None:
        gain = round(limits.tokens_per_step * TOKEN_PARTS)
        shared = math.gcd(gain, TOKEN_PARTS)
        self.gain, self.token = gain // shared, TOKEN_PARTS // shared
        self.size = limits.block_tokens * self.token
        self.total = self.free = self.least_free = limits.kv_tokens // limits.block_tokens
        self.position = self.growing = 0
        self.phases = [0] * (2 * self.size)

    def held(self, prompt: int, rounds: int) -> int:
        """Blocks of a sequence so many rounds after its prompt."""
        return -(-(prompt * self.token + rounds * self.gain) // self.size)

    def needed(self, rounds: int) -> int:
        """Blocks that all decoding sequences together take in the next rounds."""
        cycles, rest = divmod(rounds * self.gain, self.size)
        start = self.position % self.size
        return cycles * self.growing + sum(self.phases[start : start + rest])

    def grow(self, rounds: int) -> None:
        """Take the blocks of the next rounds."""
        self.take(self.needed(rounds))
        self.position += rounds * self.gain

    def take(self, blocks: int) -> None:
        self.free -= blocks
        if self.free < self.least_free:
            self.least_free = self.free

    def count(self, prompt: int, rounds: int, change: int) -> None:
        """Enter (+1) or leave out (-1) a decoding sequence so many rounds after its prompt."""
        phase = (self.position - rounds * self.gain - prompt * self.token) % self.size
        self.phases[phase] += change
        self.phases[phase + self.size] += change
        self.growing += change


class Replica:
    """State between two steps; times are ticks, requests are numbered in order of arrival.

    `round` counts the steps in which sequences decode. All of them take part in each, so that one which needs m more
    ends at round + m, and what it holds by then follows from its rounds alone.
    """

    def __init__(self, cost: StepCost, limits: Limits, trace: Trace, arrival: list[int], resend: int) -> None:
        count = len(trace.prompt_tokens)
        _check(cost, limits, trace)
        self.max_batch, self.chunked = limits.max_batch, limits.chunked
        self.token_budget = limits.token_budget if limits.chunked else 2 * MAX_TOKENS  # above any prompt and its reply
        self.blocks = _Blocks(limits)
        self.decode_ticks = [ticks_of(step_ms) for step_ms in cost.decode_ms[: limits.max_batch + 1].tolist()]
        self.context_ticks = ticks_of(cost.kv_ms_per_token)
        self.growth_ticks = ticks_of(cost.kv_ms_per_token * self.blocks.gain / self.blocks.token)
        self.prompt_ticks = ticks_of(cost.prompt_ms_per_token)
        self.half_square_ticks = ticks_of(cost.attention_ms_per_token2 / 2.0)

        self.arrival, self.next, self.resend = arrival, 0, resend
        self.prompt: list[int] = trace.prompt_tokens.tolist()
        self.output: list[int] = trace.output_tokens.tolist()
        self.cached: list[int] = trace.cached_tokens.tolist()
        self.first, self.end, self.preemptions = [_NONE] * count, [_NONE] * count, [0] * count
        self.unfinished = count

        self.preempted: list[int] = []  # ahead of all arrivals; the next one last
        self.admitted: list[int] = []  # in order of admission, also those that have ended
        self.current, self.current_done = _NONE, 0  # the prompt in progress, and how much of it is done
        self.last_round = [_NONE] * count  # of a sequence that decodes
        self.endings: list[tuple[int, int]] = []  # heap of (last round, request); void where last_round differs
        self.decoding = 0
        self.context = 0  # ticks to read the context of all decoding sequences in the next step
        self.clock = self.busy = self.round = self.steps = self.events = 0

    def run(self) -> None:
        """Go from event to event until every reply is complete."""
        while self.unfinished:
            self.events += 1
            short = self.chunked and self._make_room()
            if not short and self._prompt_step():
                continue
            if self.decoding:
                short = short or self._make_room()
                # After a preemption there may be room for the queue again in the very next step.
                self._decode(1 if short else self._same_steps())
            else:
                self.clock = self.arrival[self.next]

    def _waiting(self) -> int:
        """The request at the front of the queue, or _NONE."""
        if self.preempted:
            return self.preempted[-1]
        if self.next < len(self.arrival) and self.arrival[self.next] <= self.clock:
            return self.next
        return _NONE

    def _admit(self, request: int) -> None:
        if self.preempted:
            self.preempted.pop()
        else:
            self.next += 1
        self.admitted.append(request)
        self.current = request
        # The last token of a prompt is always computed: its result is the first token.
        self.current_done = min(self.cached[request], self.prompt[request] - 1)

    def _prompt_step(self) -> bool:
        """One step with the prompt in progress and those that can be admitted; False if there is none."""
        beside = self.decoding if self.chunked else 0
        budget = self.token_budget - beside
        growth = self.blocks.needed(1) if beside else 0
        ticks = 0
        complete: list[int] = []
        while budget > 0:
            if self.current == _NONE:
                request = self._waiting()
                if request == _NONE or self.decoding + len(complete) == self.max_batch:
                    break
                blocks = self.blocks.held(self.prompt[request], 0)
                if blocks + growth > self.blocks.free:
                    break
                self.blocks.take(blocks)
                self._admit(request)
            left = self.prompt[self.current] - self.current_done
            chunk = min(left, budget)
            ticks += chunk * (self.prompt_ticks + self.half_square_ticks * (2 * self.current_done + chunk))
            budget -= chunk
            if chunk < left:
                self.current_done += chunk
                break
            complete.append(self.current)
            self.current = _NONE
            if not self.chunked:
                break
        if self.current == _NONE and not complete:
            return False
        self._pass(1, self.decode_ticks[beside] + ticks + (self.context if beside else 0), beside > 0)
        for request in complete:
            self._first_token(request)
        return True

    def _decode(self, steps: int) -> None:
        """So many steps of the decoding sequences alone."""
        first = self.decode_ticks[self.decoding] + self.context
        self._pass(steps, duration(steps, first, self.decoding * self.growth_ticks), True)

    def _pass(self, steps: int, ticks: int, decodes: bool) -> None:
        """Let the time of so many steps pass; then end the sequences whose last round it was."""
        self.clock += ticks
        self.busy += ticks
        self.steps += steps
        if not decodes:
            return
        self.blocks.grow(steps)
        self.round += steps
        self.context += steps * self.decoding * self.growth_ticks
        endings = self.endings
        while endings and endings[0][0] <= self.round:
            last, request = heappop(endings)
            if self.last_round[request] == last:
                self._leave(request)
                self._finish(request)

    def _same_steps(self) -> int:
        """Steps until the next event: a sequence ends, blocks run short, or an arrival may be admitted."""
        steps = self.endings[0][0] - self.round
        if self.blocks.needed(steps) > self.blocks.free:
            steps = bisect_right(range(steps), self.blocks.free, key=self.blocks.needed) - 1
        if self.decoding == self.max_batch or self.next == len(self.arrival) or self._waiting() != _NONE:
            return steps  # whoever waits now needs room that only an end can give
        gap = self.arrival[self.next] - self.clock
        first = self.decode_ticks[self.decoding] + self.context
        growth = self.decoding * self.growth_ticks
        return steps if duration(steps, first, growth) <= gap else steps_until(gap, first, growth)

    def _make_room(self) -> bool:
        """Preempt the sequences admitted last until the others can take a step; whether any had to be."""
        short = False
        while self.blocks.needed(1) > self.blocks.free:
            request = self.admitted.pop()
            if request == self.current:
                self.current = _NONE
                self.blocks.free += self.blocks.held(self.prompt[request], 0)
            elif self.last_round[request] != _NONE:
                generated = 1 + self._leave(request) * self.blocks.gain // self.blocks.token
                self.prompt[request] += generated
                self.output[request] -= generated
            else:
                continue  # ended long ago
            self.preempted.append(request)
            self.preemptions[request] += 1
            short = True
        return short

    def _first_token(self, request: int) -> None:
        """The prompt is complete: the sequence decodes from now on, or ends if one token was all."""
        if self.first[request] == _NONE:
            self.first[request] = self.clock
        prompt, rounds = self.prompt[request], self._rounds(request)
        if rounds == 0:
            self.blocks.free += self.blocks.held(prompt, 0)
            self._finish(request)
            return
        self.decoding += 1
        self.context += prompt * self.context_ticks + self.growth_ticks
        self.blocks.count(prompt, 0, +1)
        self.last_round[request] = self.round + rounds
        heappush(self.endings, (self.last_round[request], request))

    def _leave(self, request: int) -> int:
        """Take a sequence out of those that decode, and free its blocks; the rounds it has decoded."""
        prompt, rounds = self.prompt[request], self._rounds(request) - (self.last_round[request] - self.round)
        self.decoding -= 1
        self.context -= prompt * self.context_ticks + (rounds + 1) * self.growth_ticks
        self.blocks.count(prompt, rounds, -1)
        self.blocks.free += self.blocks.held(prompt, rounds)
        self.last_round[request] = _NONE
        return rounds

    def _rounds(self, request: int) -> int:
        """Decoding steps after the prompt: the prompt gives one token, each round gain / token."""
        return -(-(self.output[request] - 1) * self.blocks.token // self.blocks.gain)

    def _finish(self, request: int) -> None:
        self.end[request] = self.clock
        self.unfinished -= 1
        if len(self.arrival) < len(self.prompt):  # closed loop: the client sends again
            insort(self.arrival, self.clock + self.resend, lo=self.next)


def _check(cost: StepCost, limits: Limits, trace: Trace) -> None:
    """Costs reach to the batch limit, and each request alone fits, in whole blocks and with all a step may gain."""
    if len(cost.decode_ms) <= limits.max_batch:
        raise InputError(
            "decode_ms", f"{len(cost.decode_ms)} values", f"one for each of 0 to {limits.max_batch} sequences"
        )
    tokens = trace.prompt_tokens + trace.output_tokens + (math.ceil(limits.tokens_per_step) - 1)
    longest = -(-int(tokens.max()) // limits.block_tokens) * limits.block_tokens
    if longest > limits.kv_tokens:
        raise InputError("kv_tokens", limits.kv_tokens, f"{longest} or more, which the longest request needs alone")
