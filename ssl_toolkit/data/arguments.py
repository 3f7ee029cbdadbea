"""What public functions take: a signature's own shapes and types, held where the user calls.

    @checked
    def knn_accuracy(bank: Float[Tensor, "n d"], bank_labels: Int64[Tensor, " n"], ...) -> float: ...

Arrays become tensors and labels of any whole type int64. What does not fit is refused in a sentence that names the
argument, before anything is computed: one shape that PyTorch would broadcast is a wrong number without a word. The
shapes stand in the signature anyway, so no function repeats them. Inside the library, only the tests check shapes.
"""

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce, wraps
from inspect import Parameter, isclass, signature
from types import NoneType, UnionType
from typing import Any, NamedTuple, ParamSpec, TypeVar, Union, get_args, get_origin

import numpy as np
import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")
Sizes = dict[str, tuple[int, str]]  # of a named dimension, and the argument that has it
Taker = Callable[[str, Any, Sizes], Any]  # name, value, sizes so far -> the value to use


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Hold the function to its annotations: tensors, arrays or numbers of these shapes and types.

    Raises TypeError for another type and ValueError for another shape, and for numbers that are not finite.
    """
    return _held(function, finite=False)


def checked_finite(function: Callable[P, R]) -> Callable[P, R]:
    """`checked`, and float tensors come to one dtype, float32 at least, and may hold no NaN or infinite values.

    Half precision ends at 65,504 and loses what is below 6e-8: a sum of squares overflows, a row of zeros becomes NaN.
    Tensors that carry a graph are not looked at: in training, a NaN is found once a step, in all processes together,
    after the loss is known (see `train`). A check here would stall the accelerator and leave the state half updated.
    """
    return _held(function, finite=True)


def _held(function: Callable[P, R], *, finite: bool) -> Callable[P, R]:
    parameters = signature(function).parameters
    names = list(parameters)
    takers = {name: taker for name, p in parameters.items() if (taker := _taker(p.annotation, finite)) is not None}

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        sizes: Sizes = {}
        given = [takers[n](n, v, sizes) if n in takers else v for n, v in zip(names, args, strict=False)]
        named = {n: takers[n](n, v, sizes) if n in takers else v for n, v in kwargs.items()}
        if finite:
            given, named = _at_one_precision(given, named)
        return function(*given, *args[len(names) :], **named)  # type: ignore[arg-type]

    return call


def _at_one_precision(given: list[Any], named: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    tensors = [v for v in (*given, *named.values()) if isinstance(v, Tensor) and v.is_floating_point()]
    dtypes = {v.dtype for v in tensors}
    if dtypes <= {torch.float32} or dtypes == {torch.float64}:
        return given, named
    dtype = reduce(torch.promote_types, dtypes, torch.float32)

    def raised(v: Any) -> Any:
        return v.to(dtype) if isinstance(v, Tensor) and v.is_floating_point() else v

    return [raised(v) for v in given], {name: raised(v) for name, v in named.items()}


class _Array(NamedTuple):
    """An annotation such as Float[Tensor, "n d"], read once."""

    kind: str  # Float, Int64, Bool, UInt8, or Shaped for any
    dims: tuple[str, ...] | None  # None: any shape
    several: int | None  # the place of the one that stands for any number of dimensions
    free: frozenset[str]  # those that may have any size


def _taker(annotation: Any, finite: bool) -> Taker | None:
    """What checks a value of this annotation, and turns it into what the function takes; None for any value."""
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    arrays = [member for member in members if member is Tensor or hasattr(member, "dim_str")]
    others = [member for member in members if member not in (*arrays, NoneType)]
    if arrays:
        array = _read(arrays[0])
        if any(_read(other).kind != array.kind for other in arrays[1:]):  # such as images of floats or of bytes
            array = array._replace(kind="Shaped")
        return _tensor_taker(array, finite, NoneType in members, others)
    if len(others) == 1:
        take = _plain_taker(others[0], finite)
    elif others[0] in _PLAIN and len(others) == 2 and (several := _taker(others[1], finite)):  # a number, or a pair
        take = _either_taker(_PLAIN[others[0]], several)
    else:
        classes = [get_origin(member) or member for member in others]
        take = _class_taker(classes) if all(map(_is_plain_class, classes)) else None
    if take is None or NoneType not in members:
        return take
    return lambda name, value, sizes: None if value is None else take(name, value, sizes)


def _plain_taker(annotation: Any, finite: bool) -> Taker | None:
    match get_origin(annotation), get_args(annotation):
        case origin, (_, value) if origin in (Mapping, dict):
            each = _taker(value, finite)
            return None if each is None else _mapping_taker(each)
        case origin, (number, *rest) if origin in (Sequence, tuple) and number in (int, float):
            return _sequence_taker(number, len(rest) + 1 if origin is tuple and ... not in rest else None)
        case None, () if annotation in _PLAIN:
            return _PLAIN[annotation]
        case None, () if _is_plain_class(annotation):
            return _class_taker([annotation])
    return None


def _read(annotation: Any) -> _Array:
    if annotation is Tensor:
        return _Array("Shaped", None, None, frozenset())
    dims = tuple(annotation.dim_str.split())
    several = [i for i, dim in enumerate(dims) if dim == "..." or dim.startswith("*")]
    free = frozenset(dim for dim in dims if dim[0] in "_." or "#" in dim)
    return _Array(annotation.dtype.__name__, dims, several[0] if several else None, free)


def _tensor_taker(array: _Array, finite: bool, optional: bool, others: list[Any]) -> Taker:
    def take(name: str, value: Any, sizes: Sizes) -> Any:
        if not isinstance(value, Tensor):
            if value is None and optional:
                return None
            if not hasattr(value, "__array__") or np.isscalar(value):
                if float in others and hasattr(value, "__float__"):
                    return _number(name, value, sizes)
                if any(_is_one(value, other) for other in others):
                    return value
            value = as_tensor(name, value)
        value = _of_kind(name, value, array.kind)
        if array.dims is not None:
            _match(name, value.shape, array, sizes)
        if finite and value.is_floating_point() and value.grad_fn is None:
            must_be_finite(name, value)
        return value

    return take


def as_tensor(name: str, value: Any) -> Tensor:
    """The argument as a tensor, which shares the memory of a NumPy array where it can.

    Raises TypeError for what is neither a tensor nor an array of numbers.
    """
    if isinstance(value, Tensor):
        return value
    if not hasattr(value, "__array__"):
        raise TypeError(
            f"{name} is {_told(value)}: it must be a tensor or a NumPy array; torch.as_tensor makes one of numbers."
        )
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(f"{name} is an array of {array.dtype}: it must hold numbers; torch.from_numpy says which.")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    # PyTorch has no negative strides, and may write where NumPy says one may not
    return torch.from_numpy(array.copy() if not array.flags.writeable or min(array.strides, default=1) < 0 else array)


def _told(value: Any) -> str:
    return f"{value!r}" if isinstance(value, str | int | float | NoneType) else f"a {type(value).__name__}"


def _of_kind(name: str, value: Tensor, kind: str) -> Tensor:
    if value.is_complex():
        raise TypeError(f"{name} is {value.dtype}: it must hold real numbers.")
    if kind == "Float" and not value.is_floating_point():
        raise TypeError(f"{name} is {value.dtype}: it must hold floats; {name}.float() makes them.")
    if kind == "Int64" and value.dtype != torch.int64:
        if value.is_floating_point():
            raise TypeError(f"{name} is {value.dtype}: it must hold whole numbers; {name}.long() makes them.")
        return value.long()
    if kind == "Bool" and value.dtype != torch.bool:
        raise TypeError(f"{name} is {value.dtype}: it must be bool, true for those that are meant.")
    if kind == "UInt8" and value.dtype != torch.uint8:
        raise TypeError(f"{name} is {value.dtype}: it must be uint8.")
    return value


def _match(name: str, shape: torch.Size, array: _Array, sizes: Sizes) -> None:
    """Compare a shape with the annotation's, and with what other arguments say about the same dimensions."""
    dims, several = array.dims or (), array.several
    if several is None:
        if len(shape) != len(dims):
            raise ValueError(f"{name} has shape {tuple(shape)}: it must be {_shape(dims)}.")
        pairs: Iterable[tuple[str, int]] = zip(dims, shape, strict=True)
    else:
        after = len(dims) - several - 1
        if len(shape) < len(dims) - 1:
            raise ValueError(f"{name} has shape {tuple(shape)}: it must be {_shape(dims)}.")
        middle = shape[several : len(shape) - after]
        pairs = [*zip(dims[:several], shape, strict=False)]
        pairs += zip(dims[several + 1 :], shape[len(shape) - after :], strict=True)
        if dims[several] not in array.free:
            pairs += [(dims[several], len(middle))]
            pairs += [(f"{dims[several]}{i}", size) for i, size in enumerate(middle)]
    for dim, size in pairs:
        if dim in array.free:
            continue
        known, other = (int(dim), "") if dim.isdigit() else sizes.setdefault(dim, (size, name))
        if known != size:
            told = f" with {dim} = {known}, as {other} has" if other and dim[0] != "*" else ""
            told = f" like {other}" if dim[0] == "*" else told
            raise ValueError(f"{name} has shape {tuple(shape)}: it must be {_shape(dims)}{told}.")


def _shape(dims: Sequence[str]) -> str:
    said = ["..." if dim == "..." or dim[0] == "*" else dim.lstrip("#") for dim in dims]
    return f"({', '.join(said)}{',' if len(said) == 1 else ''})"


def must_be_finite(name: str, value: Tensor) -> None:
    """Raises ValueError for NaN or infinite values."""
    if value.numel() and not all(map(math.isfinite, (v.item() for v in value.detach().aminmax()))):
        bad = value.numel() - int(value.isfinite().sum())
        raise ValueError(
            f"{name} holds {bad} values of {value.numel()} that are NaN or infinite: it must be finite. Features are "
            "not if the encoder has diverged."
        )


def _number(name: str, value: Any, _: Sizes) -> Any:
    try:
        finite = math.isfinite(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} is {_told(value)}: it must be a number.") from None
    except OverflowError:
        finite = False
    if not finite:
        raise ValueError(f"{name} is {value}: it must be a finite number.")
    return float(value) if isinstance(value, bool) else value


def _either_taker(one: Taker, several: Taker) -> Taker:
    return lambda name, value, sizes: (several if isinstance(value, Sequence | np.ndarray) else one)(name, value, sizes)


def _is_one(value: Any, annotation: Any) -> bool:
    kind = get_origin(annotation) or annotation
    return isclass(kind) and isinstance(value, kind) and not (isinstance(value, str) and kind is Sequence)


def _is_plain_class(kind: Any) -> bool:
    return isclass(kind) and kind not in _NO_CLASS and not getattr(kind, "_is_protocol", False)


def _class_taker(classes: list[type]) -> Taker:
    def take(name: str, value: Any, _: Sizes) -> Any:
        if not isinstance(value, tuple(classes)):
            raise TypeError(f"{name} is {_told(value)}: it must be a {' or '.join(c.__name__ for c in classes)}.")
        return value

    return take


def _whole(name: str, value: Any, _: Sizes) -> Any:
    try:
        return int(operator.index(value))
    except (TypeError, RuntimeError):
        raise TypeError(f"{name} is {_told(value)}: it must be a whole number.") from None


_NO_CLASS = (bool, int, float, object, Any, Parameter.empty)
_PLAIN: dict[Any, Taker] = {float: _number, int: _whole}


def _mapping_taker(each: Taker) -> Taker:
    def take(name: str, value: Any, sizes: Sizes) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(f"{name} is {_told(value)}: it must be a dict.")
        return {key: each(f"{name}[{key!r}]", item, sizes) for key, item in value.items()}

    return take


def _sequence_taker(number: type, length: int | None) -> Taker:
    def take(name: str, value: Any, sizes: Sizes) -> Any:
        if hasattr(value, "tolist"):
            value = value.tolist()
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise TypeError(f"{name} is {_told(value)}: it must be a list or tuple of numbers.")
        if length is not None and len(value) != length:
            raise ValueError(f"{name} is {value!r}: it must be {length} numbers.")
        for item in value:
            if item != math.inf:  # an open end
                _PLAIN[number](name, item, sizes)
        return value

    return take
