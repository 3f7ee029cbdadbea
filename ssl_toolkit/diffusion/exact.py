"""The exact denoiser of a finite set of images: what a network would output after memorizing all of them.

    denoise = exact_denoiser(images, schedule)            # images (n, ...) in [-1, 1]
    *_, last = ddim(denoise, noise, schedule=schedule, timesteps=schedule.timesteps(20))

It needs no training and generates nothing but its images. It is an oracle for testing samplers, and it shows why a
network should not fit its training loss perfectly.
"""

from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.data import checked_finite
from ssl_toolkit.diffusion.denoise import Denoise
from ssl_toolkit.diffusion.schedule import Schedule, per_sample


@checked_finite
def exact_denoiser(images: Float[Tensor, "n *x"], schedule: Schedule) -> Denoise:
    """E[x0 | x_t] when every image is equally likely; this minimizes every denoising loss:

        x0 = sum_i w_i x_i     w = softmax_i(-|x - alpha x_i|^2 / 2 sigma^2)

    |x|^2 is the same for all i, so it is left out. The weights are computed in float64, since sigma may be tiny.
    Raises ValueError for an empty set.
    """
    if not images.numel():
        raise ValueError("images is empty: give at least one.")
    points = images.flatten(1).double()
    squares = points.square().sum(dim=1)

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        if x.shape[1:] != images.shape[1:]:
            raise ValueError(f"x has shape {tuple(x.shape)}, and images {tuple(images.shape)}: they must be alike.")
        flat = x.flatten(1).double()
        a, s = per_sample(schedule.alpha(t), flat), per_sample(schedule.sigma(t), flat)
        weights = ((a * flat @ points.T - a.square() * squares / 2) / s.square()).softmax(dim=1)
        return (weights @ points).to(x.dtype).view_as(x)

    return denoise
