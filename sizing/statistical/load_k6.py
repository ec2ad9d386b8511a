"""A k6 script for a load test: open loop, arrivals at random, thresholds from the scenario's limits.

k6's arrival-rate executors space arrivals evenly, which queues less than arrivals at random: p99 comes out at 0.15 to 0.7 of what
random arrivals give (benchmarks/LOAD_TEST_LENGTH.md). Each iteration of this script therefore first waits a random time of up to D.
Evenly spaced points each moved at random are Poisson over times shorter than D; with D of 100 relaxation times of the queue p99
is 2 to 6 % low.
"""

from __future__ import annotations

import json
import math

from sizing.statistical.load_test import LoadTest

FILE = "k6_load_test.js"
RESULT = "k6_result.json"

SPREAD_RELAXATIONS = 100.0
"""D in relaxation times of the queue [1]; see LOAD_TEST_LENGTH.md for what less does."""

LEAST_SPREAD_S = 0.5
MOST_SPREAD_S = 20.0
"""Bounds of D [s]: each second of it holds as many virtual users as requests start in half a second."""


def spread_s(test: LoadTest) -> float:
    """D, the longest random wait before a request [s]."""
    return min(max(SPREAD_RELAXATIONS * test.relaxation_s, LEAST_SPREAD_S), MOST_SPREAD_S)


def k6_script(test: LoadTest) -> str:
    """Text of the k6 script of a test, with its loads, payload and limits filled in."""
    first = test.loads[0]
    loads = [{"name": "warm_up", "rate": first.requests_per_s, "seconds": test.warm_up_s}]
    loads += [
        {"name": f"load_{i}", "rate": round(load.requests_per_s, 3), "seconds": load.seconds}
        for i, load in enumerate(test.loads, 1)
    ]
    loads[0]["rate"] = loads[1]["rate"]
    limits = {f"p({p})": limit for p, limit in zip((50, 95, 99), test.limits_ms, strict=True) if limit is not None}
    spread = spread_s(test)
    holding = test.highest_per_s * (spread / 2.0 + max(load.p99_ms for load in test.loads) / 1000.0)
    filled = {
        "WHAT": f"{test.instances} x {test.instance_type}, {test.workers} workers each",
        "LOADS": json.dumps(loads),
        "SPREAD": f"{spread:.3g}",
        "ROWS": str(test.rows),
        "FEATURES": str(test.features),
        "LIMITS": json.dumps(limits),
        "INSTANCE": json.dumps(test.instance),
        "INSTANCES": str(test.instances),
        "WORKERS": str(test.workers),
        "USERS": str(math.ceil(1.2 * holding + 20)),
        "COMMAND": k6_command(),
        "RESULT": RESULT,
    }
    text = _TEMPLATE
    for name, value in filled.items():
        text = text.replace(f"@{name}@", value)
    return text


def k6_command(*, path: str = "/predict") -> str:
    """Command line that runs the script; it writes its result by itself. ENDPOINT is scheme, host and port."""
    return f'k6 run -e URL="$ENDPOINT{path}" {FILE}'


_TEMPLATE = """// Open-loop load test of @WHAT@, for k6 0.50 or newer.
//
//   @COMMAND@
//
// k6 spaces arrivals evenly, which queues less than real traffic. So each iteration waits a random time of up to SPREAD_S before
// it sends: over times shorter than that, arrivals are random (Poisson). It holds a virtual user for as long, hence their number.
// dropped_iterations above 0 means that k6 could not keep up: use more virtual users or another machine.
// Change body() to what your endpoint takes. @RESULT@ is the file to upload.

import http from 'k6/http';
import { check, sleep } from 'k6';

const LOADS = @LOADS@;
const SPREAD_S = @SPREAD@;
const ROWS = @ROWS@;
const FEATURES = @FEATURES@;
const LIMITS_MS = @LIMITS@;
const USERS = @USERS@;
const URL = __ENV.URL;
const BODIES = Math.max(1, Math.min(20, Math.floor(200000 / (ROWS * FEATURES))));

const scenarios = {};
const thresholds = { dropped_iterations: ['count<1'] };
let start = 0;
for (const load of LOADS) {
  scenarios[load.name] = {
    executor: 'constant-arrival-rate',
    rate: Math.max(1, Math.round(load.rate * 1000)),
    timeUnit: '1000s',
    duration: `${load.seconds}s`,
    startTime: `${start}s`,
    preAllocatedVUs: USERS,
    maxVUs: 3 * USERS,
    gracefulStop: `${Math.ceil(SPREAD_S) + 60}s`,
    tags: { load: load.name, rate: String(load.rate) },
  };
  start += load.seconds;
  if (load.name !== 'warm_up') {
    const limits = Object.entries(LIMITS_MS).map(([name, limit]) => `${name}<${limit}`);
    thresholds[`http_req_duration{scenario:${load.name}}`] = limits.length ? limits : ['p(99)>=0'];
    thresholds[`http_req_failed{scenario:${load.name}}`] = ['rate<0.01'];
    thresholds[`http_reqs{scenario:${load.name}}`] = ['count>=0'];
  }
}

export const options = {
  scenarios,
  thresholds,
  discardResponseBodies: true,
  summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(90)', 'p(95)', 'p(99)', 'p(99.9)', 'count'],
};

function body() {
  const row = () => Array.from({ length: FEATURES }, () => Math.round((Math.random() * 6 - 3) * 1e5) / 1e5);
  return JSON.stringify({ instances: Array.from({ length: ROWS }, row) });
}

const bodies = Array.from({ length: BODIES }, body);

export default function () {
  sleep(Math.random() * SPREAD_S);
  const reply = http.post(URL, bodies[Math.floor(Math.random() * bodies.length)], {
    headers: { 'Content-Type': 'application/json' },
    timeout: '60s',
  });
  check(reply, { 'status is 2xx': (r) => r.status >= 200 && r.status < 300 });
}

export function handleSummary(data) {
  const sizing = {
    loads: LOADS,
    spread_s: SPREAD_S,
    rows: ROWS,
    instance: @INSTANCE@,
    instances: @INSTANCES@,
    workers: @WORKERS@,
  };
  let text = '';
  for (const load of LOADS) {
    const found = data.metrics[`http_req_duration{scenario:${load.name}}`];
    if (found) text += `${load.name}: ${load.rate}/s, p99 ${found.values['p(99)'].toFixed(2)} ms\\n`;
  }
  return { '@RESULT@': JSON.stringify(Object.assign({}, data, { sizing })), stdout: text };
}
"""
