"""What a foreign network is made of, found by running it: its last layer, its stages, its axes.

Names and sources of networks differ, but every classifier does the same: all that the network says goes through one
affine layer, with no nonlinearity after it but a softmax. So we watch one forward pass, and then force the output of
the last layers to a constant: what comes out is constant only if all of it goes through them. Nothing is guessed from
shapes alone; what stays open is an error that says what to do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

MIXING = {
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose2d", "matmul", "__matmul__", "__rmatmul__", "mm",
    "bmm", "addmm", "baddbmm", "einsum", "bilinear", "tensordot", "multi_head_attention_forward", "mv",
}  # fmt: skip
NORMS = {
    "batch_norm", "layer_norm", "group_norm", "rms_norm", "instance_norm", "native_layer_norm",
    "native_group_norm",
}  # fmt: skip
BENDING = NORMS | {
    "relu", "relu_", "relu6", "gelu", "silu", "silu_", "mish", "hardswish", "hardswish_", "leaky_relu",
    "leaky_relu_", "elu", "elu_", "selu", "celu", "prelu", "tanh", "softplus", "clamp", "clamp_", "hardtanh",
    "hardtanh_",
}  # fmt: skip
OWN_CLASSIFIERS = (
    "fc",
    "_fc",
    "head",
    "heads",
    "head_dist",
    "dist_head",
    "clf",
    "last_linear",
)  # and whatever says "classif" or "logit"


class Op(NamedTuple):
    """A weighted layer that mixes features ("mixes"), or a nonlinearity or norm, as it was called in a forward pass."""

    path: str  # of the module that called it, "" for the network itself
    name: str
    mixes: bool
    kernel: tuple[int, ...] = ()


@dataclass
class Trace:
    """One forward pass: its operations in order, and of each module the calls, and the last input and output."""

    ops: list[Op] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)  # tensors are copies: a later layer may write in place
    result: Any = None


class _Watch(TorchFunctionMode):
    """Notes each function that gets a parameter, or what was computed from parameters only, beside data."""

    def __init__(self, trace: Trace, parameters: Sequence[Tensor], stack: list[str]):
        super().__init__()
        self.trace, self.stack = trace, stack
        self.weights = {id(p): p for p in parameters}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").split(".")[0]  # of an overloaded operator: linear.default
        tensors = list(tensors_in([args, kwargs or {}]))
        weights = [t for t in tensors if id(t) in self.weights]
        if tensors and len(weights) == len(tensors):
            self.weights.update({id(t): t for t in tensors_in(out)})
        elif name in BENDING or (name in MIXING and weights):
            kernel = tuple(weights[0].shape[2:]) if name.startswith("conv") and weights else ()
            self.trace.ops.append(Op(self.stack[-1], name, name in MIXING, kernel))
        return out


def tensors_in(x: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists, dicts and output objects, in order."""
    if isinstance(x, Tensor):
        yield x
    elif isinstance(x, Mapping):
        for value in x.values():
            yield from tensors_in(value)
    elif isinstance(x, tuple | list):
        for value in x:
            yield from tensors_in(value)


def parts_of(output: Any) -> dict[str | int, Tensor]:
    """The tensors that a forward pass returned, by key, attribute or position; a single tensor has the key 0."""
    if isinstance(output, Tensor):
        return {0: output}
    if isinstance(output, Mapping):
        items: Any = output.items()
    elif hasattr(output, "_asdict"):
        items = output._asdict().items()
    elif isinstance(output, tuple | list):
        items = enumerate(output)
    else:
        items = getattr(output, "__dict__", {}).items()
    return {key: value for key, value in items if isinstance(value, Tensor)}


def only_tensor(output: Any) -> Tensor | None:
    """The tensor that a module returned, alone or as the only one in a tuple."""
    found = list(tensors_in(output))
    return found[0] if len(found) == 1 else None


@contextmanager
def hooks(handles: Sequence[Any]) -> Iterator[None]:
    """Removes the hooks at the end."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def trace(net: nn.Module, run: Callable[[], Any]) -> Trace:
    """Watch what `run()`, a forward pass of `net`, does."""
    seen, stack = Trace(), [""]

    def enter(name: str) -> Callable:
        def hook(_module: nn.Module, args: Any, kwargs: Any) -> None:
            stack.append(name)
            seen.calls[name] = seen.calls.get(name, 0) + 1
            given = next(tensors_in([args, kwargs]), None)
            if given is not None:
                seen.inputs[name] = given.clone()

        return hook

    def leave(name: str) -> Callable:
        def hook(module: nn.Module, _args: Any, output: Any) -> None:
            stack.pop()
            z = depth_of(output)
            seen.outputs[name] = output if z is None else z.clone()
            # a quantized layer's weights are no parameters, and its function is its own
            if "quantized" in type(module).__module__ and "bias" in dir(module):
                seen.ops.append(Op(name, "conv2d" if hasattr(module, "kernel_size") else "linear", True))

        return hook

    handles: list[Any] = []
    for name, module in net.named_modules():
        if name and not isinstance(module, torch.jit.ScriptModule):
            handles += [
                module.register_forward_pre_hook(enter(name), with_kwargs=True),
                module.register_forward_hook(leave(name)),
            ]
    with hooks(handles), _Watch(seen, list(net.parameters()), stack):
        seen.result = run()
    return seen


def forced(net: nn.Module, run: Callable[[], Any], paths: Sequence[str]) -> tuple[Any, dict[str, Tensor]]:
    """What the network returns when the modules at `paths` return ones, and the inputs that these get then."""
    inputs: dict[str, Tensor] = {}

    def ones(name: str) -> Callable:
        def hook(_module: nn.Module, args: Any, output: Any) -> Any:
            inputs[name] = next(tensors_in(args)).clone()
            return _ones(output)

        return hook

    with hooks([net.get_submodule(path).register_forward_hook(ones(path)) for path in paths]):
        return run(), inputs


def _ones(x: Any) -> Any:
    if isinstance(x, Tensor):
        if not x.is_quantized:
            return torch.ones_like(x)
        return torch.quantize_per_tensor(torch.ones(x.shape), x.q_scale(), x.q_zero_point(), x.dtype)
    return type(x)(_ones(part) for part in x) if type(x) in (tuple, list) else x


def same(a: Any, b: Any) -> bool:
    """Whether two tensors have the same numbers, up to rounding; what are no tensors are the same."""
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return True
    if a.shape != b.shape:
        return False
    a, b = (t.dequantize() if t.is_quantized else t for t in (a, b))
    a, b = (t.double().nan_to_num() if t.is_floating_point() else t.double() for t in (a, b))
    return bool((a - b).abs().amax() <= 1e-6 * b.abs().amax()) if a.numel() else True


def find_head(net: nn.Module, run: Callable[[], Any], seen: Trace, key: str | int) -> str | None:
    """The classifier through which all of the output `key` goes; None where the output already is features.

    Raises ValueError if the last layer may be a classifier or not, and names it.
    """
    before = parts_of(seen.result)[key]
    through: list[str] = []  # layers side by side, such as two heads that are averaged
    for path in dict.fromkeys(op.path for op in reversed(seen.ops) if op.mixes):
        if not path:
            raise ValueError(
                f"a last layer of {type(net).__name__} is computed in its own forward, with weights and no module, so "
                "nothing shows what goes into it: pass head=None if the output is features, no logits."
            )
        out, inputs = forced(net, run, [*through, path])
        out = parts_of(out)[key]
        if torch.equal(out, before):
            continue  # the output does not need this layer, or only by way of what is forced already
        if any(not same(inputs[layer], seen.inputs[layer]) for layer in through):
            return None  # the layer feeds the others, and there is another way past them: a residual network
        if _constant(out):
            return _judge(net, seen, [*through, path])
        for whole in [] if through else _ancestors(path):  # a layer of several parts, as LoRA has them
            if _affine(seen, whole) and _constant(parts_of(forced(net, run, [whole])[0])[key]):
                return _judge(net, seen, [whole])
        through, before = [*through, path], out
    return None


def _constant(z: Tensor) -> bool:
    return same(z[1:], z[:1].expand_as(z[1:]))


def _ancestors(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]


def _inside(op: Op, path: str) -> bool:
    return op.path == path or op.path.startswith(f"{path}.")


def _affine(seen: Trace, path: str) -> bool:
    """Whether the module was called once and bends nothing (an evaluated BatchNorm only scales)."""
    bends = [op for op in seen.ops if _inside(op, path) and op.name in BENDING and op.name != "batch_norm"]
    return seen.calls.get(path) == 1 and not bends


def _judge(net: nn.Module, seen: Trace, layers: list[str]) -> str | None:
    """The head that the last `layers` are, None if they are ordinary layers; ValueError if that is open."""
    mixing = [op for op in seen.ops if op.mixes]
    last = max(i for i, op in enumerate(seen.ops) if op.mixes and any(_inside(op, layer) for layer in layers))
    op, after = seen.ops[last], {later.name for later in seen.ops[last + 1 :] if not later.mixes}
    bent, normed, convolved = bool(after & BENDING), bool(after & NORMS), op.name.startswith("conv")
    named = [
        [a for a in reversed([at, *_ancestors(at)]) if says_classifier(a) and not _inside(mixing[0], a)]
        for at in layers
    ]
    if not all(named) or normed:
        ordinary = normed or (bent and op.kernel != (1, 1)) if convolved else bent and not normed
        if ordinary:
            return None  # a nonlinearity comes after: features
        raise ValueError(
            f"all that {type(net).__name__} returns goes through its last layer, {' and '.join(map(repr, layers))}, "
            f"which may be a classifier or not: pass head={layers[0]!r} for what goes into it, or head=None for the "
            "output, if that is features and no logits."
        )
    if not all(same(seen.inputs[layer], seen.inputs[layers[0]]) for layer in layers):
        raise ValueError(
            f"{type(net).__name__} has several heads, {', '.join(map(repr, layers))}, that do not read the same "
            "features: choose one by head=."
        )
    head = layers[0]
    container = next((a for a in named[0] if a in seen.calls), head)  # a list of heads is never called itself
    several = {o.path for o in mixing if _inside(o, container) and not any(_inside(o, layer) for layer in layers)}
    if several:
        outer, _, name = container.rpartition(".")
        # torchvision's classifiers of several layers read maps: what is usual is what timm takes, too, the last layer
        if name != "classifier" or not type(net.get_submodule(outer)).__module__.startswith("torchvision."):
            raise ValueError(
                f"the head {container!r} of {type(net).__name__} has several layers: pass head={container!r} for what "
                f"goes into it, as for a projector, or head={head!r} for what goes into its last layer."
            )
    for wider in _ancestors(head):  # a BatchNorm before the layer is part of the head; a dropout changes nothing
        if not _inside(Op(wider, "", True), container) or not _affine(seen, wider):
            break
        if len(layers) == 1 and seen.inputs[wider].numel() == seen.inputs[layers[0]].numel():
            head = wider
    return head


def says_classifier(path: str) -> bool:
    """Whether the last word of a module's path is a usual name of a classifier."""
    word = path.rpartition(".")[2].lower()
    return word in OWN_CLASSIFIERS or "classif" in word or "logit" in word


def find_stages(net: nn.Module, seen: Trace, head: str | None) -> list[str]:
    """The stages of the network, named as it names them: the first row of like modules with most of its layers."""

    def layers(path: str) -> int:
        return sum(op.mixes and _inside(op, path) for op in seen.ops)

    def row(path: str) -> list[str]:
        """Children with weights that run before the head; lists of modules are looked through."""
        found = []
        for name, child in net.get_submodule(path).named_children():
            at = f"{path}.{name}" if path else name
            if at not in seen.calls:  # a list of modules
                found += row(at)
            elif head is not None and (at == head or head.startswith(f"{at}.")):
                continue
            elif seen.calls[at] == 1 and (layers(at) or next(child.parameters(), None) is not None):
                found.append(at)
        return found

    best: list[str] = []
    here = _around(net, seen, head)
    while True:
        children = row(here)
        blocks = [c for c in children if next(net.get_submodule(c).children(), None) is not None]
        stages = [c for c in blocks if depth_of(seen.outputs[c]) is not None]
        if len(stages) > 1:
            best = stages
        elif len(best) < 2:
            wide = [c for c in children if any(p.ndim > 1 for p in net.get_submodule(c).parameters())]
            best = [c for c in wide if depth_of(seen.outputs[c]) is not None] or best
        kinds = [type(net.get_submodule(c)) for c in blocks]
        alike = max(map(kinds.count, kinds), default=0)
        largest = max(blocks, key=layers, default="")
        if not largest or alike > 2 or (alike == 2 and layers(largest) < 0.8 * sum(map(layers, blocks))):
            break
        here = largest
    order = {name: i for i, name in enumerate(seen.outputs)}
    return sorted(best, key=order.__getitem__)


def _around(net: nn.Module, seen: Trace, head: str | None) -> str:
    """The innermost module that holds the head and the network's first layer: past wrappers."""
    first = next((op.path for op in seen.ops if op.mixes), "")
    return next((a for a in _ancestors(head or "") if _inside(Op(first, "", True), a)), "")


def depth_of(output: Any) -> Tensor | None:
    """The features in what a submodule returned: its tensor, or the first of several, the hidden states."""
    found = next(tensors_in(output), None)
    return found if found is not None and found.ndim in (2, 3, 4) else None


def channel_axis(net: nn.Module, path: str, z: Tensor, *, square: bool) -> int:
    """The axis of the channels in a depth's output: 1 for maps (b, d, h, w), -1 for vectors, tokens and (b, h, w, d).

    Of square images, maps are square, so the two equal axes are positions; the weights inside settle the rest.
    Raises ValueError if both leave it open.
    """
    if z.ndim == 2:
        return -1
    weights = list(net.get_submodule(path).parameters()) if path else []
    kinds = {type(m).__name__ for m in net.get_submodule(path).modules()} if path else set()
    widths = [p.shape[0] for p in weights]
    first, last = z.shape[1], z.shape[-1]
    if z.ndim == 3:
        return 1 if widths and first in widths and last not in widths else -1
    square_first, square_last = z.shape[2] == z.shape[3], z.shape[1] == z.shape[2]
    if square and square_first != square_last:
        return 1 if square_first else -1
    if widths and (first in widths) != (last in widths):
        return 1 if first in widths else -1
    maps = any(p.ndim == 4 for p in weights) or any("BatchNorm" in kind for kind in kinds)
    if maps != (any(p.ndim == 2 for p in weights) or any("LayerNorm" in kind for kind in kinds)):
        return 1 if maps else -1
    where = f"the depth {path!r}" if path else "the output"
    raise ValueError(
        f"{where} has shape {tuple(z.shape)}: we cannot tell its channels from its positions. Pass another size=, at "
        "which they differ."
    )
