"""One replica simulated step by step in floats, as plain as can be: what sizing.llm.simulation must agree with.

A step follows `Scheduler.schedule` of vLLM V1: running requests in order, each asking for its blocks and preempting
from the tail when there are none, then the waiting ones. It shares no code with the event simulation.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from fractions import Fraction

from sizing.llm.simulation import Limits, StepCost
from sizing.llm.traces import Trace


@dataclass(eq=False)  # two alike are still two
class Sequence:
    arrival_ms: float
    prompt: int
    output: int
    cached: int
    done: int = 0  # prompt tokens computed
    rounds: int = 0  # decoding steps taken since
    blocks: int = 0
    preemptions: int = 0
    first_ms: float | None = None
    end_ms: float = math.nan

    @property
    def decodes(self) -> bool:
        return self.done == self.prompt


class StepByStep:
    """With `clients`, only the arrivals of so many requests of the trace count; the others follow replies."""

    def __init__(
        self, cost: StepCost, limits: Limits, trace: Trace, *, clients: int | None = None, think_ms: float = 0.0
    ) -> None:
        self.cost, self.limits, self.trace, self.think_ms = cost, limits, trace, think_ms
        self.gain = Fraction(round(limits.tokens_per_step * 100), 100)
        self.arrivals = [float(second) * 1000.0 for second in trace.arrival_s[:clients]]
        self.sequences: list[Sequence] = []
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.total_blocks = self.free = limits.kv_tokens // limits.block_tokens
        self.now = self.busy_ms = 0.0
        self.steps = self.peak_blocks = 0
        while self.take_arrivals():
            self.step()

    def take_arrivals(self) -> bool:
        """Those that have arrived wait now; with nobody there, go to the next arrival. Whether there is work."""
        while True:
            self.arrivals.sort()
            while len(self.sequences) < len(self.arrivals) and self.arrivals[len(self.sequences)] <= self.now:
                number = len(self.sequences)
                columns = (self.trace.prompt_tokens, self.trace.output_tokens, self.trace.cached_tokens)
                request = Sequence(self.arrivals[number], *(int(tokens[number]) for tokens in columns))
                self.sequences.append(request)
                self.waiting.append(request)
            if self.running or self.waiting:
                return True
            if len(self.sequences) == len(self.arrivals):
                return False
            self.now = self.arrivals[len(self.sequences)]

    def step(self) -> None:
        decoded: list[Sequence] = []
        chunks: list[tuple[Sequence, int]] = []
        if self.limits.chunked:
            budget = self.limits.token_budget
            before = sum(sequence.preemptions for sequence in self.sequences)
            decoded = self.give_blocks()
            preempted = before < sum(sequence.preemptions for sequence in self.sequences)
            budget -= len(decoded)
            for request in self.running:
                if not request.decodes:
                    chunks.append((request, min(request.prompt - request.done, budget)))
                    budget -= chunks[-1][1]
            while not preempted and budget > 0 and self.can_admit():
                request = self.admit()
                chunks.append((request, min(request.prompt - request.done, budget)))
                budget -= chunks[-1][1]
        elif self.can_admit():
            request = self.admit()
            chunks.append((request, request.prompt - request.done))
        else:
            decoded = self.give_blocks()

        assert decoded or chunks
        assert self.free >= 0
        assert all(chunk > 0 for _, chunk in chunks)
        assert len(self.running) <= self.limits.max_batch
        self.peak_blocks = max(self.peak_blocks, self.total_blocks - self.free)
        self.spend(decoded, chunks)
        for request in decoded:
            request.rounds += 1
        for request, chunk in chunks:
            request.done += chunk
            if request.decodes and request.first_ms is None:
                request.first_ms = self.now
        for request in list(self.running):
            if request.decodes and 1 + self.gain * request.rounds >= request.output:
                self.finish(request)

    def give_blocks(self) -> list[Sequence]:
        """Blocks for one more decoding step, in order of admission; those that got theirs."""
        given = []
        for request in list(self.running):
            if request not in self.running:
                break  # preempted, and all behind it
            if not request.decodes:
                continue
            wanted = self.blocks_of(request.prompt + self.gain * (request.rounds + 1))
            while wanted - request.blocks > self.free and request in self.running:
                self.preempt(self.running[-1])
            if request in self.running:
                self.free -= wanted - request.blocks
                request.blocks = wanted
                given.append(request)
        return given

    def preempt(self, request: Sequence) -> None:
        self.running.remove(request)
        self.waiting.appendleft(request)
        self.free += request.blocks
        if request.decodes:
            generated = 1 + math.floor(self.gain * request.rounds)
            request.prompt += generated
            request.output -= generated
        request.blocks = request.done = request.rounds = 0
        request.preemptions += 1

    def can_admit(self) -> bool:
        room = len(self.running) < self.limits.max_batch
        return bool(self.waiting) and room and self.blocks_of(self.waiting[0].prompt) <= self.free

    def admit(self) -> Sequence:
        request = self.waiting.popleft()
        request.blocks = self.blocks_of(request.prompt)
        request.done = min(request.cached, request.prompt - 1)
        self.free -= request.blocks
        self.running.append(request)
        return request

    def spend(self, decoded: list[Sequence], chunks: list[tuple[Sequence, int]]) -> None:
        context = sum(request.prompt + self.gain * (request.rounds + 1) for request in decoded)
        step_ms = float(self.cost.decode_ms[len(decoded)]) + self.cost.kv_ms_per_token * float(context)
        for request, chunk in chunks:
            step_ms += self.cost.prompt_ms_per_token * chunk
            step_ms += self.cost.attention_ms_per_token2 * chunk * (request.done + chunk / 2)
        self.now += step_ms
        self.busy_ms += step_ms
        self.steps += 1

    def finish(self, request: Sequence) -> None:
        request.end_ms = self.now
        self.running.remove(request)
        self.free += request.blocks
        if len(self.arrivals) < len(self.trace.arrival_s):
            self.arrivals.append(self.now + self.cost.request_ms + self.think_ms)

    def blocks_of(self, tokens: Fraction | int) -> int:
        return math.ceil(tokens / Fraction(self.limits.block_tokens))
