"""A scenario sized anew with the time of a batch moved, and the latency of a deployment that is left as it is."""

from __future__ import annotations

from math import inf

import numpy as np

from sizing import fleet
from sizing.batch_gather import OVERLAP_SHARE, batcher, capacity_per_ms
from sizing.catalog import Catalog
from sizing.deep_learning.closed import closed_batch_loop
from sizing.deep_learning.host import host_work
from sizing.deep_learning.law import Law
from sizing.deep_learning.pipeline import facts_of
from sizing.deep_learning.plan import deployments
from sizing.deep_learning.processor import session_on
from sizing.deep_learning.workers import Miss, Ready, Retime, as_predicted, ready_cpu, ready_gpu
from sizing.outcome import Outcome, outcome_of
from sizing.plan import Deployment
from sizing.scenario import DeepLearningScenario
from sizing.units import MS_PER_S


def fast_end(law: Law) -> Law:
    """The law at the fast end of its 80 % interval."""
    return law.moved(fixed=law.fast, each=law.fast)


def slow_end(law: Law) -> Law:
    """The law at the slow end of its 80 % interval."""
    return law.moved(fixed=law.slow, each=law.slow)


def resized(
    scenario: DeepLearningScenario, catalog: Catalog, retime: Retime = as_predicted, *, instance: str | None = None
) -> tuple[Outcome, ...]:
    """What serves the scenario, ranked, with the time of a batch moved; on one kind of instance, or on all that are allowed.

    The budget is left aside: it says what may be rented, not what is needed. Raises InputError as `plan` does.
    """
    update: dict[str, object] = {"max_usd_per_month": None}
    if instance is not None:
        update["instances"] = (instance,)
    return tuple(map(outcome_of, deployments(scenario.model_copy(update=update), catalog, retime)))


def ready_on(
    scenario: DeepLearningScenario, catalog: Catalog, instance: str, retime: Retime = as_predicted
) -> Ready | Miss | None:
    """The worker of one kind of instance with its law and memory, or why it cannot run; None where it is not on offer."""
    graph = facts_of(scenario, catalog)
    allowed = scenario.model_copy(update={"instances": (instance,)})
    category = catalog.instance(instance).category
    for offer in fleet.offers(allowed, catalog, category=category)[0]:
        if offer.accelerator is not None:
            return ready_gpu(scenario, graph, offer.accelerator, retime)
        session = session_on(offer.instance)
        if session is not None:
            alone = scenario.model_copy(update={"model_instances_per_gpu": 1, "queue_delay_ms": 0.0})
            return ready_cpu(alone, graph, session, retime)
    return None


def latency_ms(
    scenario: DeepLearningScenario, catalog: Catalog, deployment: Deployment, retime: Retime = as_predicted
) -> float | None:
    """Latency [ms] at the scenario's percentile with the deployment's workers and largest batch left as they are.

    Infinite where the load is more than they serve; None where one sample no longer fits in memory.
    """
    # Neither a limit nor a batch of its own may move what is looked at, nor refuse it.
    free = scenario.model_copy(update={"latency_target_ms": None, "batch": None})
    found = ready_on(free, catalog, deployment.instance, retime)
    if found is None or isinstance(found, Miss):
        return None
    on_gpu = deployment.accelerator is not None
    instances, delay = (scenario.model_instances_per_gpu, scenario.queue_delay_ms) if on_gpu else (1, 0.0)
    workers = deployment.replicas - scenario.spare_replicas
    cpu = host_work(scenario, facts_of(scenario, catalog)).cpu_ms
    t0, k = np.array([found.law.t0_ms]), np.array([found.law.k_ms])
    batch = np.array([float(deployment.batch or 1)])
    full = capacity_per_ms(t0_ms=t0, k_ms=k, max_batch=batch, instances=instances)
    if scenario.requests_per_s is not None:
        rate = np.array([scenario.requests_per_s / MS_PER_S / workers])
        if rate[0] >= full[0]:
            return inf
        queue = batcher(t0_ms=t0, k_ms=k, max_batch=batch, rate_per_ms=rate, delay_ms=delay, instances=instances)
        return float(queue.percentile_ms(scenario.slo_percentile)[0]) + cpu
    clients = np.array([(scenario.concurrency or 1) / workers])
    behind = OVERLAP_SHARE * float(t0[0]) if instances > 1 else 0.0
    wait = behind + (delay if clients[0] < batch[0] else 0.0)
    together = np.maximum(batch / full - k * batch, 1e-9)
    away = cpu + scenario.think_time_s * MS_PER_S + wait
    loop = closed_batch_loop(t0_ms=together, k_ms=k, max_batch=batch, clients=clients, away_ms=np.array([away]))
    return float(loop.percentile_ms(scenario.slo_percentile)[0]) + wait + cpu
