"""A signature's shapes and types hold where users call, and say in one sentence what does not fit."""

import math

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from ssl_toolkit import embed, rng, simclr_views
from ssl_toolkit.data import as_tensor, checked, checked_finite


@checked_finite
def told(
    z: Float[Tensor, "n d"],
    y: Int64[Tensor, " n"],
    *,
    other: Float[Tensor, "m d"] | None = None,
    mask: Bool[Tensor, " n"] | None = None,
    images: Shaped[Tensor, "*b 3"] | None = None,
    k: int = 3,
    t: float = 0.1,
    size: int | tuple[int, int] = 8,
) -> tuple:
    return z, y, k, t


Z, Y = torch.randn(6, 4, generator=rng(0)), torch.arange(6) % 2


@pytest.mark.parametrize("kind", [torch.uint8, torch.bool, torch.int16, torch.int32])
def test_labels_of_any_whole_type_arrive_as_int64(kind):
    assert torch.equal(told(Z, Y.to(kind))[1], Y)


@pytest.mark.parametrize(
    "array",
    [Z.numpy(), Z.numpy().astype(">f4"), Z.flip(0).numpy()[::-1], np.asfortranarray(Z.numpy())],
    ids=["native", "of another machine", "seen backward", "by columns"],
)
def test_arrays_become_tensors(array):
    assert torch.equal(told(array, Y.numpy().astype("u2"))[0], Z)


def test_an_array_shares_its_memory_unless_it_may_not_be_written():
    array = np.zeros(3)
    as_tensor("z", array)[0] = 1.0
    assert array[0] == 1
    array.flags.writeable = False
    as_tensor("z", array)[1] = 1.0
    assert array[1] == 0


@pytest.mark.parametrize("one, other", [(torch.float16, torch.float32), (torch.float64, torch.float64)])
def test_floats_come_to_one_precision_and_never_half(one, other):
    assert told(Z.to(one), Y)[0].dtype == other


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: told(Z, Y[:, None]), ValueError, r"y has shape \(6, 1\): it must be \(n,\)"),
        (lambda: told(Z, Y[:1]), ValueError, r"y has shape \(1,\): .* n = 6, as z has"),
        (lambda: told(Z, Y, other=Z[:2, :1]), ValueError, r"other has shape \(2, 1\): .* d = 4, as z has"),
        (lambda: told(Z, Y, images=Z), ValueError, r"images has shape \(6, 4\): it must be \(..., 3\)"),
        (lambda: told(Z.tolist(), Y), TypeError, "z is a list: it must be a tensor or a NumPy array"),
        (lambda: told(None, Y), TypeError, "z is None"),
        (lambda: told(np.full((6, 4), "a"), Y), TypeError, "z is an array of <U1.* torch.from_numpy"),
        (lambda: told(Z.long(), Y), TypeError, "z is torch.int64: it must hold floats"),
        (lambda: told(Z, Y.float()), TypeError, "y is torch.float32: it must hold whole numbers"),
        (lambda: told(Z, Y, mask=Y), TypeError, "mask is torch.int64: it must be bool"),
        (lambda: told(Z + 0j, Y), TypeError, "z is torch.complex64"),
        (lambda: told(Z / 0, Y), ValueError, "z holds 24 values of 24 that are NaN or infinite"),
        (lambda: told(Z, Y, k=2.5), TypeError, "k is 2.5: it must be a whole number"),
        (lambda: told(Z, Y, t=math.nan), ValueError, "t is nan: it must be a finite number"),
        (lambda: told(Z, Y, t="word"), TypeError, "t is 'word': it must be a number"),
        (lambda: told(Z, Y, size=(2, 3, 4)), ValueError, r"size is \(2, 3, 4\): it must be 2 numbers"),
        (lambda: told(Z, Y, size=None), TypeError, "size is None: it must be a whole number"),
    ],
)
def test_what_does_not_fit_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_nan_in_training_is_left_to_the_loop():
    z = (Z * math.nan).requires_grad_() * 1
    assert told(z, Y)[0] is z


def test_a_plain_function_keeps_its_name_and_its_signature():
    @checked
    def f(z: Float[Tensor, " n"]) -> Tensor:
        """Words."""
        return z

    assert (f.__name__, f.__doc__) == ("f", "Words.")
    assert f(np.ones(2, "f4")).tolist() == [1, 1]


def test_views_of_no_image_have_the_size_of_views():
    assert simclr_views(8)(torch.zeros(0, 3, 16, 12), rng(0)).x.shape == (0, 3, 8, 8)


def test_a_model_that_gives_other_rows_than_images_is_refused():
    with pytest.raises(ValueError, match=r"returned 2 rows for 10 images"):
        embed(lambda x: x.mean(dim=(0, 1))[:2], torch.rand(10, 3, 8, 8))
