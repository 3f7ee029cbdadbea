"""Probes beside scikit-learn's on 60,000 x 128 features of Fashion-MNIST, 10,000 to test; and probes while training.

The features are those of the recipe's encoder after a short training, standardized. scikit-learn's logistic regression
gets the penalty that our probe chose (C = 1 / (weight_decay n)) and is run until it converges. What the online probes
cost is a share of the time of the training steps between them: one step of the probes after every second one.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

STEPS, ROUNDS, COST_STEPS = 200, 3, 200


def timed(call: Callable[[], float], rounds: int = ROUNDS) -> tuple[float, float]:
    """(the least seconds of `rounds`, the result)."""
    seconds, result = [], 0.0
    for _ in range(rounds):
        began = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - began)
    return min(seconds), result


def online_cost() -> dict[str, float]:
    """Medians in milliseconds: a step of the encoder, one of the probes; and what the latter add to training."""
    from ssl_toolkit import Recipe, load_data
    from ssl_toolkit.probes import LinearProbes
    from ssl_toolkit.training import train

    data, recipe, every = load_data("fashion-mnist", limit=4096), Recipe(steps=COST_STEPS), 2
    state = recipe.start(data)
    learning, steps, probes = LinearProbes(state.model, data), [], []
    for step in train(state, data, recipe.objective(data), until=recipe.steps, batch_size=recipe.batch_size):
        steps.append(step.seconds)
        if step.step % every == 0:
            began = time.perf_counter()
            learning.follow(state, data, batch_size=recipe.batch_size, seed=0)
            probes.append(time.perf_counter() - began)
    step, probe = (1e3 * statistics.median(times[len(times) // 4 :]) for times in (steps, probes))
    return {"step ms": round(step, 1), "probes ms": round(probe, 1), "more %": round(100 * probe / (every * step), 1)}


def run() -> dict[str, object]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from torch.nn.functional import normalize

    from ssl_toolkit import Recipe, load_data
    from ssl_toolkit.encoders import embed
    from ssl_toolkit.probes import knn_accuracy, linear_probe
    from ssl_toolkit.training import train

    data, test = load_data("fashion-mnist"), load_data("fashion-mnist", split="test")
    recipe = replace(Recipe(), width=128, steps=STEPS)
    state = recipe.start(data)
    for _ in train(state, data, recipe.objective(data), until=STEPS, batch_size=recipe.batch_size):
        pass
    z, z_test, y, y_test = embed(state.model, data.images), embed(state.model, test.images), data.labels, test.labels
    mean, std = z.mean(dim=0), z.std(dim=0)
    x, x_test = ((z - mean) / std).numpy(), ((z_test - mean) / std).numpy()

    ours = linear_probe(z, y, z_test, y_test)
    linear, accuracy = timed(lambda: linear_probe(z, y, z_test, y_test).accuracy)
    one, _ = timed(lambda: linear_probe(z, y, z_test, y_test, weight_decays=(ours.weight_decay,)).accuracy)
    theirs = LogisticRegression(C=1 / (ours.weight_decay * len(y)), max_iter=2000)
    sklearn_linear, sklearn_accuracy = timed(lambda: theirs.fit(x, y.numpy()).score(x_test, y_test.numpy()), 1)

    knn, knn_score = timed(lambda: knn_accuracy(z, y, z_test, y_test))
    neighbors = KNeighborsClassifier(20, metric="cosine").fit(normalize(z).numpy(), y.numpy())
    sklearn_knn, sklearn_score = timed(lambda: neighbors.score(normalize(z_test).numpy(), y_test.numpy()), 1)
    return {
        "linear s": round(linear, 2),
        "linear, one weight decay s": round(one, 2),
        "linear, scikit-learn s": round(sklearn_linear, 2),
        "linear, times scikit-learn": round(sklearn_linear / linear, 1),
        "linear accuracy": round(accuracy, 4),
        "linear accuracy, scikit-learn": round(sklearn_accuracy, 4),
        "kNN s": round(knn, 2),
        "kNN, scikit-learn s": round(sklearn_knn, 2),
        "kNN, times scikit-learn": round(sklearn_knn / knn, 1),
        "kNN accuracy": round(knn_score, 4),
        "kNN accuracy, scikit-learn": round(sklearn_score, 4),
        "online": online_cost(),
    }
