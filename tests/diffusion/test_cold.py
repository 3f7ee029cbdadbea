"""Cold diffusion: what an oracle restores exactly, what a wrong guess cannot spoil, and degradations at their ends."""

import pytest
import torch
from hypothesis import given, settings, strategies as st

from ssl_toolkit.data import rng
from ssl_toolkit.diffusion import cold, covering, flow_schedule

times = flow_schedule().timesteps
x = torch.rand(6, 3, 4, 4, generator=rng(0))
pixels, order = torch.rand(x.shape, generator=rng(1)), torch.rand(6, 1, 4, 4, generator=rng(2))
covered = covering(pixels, order)


def blended(x0, t):
    return (1 - t) * x0 + t * pixels


def test_a_covered_image_is_whole_at_0_and_gone_at_1_and_a_pixel_goes_with_all_its_channels():
    assert torch.equal(covered(x, torch.tensor(0.0)), x)
    assert torch.equal(covered(x, torch.tensor(1.0)), pixels)
    half = covered(x, torch.tensor(0.5)) == pixels
    assert torch.equal(half, (order < 0.5).expand_as(x))


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 12), degrade=st.sampled_from([covered, blended]))
def test_an_oracle_restores_the_image_and_passes_through_its_degradations(n, degrade):
    *steps, last = cold(lambda z, t: x, pixels, degrade=degrade, timesteps=times(n))
    torch.testing.assert_close(last.x, x)
    for step, to in zip(steps, times(n)[1:], strict=True):
        torch.testing.assert_close(step.x, degrade(x, to))
    assert [step.i for step in (*steps, last)] == list(range(n))


def test_a_pixel_once_uncovered_stays_as_it_was_guessed_then():
    guesses = torch.rand(5, *x.shape, generator=rng(3))
    asked = iter(guesses)
    *_, last = cold(lambda z, t: next(asked), pixels, degrade=covered, timesteps=times(5))
    step = (5 * (1 - order)).long().clamp_max(4)  # in which of the steps the pixel comes
    expected = torch.gather(guesses, 0, step.expand_as(x)[None])[0]
    torch.testing.assert_close(last.x, expected)


def test_a_constant_error_cancels_where_a_blend_is_taken_back():
    """D(x0, t) - D(x0, u) = (u - t) (x0 - pixels): the error of one guess is not added to that of the next."""
    *_, last = cold(lambda z, t: x + 0.1, pixels, degrade=blended, timesteps=times(7))
    torch.testing.assert_close(last.x, x + 0.1)


def test_the_network_is_asked_at_the_times_and_gets_no_gradient():
    weight, asked = torch.ones((), requires_grad=True), []

    def restore(z, t):
        asked.append(t.item())
        return weight * z

    *_, last = cold(restore, pixels, degrade=covered, timesteps=torch.tensor([1.0, 0.25]))
    assert asked == [1.0, 0.25]
    assert not last.x.requires_grad


@pytest.mark.parametrize("wrong", [[], [1.5, 0.5], [0.5, 0.5], [0.5, 0.0], [0.2, 0.5]])
def test_times_that_make_no_chain_are_named(wrong):
    with pytest.raises(ValueError, match=r"timesteps is .*descend within \(0, 1\]"):
        next(cold(lambda z, t: z, pixels, degrade=covered, timesteps=torch.tensor(wrong)))
