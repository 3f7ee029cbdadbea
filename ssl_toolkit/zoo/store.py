"""Models as files: weights in `<name>.safetensors`, and next to it a card, `<name>.json`, with the file's digest."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from ssl_toolkit.data import Dataset
from ssl_toolkit.data.files import atomic_write
from ssl_toolkit.diffusion import rcdm
from ssl_toolkit.diffusion.rcdm import RCDM
from ssl_toolkit.encoders import Encoder
from ssl_toolkit.infusion import Operator
from ssl_toolkit.zoo.plans import KINDS

HERE = Path(__file__).parent
Folder = str | os.PathLike[str]
Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Card:
    """What a model is, how it was trained, and the measures of the stored model."""

    name: str
    kind: str  # "encoder", "reader", "rcdm" or "infusion"
    what: str
    data: str
    images: int  # number of training images
    shape: tuple[int, ...]  # of one image: (c, h, w)
    classes: tuple[str, ...]
    recipe: dict[str, int | float | str | tuple | None]  # all settings, including the seed
    encoder: str  # the encoder that an RCDM paints from, and at which depth
    depth: str
    needs: dict[str, str]  # the models needed to train and to measure it, each with its sha256
    seconds: float  # CPU time of training
    measures: dict[str, float]
    parameters: int
    size: int  # of the file, in bytes
    sha256: str
    date: str
    torch: str
    device: str  # where it was trained, and with how many threads


class Shipped(NamedTuple):
    """The last thing that `build` yields: the card and the bytes of the file."""

    card: Card
    content: bytes


def names(folder: Folder = HERE) -> tuple[str, ...]:
    """The names of the models in this folder, sorted."""
    return tuple(sorted(path.stem for path in Path(folder).glob("*.json")))


def card(name: str, folder: Folder = HERE) -> Card:
    """The card of a model. Raises ValueError if it is missing, with all names, or if the file is not a card."""
    if name not in (known := names(folder)):
        raise ValueError(f"name is {name!r}: the zoo has {', '.join(known) or 'nothing in ' + repr(str(folder))}.")
    path = Path(folder) / f"{name}.json"
    try:
        return Card(**_tuples(json.loads(path.read_text(encoding="utf-8"))))
    except (ValueError, TypeError, AttributeError):
        expected = ", ".join(field.name for field in fields(Card))
        raise ValueError(f"{str(path)!r} is no card: it must be a JSON object with {expected}.") from None


def load(name: str, folder: Folder = HERE) -> Encoder | RCDM | Operator:
    """Load the model of this name on the CPU, in evaluation mode.

    It is an `Encoder`, an `RCDM` to `sample` from, or an `Operator` to run as a `chain` from `prior_of(operator)`.
    Raises ValueError for an unknown name, and for a file that does not match its card.
    """
    about = card(name, folder)
    path = Path(folder) / f"{name}.safetensors"
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is missing, but its card is there: install it again.")
    content = path.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != about.sha256:
        raise ValueError(
            f"{name}.safetensors has the sha256 {digest[:12]}..., its card says {about.sha256[:12]}...: "
            "the file is damaged or another one; install it again."
        )
    tensors = unpack(content)
    try:
        return fill(_untrained(about, tensors), tensors)
    except (KeyError, TypeError, RuntimeError):
        raise ValueError(
            f"{name} does not fit its card: both must come from one version of ssl_toolkit; install it again."
        ) from None


def pack(model: nn.Module) -> bytes:
    """Serialize with safetensors: weights in float16, and buffers (statistics, counts) unchanged."""
    from safetensors.torch import save

    weights = {name for name, _ in model.named_parameters()}
    state = {name: t.half() if name in weights else t for name, t in model.state_dict().items()}
    return save({name: t.cpu().contiguous() for name, t in state.items()})


def unpack(content: bytes) -> dict[str, Tensor]:
    """The tensors that `pack` wrote, by name."""
    from safetensors.torch import load as read

    return read(content)


def fill(model: Model, tensors: Mapping[str, Tensor]) -> Model:
    """Fill the model with the tensors, and return it on the CPU, in evaluation mode."""
    model.load_state_dict(tensors)
    return model.cpu().eval().requires_grad_(False)


def write(shipped: Shipped, folder: Folder) -> None:
    """Write the file and then its card, each atomically, so that a card always has its file."""
    path = Path(folder) / shipped.card.name
    text = json.dumps(asdict(shipped.card), indent=1) + "\n"
    for suffix, content in ((".safetensors", shipped.content), (".json", text.encode())):
        with atomic_write(f"{path}{suffix}") as partial:
            partial.write_bytes(content)


def _untrained(about: Card, tensors: Mapping[str, Tensor]) -> Encoder | RCDM | Operator:
    """Build the card's recipe untrained; it needs only the shape and the classes of the data."""
    recipe = KINDS[about.kind](**about.recipe)
    if isinstance(recipe, rcdm.RCDMRecipe):
        condition = len(tensors["mean"])
        return RCDM(recipe.network(about.shape[0], condition), torch.zeros(2, condition), about.shape, recipe.predicts)
    return recipe.model(Dataset(torch.zeros(1, *about.shape).byte(), torch.zeros(1).long(), about.classes))


def _tuples(value: Any) -> Any:
    """Turn JSON's lists back into the recipe's tuples."""
    if isinstance(value, dict):
        return {key: _tuples(v) for key, v in value.items()}
    return tuple(value) if isinstance(value, list) else value
