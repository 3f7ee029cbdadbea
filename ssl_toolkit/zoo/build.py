"""Train a model of the zoo from its recipe, and measure it in the form in which it is stored."""

import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import date
from hashlib import sha256

import torch

from ssl_toolkit.data import load_data
from ssl_toolkit.diffusion import rcdm
from ssl_toolkit.diffusion.rcdm import RCDM, conditions
from ssl_toolkit.encoders import Encoder
from ssl_toolkit.infusion import Operator
from ssl_toolkit.joint import JointRecipe
from ssl_toolkit.training import Step, train
from ssl_toolkit.zoo.measures import measured
from ssl_toolkit.zoo.plans import plan
from ssl_toolkit.zoo.store import HERE, Card, Folder, Shipped, card, fill, load, names, pack, unpack


def build(
    name: str, *, folder: Folder | None = None, steps: int | None = None, limit: int | None = None
) -> Iterator[Step | Shipped | None]:
    """Train the model of this name: yield each `Step`, None during measurement, and at the end a `Shipped` for `write`.

    The same seed gives the same bytes on the same machine with the same number of threads. An RCDM needs its encoder
    and the models that measure its samples. They come from `folder` if they are there, else from the package. Use
    `steps` and `limit` for a smaller run, with fewer steps or images. Raises ValueError for a name that has no recipe.
    """
    made = plan(name)
    recipe = made.recipe if steps is None else replace(made.recipe, steps=steps)
    data, test = load_data(made.data, limit=limit), load_data(made.data, split="test", limit=limit)
    needed = {other: HERE if folder is None or other not in names(folder) else folder for other in made.needs()}
    models = {other: load(other, where) for other, where in needed.items()}
    began = time.process_time()
    if isinstance(recipe, rcdm.RCDMRecipe):
        encoder = models[made.encoder]
        assert isinstance(encoder, Encoder)
        h = conditions(encoder, data.images, depth=made.depth)
        state, objective = recipe.start(data, h), recipe.objective(h)
    else:
        state, objective = recipe.start(data), recipe.objective(data)
    yield from train(
        state, data, objective, until=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed, precision="fp32"
    )
    seconds = time.process_time() - began
    model = state.ema if isinstance(state.ema, RCDM) else state.model
    assert isinstance(model, Encoder | RCDM | Operator)
    content = pack(model)
    fill(model, unpack(content))
    measures = yield from measured(model, made, models, data, test)
    yield Shipped(
        Card(
            name=name,
            kind=made.kind,
            what=made.what,
            data=made.data,
            images=len(data),
            shape=data.shape,
            classes=data.classes,
            recipe=asdict(recipe) | (recipe.views(data)._asdict() if isinstance(recipe, JointRecipe) else {}),
            encoder=made.encoder,
            depth=made.depth,
            needs={other: card(other, where).sha256 for other, where in needed.items()},
            seconds=round(seconds, 1),
            measures={what: round(value, 4) for what, value in measures.items()},
            parameters=sum(p.numel() for p in model.parameters()),
            size=len(content),
            sha256=sha256(content).hexdigest(),
            date=date.today().isoformat(),
            torch=torch.__version__,
            device=f"{state.device.type}, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}",
        ),
        content,
    )
