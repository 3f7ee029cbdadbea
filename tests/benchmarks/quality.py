"""What each network call buys: KID of the samples of one shipped RCDM by sampler and number of calls.

All samplers start at the same noise, paint from the representations of the same 2,000 test images, and are compared
with 2,000 others by the features of a supervised encoder. The reference is DDPM in 250 steps.
"""

import time
from functools import partial

import torch

IMAGES, BATCH = 2000, 500
CALLS = (5, 10, 20, 50)


def run(model: str = "fashion-mnist-simclr-rcdm-representation", images: int = IMAGES, reference: int = 250) -> dict:
    from ssl_toolkit import load_data, rng, zoo
    from ssl_toolkit.diffusion import ddim, ddpm, dpmpp_2m, euler, heun
    from ssl_toolkit.diffusion.metrics import kid
    from ssl_toolkit.diffusion.rcdm import conditions, sample
    from ssl_toolkit.encoders import embed

    painter = zoo.load(model)
    data, _, depth = model.rsplit("-", 2)
    encoder, judge = zoo.load(data), zoo.load(data.rsplit("-", 1)[0] + "-supervised")
    test = load_data(data.rsplit("-", 1)[0], split="test", limit=2 * images)
    h, real = conditions(encoder, test.images[:images], depth=depth), embed(judge, test.images[images:])
    noise = torch.randn(images, *painter.shape, generator=rng(0, 0, "quality"))

    def measured(sampler: object, steps: int) -> dict[str, float]:
        began, painted = time.process_time(), []
        for i in range(0, images, BATCH):
            part = slice(i, i + BATCH)
            *_, last = sample(painter, h[part], steps=steps, sampler=sampler, noise=noise[part])
            painted.append(last.x.clamp(0, 1))
        seconds = time.process_time() - began
        distance = kid(real, embed(judge, torch.cat(painted)))
        return {"kid": round(distance.mean, 4), "error": round(distance.error, 4), "processor s": round(seconds, 1)}

    found = {f"DDPM, {reference} calls": measured(ddpm, reference)}
    samplers = {"DDPM": ddpm, "DDIM": ddim, "DDIM, eta 0.5": partial(ddim, eta=0.5), "DPM-Solver++(2M)": dpmpp_2m}
    for name, sampler in {**samplers, "Euler": euler}.items():
        found |= {f"{name}, {calls} calls": measured(sampler, calls) for calls in CALLS}
    # Heun calls twice a step but for the last, which goes to the image itself
    found |= {f"Heun, {calls - 1} calls": measured(heun, calls // 2) for calls in CALLS if calls > 5}
    return found
