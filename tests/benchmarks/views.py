"""How many views per second one core makes: ours beside lightly's transform and kornia's batch pipeline.

    python tests/benchmarks/views.py

All three make two views of the same 32x32 colour images with SimCLR's full recipe: crop, flip, jitter (p 0.8), grey
(p 0.2), blur (p 0.5), with the strengths that all three's papers use for small images. lightly gets PIL images one by
one, as its users' loaders hand them over, and is spared its normalisation and the collation; kornia and ours get uint8
batches and convert them. The rivals take turns, so that a busy moment of the machine meets all of them; the ratios are
medians over the rounds.
"""

import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from ssl_toolkit.augment import color_jitter, compose, random_flip, random_resized_crop, simclr_views
from ssl_toolkit.seeds import rng

SCALE, STRENGTHS = (0.08, 1.0), (0.4, 0.4, 0.4, 0.1)


def ours(images: Tensor) -> Callable[[], Any]:
    augment = simclr_views(images.shape[-1], scale=SCALE, blur=0.5)
    generator = rng(0, 0, "views")

    def two_views() -> None:
        x = images / 255
        augment(x, generator)
        augment(x, generator)

    return two_views


def ours_grey(images: Tensor) -> Callable[[], Any]:
    """What training on Fashion-MNIST uses: crop, flip, brightness and contrast of 28x28 grey images."""
    grey = images[:, :1, :28, :28].contiguous()
    augment = compose(random_resized_crop(28, scale=SCALE), random_flip(), color_jitter(0.4, 0.4, 0.0, 0.0))
    generator = rng(0, 0, "views")

    def two_views() -> None:
        x = grey / 255
        augment(x, generator)
        augment(x, generator)

    return two_views


def kornia(images: Tensor) -> Callable[[], Any]:
    import kornia.augmentation as K

    augment = K.AugmentationSequential(
        K.RandomResizedCrop(tuple(images.shape[-2:]), scale=SCALE),
        K.RandomHorizontalFlip(p=0.5),
        K.ColorJitter(*STRENGTHS, p=0.8),
        K.RandomGrayscale(p=0.2),
        K.RandomGaussianBlur((3, 3), (0.1, 2.0), p=0.5),
    )

    def two_views() -> None:
        x = images / 255
        with torch.no_grad():
            augment(x)
            augment(x)

    return two_views


def lightly(images: Tensor) -> Callable[[], Any]:
    from lightly.transforms import SimCLRTransform
    from torchvision.transforms.functional import to_pil_image

    augment = SimCLRTransform(input_size=images.shape[-1], cj_strength=0.5, normalize=None)
    pictures = [to_pil_image(image) for image in images]

    def two_views() -> None:
        for picture in pictures:
            augment(picture)

    return two_views


def run(*, images: int = 512, rounds: int = 7, seconds: float = 0.4) -> dict[str, Any]:
    """Views per second (median over the rounds), and ours over each peer's; None where a peer is not installed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _run(_pictures(images), rounds, seconds)
    finally:
        torch.set_num_threads(threads)


def _run(images: Tensor, rounds: int, seconds: float) -> dict[str, Any]:
    rivals: dict[str, Callable[[], Any]] = {}
    for make in (ours, ours_grey, kornia, lightly):
        try:
            rivals[make.__name__] = make(images)
        except ImportError:
            continue
    speeds: dict[str, list[float]] = {name: [] for name in rivals}
    for two_views in rivals.values():
        two_views()  # caches, first allocations
    for _ in range(rounds):
        for name, two_views in rivals.items():
            start, done = time.perf_counter(), 0
            while (spent := time.perf_counter() - start) < seconds:
                two_views()
                done += 2 * len(images)
            speeds[name].append(done / spent)
    peers = ("kornia", "lightly")
    return {
        "benchmark": "views",
        "views_per_second": {name: _median(speeds.get(name)) for name in ("ours", "ours_grey", *peers)},
        "ours_over": {peer: _ratio(speeds["ours"], speeds.get(peer)) for peer in peers},
        "rounds": speeds,
        "images": list(images.shape),
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()} {platform.system()}, {torch.backends.cpu.get_cpu_capability()}",
        "versions": {name: _version(name) for name in ("torch", "torchvision", *peers)},
    }


def _pictures(n: int) -> Tensor:
    """Smooth colourful uint8 images: blurred noise, stretched to the whole range."""
    noise = torch.rand(n, 3, 8, 8, generator=rng(0, 0, "pictures"))
    return (torch.nn.functional.interpolate(noise, size=32, mode="bicubic").clamp(0, 1) * 255).round().byte()


def _median(values: list[float] | None) -> float | None:
    return None if values is None else statistics.median(values)


def _ratio(ours: list[float], theirs: list[float] | None) -> float | None:
    return None if theirs is None else statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
