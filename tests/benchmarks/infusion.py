"""How soon an operator of Fashion-MNIST makes garments that a classifier recognizes: the MLP and the convolutional one.

Clocks are processor time on one thread, and stand still while samples are judged. The zoo's supervised encoder says how
sure it is of a sample (entropy, in nats), how even the classes are (balance), and both in one (the class score, between
1 and 10); KID is on its features, against 2,000 test images.
"""

import time

import torch

MARKS = (30, 60, 90, 120)  # seconds of processor time
SAMPLES = 1000


def run() -> dict[str, object]:
    from ssl_toolkit import load_data, zoo
    from ssl_toolkit.infusion import InfusionRecipe

    torch.set_num_threads(1)
    data, real = load_data("fashion-mnist"), load_data("fashion-mnist", split="test", limit=2000).images
    judge = zoo.load("fashion-mnist-supervised")
    return {
        "other test images": _quality(load_data("fashion-mnist", split="test")[-SAMPLES:].images, real, judge),
        "mlp": _trained(InfusionRecipe(), data, real, judge),
        "conv": _trained(InfusionRecipe(net="conv"), data, real, judge),
    }


def _trained(recipe, data, real, judge) -> dict[str, object]:
    from ssl_toolkit.infusion import chain, prior_of
    from ssl_toolkit.training import train

    state, objective = recipe.start(data), recipe.objective(data)
    found: dict[str, object] = {"parameters": sum(p.numel() for p in state.model.parameters())}
    spent, marks = 0.0, list(MARKS)
    steps = train(state, data, objective, until=10**9, batch_size=recipe.batch_size, seed=recipe.seed)
    while marks:
        if spent:  # the rate's cosine ends with the time
            state.total = max(state.step + 1, round(state.step * MARKS[-1] / spent))
        began = time.process_time()
        next(steps)
        spent += time.process_time() - began
        if spent >= marks[0]:
            *_, last = chain(state.model, prior_of(state.model).sample(SAMPLES), steps=recipe.T)
            found[f"{marks.pop(0)} s"] = {"updates": state.step, **_quality(last.mean, real, judge)}
    began = time.process_time()
    for _ in chain(state.model, prior_of(state.model).sample(100), steps=recipe.T):
        pass
    found["seconds for 100 samples"] = round(time.process_time() - began, 3)
    return found


def _quality(samples: torch.Tensor, real: torch.Tensor, judge) -> dict[str, float]:
    from ssl_toolkit.diffusion.metrics import kid, recognition
    from ssl_toolkit.encoders import embed

    seen = recognition(embed(judge, samples, depth="embedding"))
    z, other = embed(judge, real), embed(judge, samples)
    scale = z.var(dim=0).mean().sqrt()
    return {
        "entropy": round(seen.entropy, 3),
        "balance": round(seen.balance, 3),
        "class score": round(seen.score, 2),
        "KID": round(kid(z / scale, other / scale).mean, 4),
    }
