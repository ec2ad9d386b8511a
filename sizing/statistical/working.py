"""The plan in words and in arithmetic: the headline, each step with its numbers put in, and the caveats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sizing import cpu
from sizing.money import price_source
from sizing.plan import Deployment, Rejection, Step, nearest_miss
from sizing.scenario import StatisticalScenario
from sizing.statistical import serving_words, warm_up
from sizing.statistical.law import parts_us
from sizing.statistical.memory import OPERATING_SYSTEM_BYTES, REQUEST_BYTES_PER_VALUE
from sizing.statistical.own import own_model, steps_words
from sizing.statistical.steps import NOTHING, Preparation
from sizing.statistical.structure import Structure, id_bytes_per_node
from sizing.statistical_rows import ByteRule, RuntimeCost, StatisticalFamily
from sizing.units import HOURS_PER_MONTH, MIB, format_bytes, format_ms, format_usd

if TYPE_CHECKING:
    from sizing.statistical.candidate import Candidate
    from sizing.statistical.queues import Group

QUEUE_SOURCE = "M/G/c, see sizing/queueing.py"
CATALOG_STEP = "catalog row of the family"
BYTE_FORMULA = "fixed + per tree + per node + per parameter + per output and feature"


def traffic_words(scenario: StatisticalScenario) -> str:
    """The demanded load in words.

    >>> traffic_words(StatisticalScenario(requests_per_s=200))
    '200 requests/s'
    >>> traffic_words(StatisticalScenario(concurrency=30, think_time_s=1.5))
    '30 users pausing 1.5 s'
    """
    if scenario.concurrency is None:
        return f"{scenario.requests_per_s:,g} requests/s"
    users = "1 user" if scenario.concurrency == 1 else f"{scenario.concurrency:,} users"
    return f"{users} pausing {scenario.think_time_s:g} s" if scenario.think_time_s else f"{users} without pause"


def model_words(scenario: StatisticalScenario, family: StatisticalFamily) -> str:
    """The model in words: its family and the sizes that matter most; what its file is called, where it has one."""
    own = own_model(scenario)
    named = {
        "trees": f"{scenario.trees:,} tree{'' if scenario.trees == 1 else 's'}",
        "depth": f"depth {scenario.depth}",
        "support_vectors": f"{scenario.support_vectors:,} support vectors",
        "training_rows": f"{scenario.training_rows:,} stored rows",
        "clusters": f"{scenario.clusters:,} centres",
        "hidden_layers": "hidden layers " + " x ".join(str(width) for width in scenario.hidden_layers),
        "features": f"{scenario.features:,} feature{'' if scenario.features == 1 else 's'}",
    }
    if not scenario.hidden_layers:
        named["hidden_layers"] = "no hidden layer"
    if own is not None and own.trees:
        named["depth"] = f"up to {own.max_depth} level{'' if own.max_depth == 1 else 's'}"
    words = ", ".join([family.name, *(text for field, text in named.items() if field in family.size_fields)])
    return words if own is None or not own.name else f"{own.name}: {words}"


def headline(
    scenario: StatisticalScenario,
    family: StatisticalFamily,
    best: Deployment | None,
    binding: str,
    rejected: Sequence[Rejection],
) -> str:
    """One sentence for a stakeholder: model, load, machines, dollars and time; or what stands in the way."""
    what = f"{model_words(scenario, family)}, at {traffic_words(scenario)}"
    if best is None:
        example = nearest_miss(rejected, binding)
        reason = f" ({example.instance_type}: {example.because})" if example else ""
        return f"{what} is served by none of the {len(rejected)} kinds of instance: {binding} stands in the way{reason}"
    shown = best.verdicts[-1]
    limit = "" if shown.limit_ms is None else f" of {format_ms(shown.limit_ms)} allowed"
    return (
        f"{what} needs {best.instances} x {best.instance_type} ({best.provider}): "
        f"{format_usd(best.cost.usd_per_hour)} per hour, "
        f"p{shown.percentile} time in system {format_ms(shown.predicted_ms)}{limit}"
    )


def caveats(scenario: StatisticalScenario, family: StatisticalFamily, cost: RuntimeCost) -> tuple[str, ...]:
    """Short sentences on how far the answer can be trusted."""
    kind = "on models left out of the fit" if cost.held_out else "on the models fitted, too few to hold any out"
    found = [
        f"Model time is fitted to our own timings ({family.valid}): error {cost.error_median_share:.0%} median and "
        f"{cost.error_p90_share:.0%} P90 {kind}.",
        "CPU speeds relative to the measured host are recalled, not benchmarked: time one call on your machine.",
        "Requests are split at random over the instances and served by one-thread workers; web time is an input.",
    ]
    own = scenario.custom_model is not None
    if own:
        found.append("Sizes are those of the model file that was read; times are of its family in the catalog.")
    if family.doubts:
        found.append(family.doubts)
    if cost.note:
        found.append(f"{cost.name}: {cost.note}.")
    if family.shape in ("trees", "oblivious_trees") and scenario.outputs > 2:
        counted = "" if own else ": count every tree of every class under trees"
        found.append(f"Trees of more than two classes were not measured{counted}.")
    full = scenario.leaves is None or "leaves" not in family.size_fields
    if family.shape in ("trees", "oblivious_trees") and full and not own:
        found.append("Trees are taken as full; real ones are often smaller, so file and memory are upper figures.")
    if scenario.concurrency is not None:
        found.append(
            "Waits of users are approximate: p99 comes out up to 11 % high in 9 of 10 cases checked up to CV 1."
        )
    if scenario.spare_replicas:
        found.append("Spare instances share the load; times and utilization are with all of them up.")
    return (*found, *serving_words.caveats(scenario))


def working(
    scenario: StatisticalScenario,
    family: StatisticalFamily,
    cost: RuntimeCost,
    size: Structure,
    per_worker_bytes: dict[str, int],
    shown: Candidate | None,
    best: Deployment | None,
    before: Preparation = NOTHING,
) -> tuple[Step, ...]:
    """Arithmetic of the recommended deployment, or of the fastest candidate when none serves, or of the model alone."""
    steps = _model_steps(scenario, family, cost, size, per_worker_bytes)
    if before != NOTHING:
        steps.append(_preparation_step(scenario, before))
    if shown is not None:
        steps += serving_words.payload_steps(scenario, shown)
        steps += _service_steps(scenario, cost, shown)
    if shown is not None and best is not None:
        steps += serving_words.serving_steps(scenario, shown, best.utilization)
        steps += _deployment_steps(scenario, shown, best)
        steps.append(serving_words.warm_up_step(warm_up.of_model(cost, size, shown.speed.factor)))
    return tuple(steps)


def _model_steps(
    scenario: StatisticalScenario,
    family: StatisticalFamily,
    cost: RuntimeCost,
    size: Structure,
    per_worker_bytes: dict[str, int],
) -> list[Step]:
    rows = scenario.rows_per_request
    path = f"{size.trees:,} x {size.work_units / size.trees:.4g}" if size.trees else f"{size.work_units:,.0f}"
    parts = parts_us(cost=cost, size=size, rows=rows)
    call_us = parts["call_vector_ns"] + parts["call_unit_ns"] + parts["first_rows_ns"]
    rows_us = sum(parts.values()) - call_us - parts["call_us"] - parts["tree_us"]
    measured = f"{cost.source}; P90 error {cost.error_p90_share:.0%}"
    worker = sum(per_worker_bytes.values())
    own = own_model(scenario)
    as_read = own is not None and own.file_bytes == size.file_bytes
    return [
        Step(
            quantity="Work of one row",
            formula=size.work_formula,
            with_numbers=path,
            value=size.work_units,
            unit=size.work_unit,
            source="structure of the model",
            trust=family.trust,
        ),
        Step(
            quantity=f"Model file ({cost.file_format})",
            formula="bytes of the file" if as_read else BYTE_FORMULA,
            with_numbers=f"{size.file_bytes:,} B" if as_read else _byte_numbers(cost.file, size, scenario.outputs),
            value=size.file_bytes,
            unit="bytes",
            source="the file that was read"
            if as_read
            else f"{CATALOG_STEP}; P90 error {cost.file.error_p90_share:.0%}",
            trust=family.trust,
        ),
        Step(
            quantity="Model in memory",
            formula=BYTE_FORMULA,
            with_numbers=_byte_numbers(cost.resident, size, scenario.outputs),
            value=size.resident_bytes,
            unit="bytes",
            source=f"{CATALOG_STEP}, resident memory not trimmed; P90 error {cost.resident.error_p90_share:.0%}",
            trust=family.trust,
        ),
        Step(
            quantity="Memory of a worker",
            formula=f"process + model + rows x features x {REQUEST_BYTES_PER_VALUE} B",
            with_numbers=" + ".join(format_bytes(part) for part in per_worker_bytes.values()),
            value=worker,
            unit="bytes",
            source="base process of the library with a web server: own, one sample",
            trust=family.trust,
        ),
        Step(
            quantity="Model time on the measured host",
            formula="call + per tree x trees + work of a call and its first rows + rows x work of a row",
            with_numbers=f"{cost.call_us:g} µs + {cost.tree_us:g} µs x {size.trees:,} + {call_us:.4g} µs "
            f"+ {rows:,} x {rows_us / rows:.4g} µs",
            value=sum(parts.values()) / 1000.0,
            unit="ms",
            source=measured,
            trust=family.trust,
        ),
    ]


def _preparation_step(scenario: StatisticalScenario, before: Preparation) -> Step:
    """What the pipeline does to a request before the model, which the time of a call has in it."""
    own, rows = own_model(scenario), scenario.rows_per_request
    assert own is not None  # steps come from a file only
    return Step(
        quantity="Steps before the model on the measured host",
        formula="what the steps cost a call + rows x what they cost a row",
        with_numbers=f"{steps_words(own.steps)}: {before.call_us:.4g} µs + {rows:,} x {before.row_us:.4g} µs",
        value=before.time_us(rows) / 1000.0,
        unit="ms",
        source="catalog, table of steps: own timings with and without each",
        trust="single_source",
    )


def _service_steps(scenario: StatisticalScenario, cost: RuntimeCost, shown: Candidate) -> list[Step]:
    service, speed = shown.service, shown.speed
    sharing = cpu.sharing_factor(workers=shown.workers, cores=shown.cores)
    shared = f" x {sharing:.3g} (workers sharing cores)" if sharing > 1 else ""
    web = ""
    if service.basis != "estimated":
        there = service.host_call_ms * speed.factor**cost.call_scaling
        there += (service.host_model_ms - service.host_call_ms) * speed.factor**cost.loop_scaling
        moved = service.model_ms / (there * sharing)
        shared += f" x {moved:.3g} (your measurements)"
        web = "" if service.http_ms == scenario.http_overhead_ms else " (your measurements)"
    memory = shown.memory
    per_worker = (memory.used_bytes - OPERATING_SYSTEM_BYTES) // shown.workers
    instance = shown.offer.instance
    return [
        Step(
            quantity=f"CPU time factor of {instance.instance_type}",
            formula="time on one core / time on the measured host",
            with_numbers=f"{speed.factor:g} ({speed.low:g} to {speed.high:g}), {speed.core}",
            value=speed.factor,
            unit="1",
            source=cpu.CPU_SOURCE,
            trust="recalled",
        ),
        Step(
            quantity="Service time",
            formula="what a call costs x CPU factor^power + what rows cost x CPU factor^power + web server + parsing and writing",
            with_numbers=f"({service.host_call_ms:.4g} ms x {speed.factor:g}^{cost.call_scaling:g} + "
            f"{service.host_model_ms - service.host_call_ms:.4g} ms x {speed.factor:g}^{cost.loop_scaling:g}){shared} "
            f"+ {service.http_ms:.4g} ms{web}{serving_words.service_numbers(shown)}",
            value=service.mean_ms,
            unit="ms",
            source=f"80 % interval {format_ms(service.low_ms)} to {format_ms(service.high_ms)}",
            trust="derived" if service.basis == "estimated" else service.basis,
        ),
        Step(
            quantity="Workers on an instance",
            formula="one a physical core, unless given, as far as memory reaches",
            with_numbers=f"physical cores: {shown.cores}; memory: {format_bytes(memory.capacity_bytes)}",
            value=shown.workers,
            unit="workers",
            source="catalog row of the instance",
            trust=instance.trust,
        ),
        Step(
            quantity="Memory of an instance",
            formula="operating system + workers x memory of a worker",
            with_numbers=f"{OPERATING_SYSTEM_BYTES // MIB} MiB + {shown.workers} x {format_bytes(per_worker)}",
            value=memory.used_bytes,
            unit="bytes",
            source="operating system: recalled, 300 to 900 MiB",
            trust="derived",
        ),
    ]


def queue_words(group: Group) -> str:
    """The queue that a request meets, in words."""
    place = "one instance" if group.queues == 1 else "one worker"
    if group.batch is not None:
        return f"a queue of batches with the load of {place}"
    return f"{'a core shared by turns' if group.shared else 'an M/G/c queue'} with the load of {place}"


def _deployment_steps(scenario: StatisticalScenario, shown: Candidate, best: Deployment) -> list[Step]:
    rate, group = best.throughput.requests_per_s, shown.group
    latency = best.latency_ms["time_in_system"]
    last = best.verdicts[-1]
    spare = f", {scenario.spare_replicas} of them spare" if scenario.spare_replicas else ""
    if scenario.concurrency is None:
        demanded, numbers = "given", f"{rate.demanded:g} /s"
    else:
        demanded = "users / (pause + mean time in system), over the instances"
        numbers = f"{traffic_words(scenario)} over {best.instances}"
    return [
        Step(
            quantity="Demanded load",
            formula=demanded,
            with_numbers=numbers,
            value=rate.demanded,
            unit="requests/s",
            source="scenario" if scenario.concurrency is None else QUEUE_SOURCE,
            trust="given" if scenario.concurrency is None else "derived",
        ),
        Step(
            quantity="Instances",
            formula="load / what one serves within the utilization cap and every limit, rounded up, plus spares",
            with_numbers=f"{rate.demanded:.6g} /s / {best.extra['capacity_requests_per_s_per_instance']:.5g} /s; "
            f"{best.binding_constraint} sets the count{spare}",
            value=best.instances,
            unit="instances",
            source=QUEUE_SOURCE,
            trust="derived",
        ),
        Step(
            quantity="Utilization",
            formula="load x service time / (instances x workers)",
            with_numbers=f"{rate.demanded:.6g} /s x {group.service_ms:.4g} ms / ({best.instances} x {shown.workers}), "
            f"cap {scenario.utilization_cap:g}",
            value=best.utilization,
            unit="1",
            source="definition",
            trust="derived",
        ),
        Step(
            quantity=f"p{last.percentile} time in system",
            formula=f"quantile of wait + service in {queue_words(group)}",
            with_numbers=f"c = {group.workers}, S = {group.service_ms:.4g} ms, CV = {best.extra['service_cv']:g}, "
            f"{rate.demanded / best.instances / group.queues:.4g} requests/s",
            value=last.predicted_ms,
            unit="ms",
            source=f"{QUEUE_SOURCE}; p50 {format_ms(latency.p50)}, p95 {format_ms(latency.p95)}, "
            f"p99 {format_ms(latency.p99)}",
            trust="derived",
        ),
        Step(
            quantity="Capacity",
            formula="instances x workers x highest utilization the cap and the limits allow / service time",
            with_numbers=f"{best.instances} x {best.extra['capacity_requests_per_s_per_instance']:.5g} /s",
            value=rate.capacity,
            unit="requests/s",
            source=QUEUE_SOURCE,
            trust="derived",
        ),
        serving_words.network_step(shown, rate.demanded / best.instances),
        Step(
            quantity="Cost",
            formula="instances x price of one",
            with_numbers=f"{best.instances} x {format_usd(best.cost.usd_per_instance_hour)}",
            value=best.cost.usd_per_hour,
            unit="USD per hour",
            source=price_source(best.cost),
            trust=", ".join(best.cost.price_marks) or "list price",
        ),
        Step(
            quantity="Cost per month",
            formula="cost per hour x 730 h",
            with_numbers=f"{best.cost.usd_per_hour:.6g} x {HOURS_PER_MONTH}",
            value=best.cost.usd_per_month,
            unit="USD",
            source="month of 730 h",
            trust="derived",
        ),
    ]


def _byte_numbers(rule: ByteRule, size: Structure, outputs: int) -> str:
    per_node = (
        rule.node_bytes + rule.node_output_bytes * outputs + rule.node_class_bytes * (outputs > 2) * (outputs - 1)
    )
    if rule.counts_ids and size.trees:
        per_node += id_bytes_per_node(trees=size.trees, nodes=size.nodes)
    terms = (
        (rule.fixed_bytes, None),
        (rule.tree_bytes, size.trees),
        (per_node, size.nodes),
        (rule.parameter_bytes, size.parameters),
        (rule.vector_bytes, size.vectors),
        (rule.output_bytes, outputs),
        (rule.feature_bytes + rule.feature_output_bytes * outputs, size.features),
    )
    said = [f"{_said(each)} B" + ("" if of is None else f" x {of:,}") for each, of in terms if each and of != 0]
    return " + ".join(said) or "0 B"


def _said(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
