"""Facts of a network at given dimensions: parameters, multiply-adds, every tensor, and exactly what is alive when."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from sizing.deep_learning.onnx.contrib import MICROSOFT
from sizing.deep_learning.onnx.liveness import Life, Step, life
from sizing.deep_learning.onnx.shapes import Shaped, shaped
from sizing.deep_learning.onnx.weights import Weights, weights_of
from sizing.deep_learning.onnx.work import PRODUCTS, SHARES_STORAGE, counted, kind_of, macs
from sizing.deep_learning.operators import Operator
from sizing.errors import shown
from sizing.onnx.records import ML, Branch, Network, Node, Tensor

FLOPS_PER_MAC = 2
FLOATS = ("float", "bfloat")
SHOWN_NAMES = 20
SHOWN_KINDS = 8


@dataclass(frozen=True)
class Work:
    """Work of one node: its label and operator, multiply-adds [count], bytes it writes, and shape of its first output."""

    name: str
    op: str
    macs: int
    written_bytes: int
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Analysis:
    """A network at one set of dimensions. All sizes in bytes as the file stores its types; counts are of one pass."""

    network: Network
    shapes: Shaped
    weights: Weights
    works: tuple[Work, ...]
    unknown_macs: tuple[str, ...]
    notes: tuple[str, ...]
    _operators: tuple[Operator, ...] = field(repr=False)
    reshapes: int = 0

    @property
    def parameters(self) -> int:
        """Parameters [count]."""
        return self.weights.parameters

    @cached_property
    def macs(self) -> int:
        """Multiply-adds of the pass [count]."""
        return sum(work.macs for work in self.works)

    @property
    def input_bytes(self) -> int:
        """Size of the graph inputs [bytes]."""
        return sum(tensor.bytes or 0 for tensor in self.shapes.inputs)

    @cached_property
    def life(self) -> Life:
        """Life of every tensor [bytes], as the file stores its types."""
        return life(self._steps(None), self.network.outputs)

    def life_in(self, float_bytes: int) -> Life:
        """Life of every tensor [bytes] with floats of another size: 4 for fp32, 2 for fp16; other types keep theirs."""
        return life(self._steps(float_bytes), self.network.outputs)

    @property
    def peak_at(self) -> str | None:
        """Name and operator of the node at which most is alive."""
        at = self.life.peak_step
        return None if at is None else self.shapes.nodes[at].label

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the tensors whose size is not known."""
        return self.shapes.unknown

    @property
    def complete(self) -> bool:
        """Whether the totals are whole, not lower limits."""
        return not (self.unknown or self.unknown_macs or self.shapes.control)

    def intermediates(self) -> list[Tensor]:
        """Every tensor that a node makes, constants left out, in stored order."""
        made = (name for node in self.shapes.nodes for name in node.outputs if name)
        return [self.shapes.tensors[name] for name in made if name not in self.shapes.constants]

    def macs_by_op(self) -> dict[str, int]:
        """Multiply-adds by operator [count], the largest first."""
        found: dict[str, int] = defaultdict(int)
        for work in self.works:
            found[work.op] += work.macs
        return dict(sorted(((k, v) for k, v in found.items() if v), key=lambda pair: -pair[1]))

    def operators(self) -> tuple[Operator, ...]:
        """Work of each node that does some, for the speed model [count of elements]; those that only share storage and those
        that compute shapes are left out."""
        return self._operators

    def _steps(self, float_bytes: int | None) -> list[Step]:
        return [_step(node, self.shapes, float_bytes) for node in self.shapes.nodes]


def analyse(network: Network, dims: Mapping[str, int]) -> Analysis:
    """Facts of a network at these values of its open dimensions; raises InputError as `shaped`.

    peak live: nodes in stored order, outputs allocated while inputs live, freed after the last reader; reshape-like nodes share
    storage; constants do not count.
    """
    shapes = shaped(network, dims)
    works: list[Work] = []
    operators: list[Operator] = []
    unknown: list[str] = []
    reshapes = 0
    for node in shapes.nodes:
        if node.outputs and all(not name or name in shapes.constants for name in node.outputs):
            continue
        inputs = [shapes.tensors.get(name) for name in node.inputs]
        outputs = [shapes.tensors.get(name) for name in node.outputs]
        amount = macs(node, inputs, outputs)
        if amount is None:
            unknown.append(node.label)
        written = 0 if _shares(node) else sum(t.bytes or 0 for t in outputs if t is not None)
        works.append(
            Work(node.name, node.op, amount or 0, written, outputs[0].shape if outputs and outputs[0] else None)
        )
        if _shares(node):
            reshapes += 1
        elif not all(t is None or t.value is not None for t in outputs):
            operators.append(_operator(node, shapes, inputs, outputs, amount or 0))
    weights = weights_of(shapes.nodes, shapes.initializers)
    found = Analysis(network, shapes, weights, tuple(works), tuple(unknown), (), tuple(operators), reshapes)
    return replace(found, notes=_notes(found))


def _shares(node: Node) -> bool:
    return node.op in SHARES_STORAGE and not node.domain


def _step(node: Node, shapes: Shaped, float_bytes: int | None) -> Step:
    reads = {name for name in node.inputs if name}
    for value in node.attributes.values():
        if isinstance(value, Branch):
            reads |= _captured(value)
    shares: tuple[tuple[str, str], ...] = ()
    made = [name for name in node.outputs if name and name not in shapes.constants]
    if _shares(node) and node.outputs and node.inputs and node.outputs[0] in made:
        shares = ((node.outputs[0], node.inputs[0]),)
        made = made[1:]
    return Step(tuple(reads), tuple((name, _size(shapes.tensors[name], float_bytes)) for name in made), shares)


def _size(tensor: Tensor, float_bytes: int | None) -> int:
    if float_bytes is not None and tensor.dtype.startswith(FLOATS):
        return (tensor.elements or 0) * float_bytes
    return tensor.bytes or 0


def _captured(branch: Branch) -> set[str]:
    """Names that a graph inside a node reads from outside."""
    found = {name for node in branch.nodes for name in node.inputs if name} | set(branch.outputs)
    for node in branch.nodes:
        for value in node.attributes.values():
            if isinstance(value, Branch):
                found |= _captured(value)
    return found


def _operator(
    node: Node, shapes: Shaped, inputs: list[Tensor | None], outputs: list[Tensor | None], amount: int
) -> Operator:
    read = weights = 0
    for position, (name, tensor) in enumerate(zip(node.inputs, inputs, strict=True)):
        if tensor is None:
            continue
        if name not in shapes.constants:
            read += _touched(node, position, tensor, outputs)
        elif node.op in ("Gather", "GatherND", "GatherElements"):
            # A lookup reads the rows it gives, not the table.
            read += sum(t.elements or 0 for t in outputs if t is not None)
        else:
            weights += tensor.elements or 0
    first, second = PRODUCTS.get(node.op, (0, 1))
    names = [node.inputs[i] for i in (first, second) if i < len(node.inputs)]
    return Operator(
        name=node.name,
        kind=kind_of(node, inputs, two_activations=not any(name in shapes.constants for name in names)),
        macs=float(amount),
        read_elements=float(read),
        written_elements=float(sum(t.elements or 0 for t in outputs if t is not None)),
        weight_elements=float(weights),
    )


def _touched(node: Node, position: int, tensor: Tensor, outputs: list[Tensor | None]) -> int:
    """Elements of an input that a node reads (count): a slice or a lookup reads what it gives."""
    if position == 0 and node.op in ("Slice", "Gather", "GatherND", "GatherElements"):
        return min(tensor.elements or 0, sum(t.elements or 0 for t in outputs if t is not None))
    return tensor.elements or 0


def _notes(found: Analysis) -> tuple[str, ...]:
    said = list(found.network.notes)
    shapes, network = found.shapes, found.network
    if not found.complete:
        said.append("The totals are lower limits, as parts of the graph are not known")
    if shapes.unknown:
        more = f" and {len(shapes.unknown) - 5} more" if len(shapes.unknown) > 5 else ""
        said.append(f"Sizes that cannot be inferred: {', '.join(map(_plain, shapes.unknown[:5]))}{more}")
    if shapes.stated:
        said.append(f"{shapes.stated:,} shapes are as the file states them, not inferred")
    if shapes.control:
        named = ", ".join(f"{count} {op}" for op, count in Counter(n.op for n in shapes.control).items())
        said.append(f"Control flow ({named}): what happens inside is not counted, but its weights are")
    if found.unknown_macs:
        said.append(
            f"Multiply-adds are not known of {len(found.unknown_macs):,} nodes, such as {_plain(found.unknown_macs[0])}"
        )
    if found.weights.batch_norm_nodes:
        said.append(
            f"{found.weights.batch_norm_nodes} batch norm nodes are kept: scale and bias are parameters, mean and variance are not"
        )
    elif any(work.op == "Conv" for work in found.works):
        said.append(
            "No batch norm node is in the file: where the network has any, the exporter folded it into the convolutions"
        )
    learning = Counter(node.op for node in network.nodes if node.domain == ML)
    if learning:
        named = ", ".join(f"{op} x {count}" for op, count in list(learning.items())[:SHOWN_KINDS])
        said.append(f"ONNX-ML operators: {_plain(named)}; their work is not counted here, the figures are of the rest")
    foreign = Counter((node.domain, node.op) for node in network.nodes if node.domain not in ("", ML, MICROSOFT))
    if foreign:
        named = ", ".join(f"{domain}.{op} x {count}" for (domain, op), count in list(foreign.items())[:SHOWN_KINDS])
        said.append(f"Operators of other domains, whose work is not known here: {_plain(named)}")
    strange = Counter(
        n.op
        for n in network.nodes
        if (not n.domain and n.schema is None) or (n.domain == MICROSOFT and not counted(n.op) and n.schema is None)
    )
    unknown = [
        op for op in strange if any(n.op == op and any(o in shapes.unknown for o in n.outputs) for n in network.nodes)
    ]
    if unknown:
        said.append(f"Operators that are not known here: {', '.join(map(_plain, unknown[:SHOWN_KINDS]))}")
    return tuple(said)


def _plain(text: str) -> str:
    return shown(text).strip("'")
