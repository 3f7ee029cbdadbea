"""Two views of 32x32 RGB images by SimCLR's full recipe, on one core: ours, lightly's, kornia's, torchvision's.

Crop from 8 % of the area, flip, jitter of 0.8 (hue 0.2) in 80 %, gray in 20 %, blur in 50 %, from stored bytes to float
images. lightly and torchvision change one PIL image at a time, as in their loaders; kornia a batch, with one draw per
sample, as ours.
"""

import statistics
import time
from collections.abc import Callable

import torch

IMAGES, ROUNDS = 512, 7


def seconds(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The median over rounds in which all take their turn."""
    for f in work.values():
        f()
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, f in work.items():
            began = time.perf_counter()
            f()
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in taken.items()}


def run() -> dict[str, float]:
    import kornia.augmentation as K
    from lightly.transforms import SimCLRTransform
    from torchvision.transforms import v2
    from torchvision.transforms.functional import to_pil_image

    from ssl_toolkit import load_data, rng
    from ssl_toolkit.augment import simclr_views
    from ssl_toolkit.data import as_float

    torch.set_num_threads(1)
    images = load_data("shapes", limit=IMAGES).images
    pil = [to_pil_image(image) for image in images]
    ours = simclr_views(
        32, scale=(0.08, 1.0), brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, jitter=0.8, gray=0.2, blur=0.5
    )
    lightly = SimCLRTransform(input_size=32, normalize=None)
    single = v2.Compose([
        v2.RandomResizedCrop(32, scale=(0.08, 1.0), antialias=True), v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8), v2.RandomGrayscale(0.2),
        v2.RandomApply([v2.GaussianBlur(3)], p=0.5), v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
    ])  # fmt: skip
    batched = K.AugmentationSequential(
        K.RandomResizedCrop((32, 32), scale=(0.08, 1.0)), K.RandomHorizontalFlip(),
        K.ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8), K.RandomGrayscale(p=0.2),
        K.RandomGaussianBlur((3, 3), (0.1, 2.0), p=0.5),
    )  # fmt: skip

    def two(augment: Callable[[torch.Tensor], object]) -> None:
        x = as_float(images)
        augment(x)
        augment(x)

    taken = seconds({
        "ssl_toolkit": lambda: two(lambda x: ours(x, rng(0))),
        "kornia": lambda: two(batched),
        "lightly": lambda: torch.stack([view for image in pil for view in lightly(image)]),
        "torchvision": lambda: torch.stack([single(image) for image in pil for _ in range(2)]),
    })  # fmt: skip
    result = {f"{name} views/s": round(2 * IMAGES / s) for name, s in taken.items()}
    return result | {
        f"times {name}": round(taken[name] / taken["ssl_toolkit"], 1) for name in taken if name != "ssl_toolkit"
    }
