"""Emoji: small pictures that everybody can name, in front of any color.

    data = load_data("emoji")                                       # on white
    pictures = read_emoji()                                         # as they are, RGBA
    data = on_colored_grounds(pictures)                             # each on a color of its own: a factor to forget
    apple = pictures[[pictures.names.index("red apple")]]
    alpha_composite(apple.images, torch.tensor([[0.0, 0.0, 1.0]]))  # on blue

The pictures are Noto Color Emoji; the groups, which are the classes, the subgroups and the names are Unicode's.
`noto-emoji/render.py` made the file. What has skin tones is of one class, "People & Body", which is 56 % of all images.
`data[data.factors["skin tone"] == 0]` has each emoji once; there this class is 19 %.
"""

import io
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ssl_toolkit.data.dataset import Dataset
from ssl_toolkit.data.folders import DataError
from ssl_toolkit.data.seeds import rng
from ssl_toolkit.data.shapes import hsv_to_rgb

FILE = Path(__file__).parent / "noto-emoji" / "emoji.zip"
DIGEST = "36ca282e355befd0c02a63b80b574dc79d704db445c492f9d67ae7807be4820b"
SIDE = 64  # of the pictures in the file, in pixels
GROUPS = (
    *("Smileys & Emotion", "People & Body", "Animals & Nature", "Food & Drink", "Travel & Places"),
    *("Activities", "Objects", "Symbols", "Flags"),
)
_SUBGROUPS = """
face-smiling, face-affection, face-tongue, face-hand, face-neutral-skeptical, face-sleepy, face-unwell, face-hat,
face-glasses, face-concerned, face-negative, face-costume, cat-face, monkey-face, heart, emotion, hand-fingers-open,
hand-fingers-partial, hand-single-finger, hand-fingers-closed, hands, hand-prop, body-parts, person, person-gesture,
person-role, person-fantasy, person-activity, person-sport, person-resting, family, person-symbol, animal-mammal,
animal-bird, animal-amphibian, animal-reptile, animal-marine, animal-bug, plant-flower, plant-other, food-fruit,
food-vegetable, food-prepared, food-asian, food-marine, food-sweet, drink, dishware, place-map, place-geographic,
place-building, place-religious, place-other, transport-ground, transport-water, transport-air, hotel, time,
sky & weather, event, award-medal, sport, game, arts & crafts, clothing, sound, music, musical-instrument, phone,
computer, light & video, book-paper, money, mail, writing, office, lock, tool, science, medical, household,
other-object, transport-sign, warning, arrow, religion, zodiac, av-symbol, gender, math, punctuation, currency,
other-symbol, keycap, alphanum, geometric, flag, country-flag, subdivision-flag
"""
SUBGROUPS = tuple(name.strip() for name in _SUBGROUPS.split(","))
SKIN_TONES = ("none", "light", "medium-light", "medium", "medium-dark", "dark")
GENDERS = ("none", "woman", "man")
CHUNK = 64  # pictures composed at once: few enough to stay in the cache


def read_emoji(split: str = "train", *, size: int = SIDE, limit: int | None = None) -> Dataset:
    """The first `limit` emoji of the "train" or "test" split as RGBA images (n, 4, size, size), transparent outside.

    A label is the group, and `names` are Unicode's names. The factors, all int64:

        "subgroup"     which of SUBGROUPS
        "skin tone"    which of SKIN_TONES: 0 is none, 1 the lightest
        "gender"       which of GENDERS: 0 also for persons of no named gender, and for a woman with a man

    An emoji is in the same split in all its skin tones. The order is mixed: every prefix has emoji of all groups.
    Raises ValueError for another split, DataError if the file is not the one that came with the package.

    >>> read_emoji("test", limit=100)
    Dataset(emoji: 100 images of 4 x 64 x 64, 9 classes, factors subgroup skin tone gender, with names)
    """
    from PIL import Image

    if split not in ("train", "test"):
        raise ValueError(f"split is {split!r}: it must be 'train' or 'test'.")
    if not FILE.is_file() or sha256(file := FILE.read_bytes()).hexdigest() != DIGEST:
        raise DataError(f"{FILE} is not the file that came with the package: install it anew.")
    with ZipFile(io.BytesIO(file)) as archive:
        rows = [row.split("\t") for row in archive.read(f"{split}.tsv").decode().splitlines()][:limit]
        sheet = np.array(Image.open(archive.open(f"{split}.webp"), formats=["WEBP"]))
    tiles = sheet.reshape(-1, SIDE, sheet.shape[1] // SIDE, SIDE, 4).transpose(0, 2, 4, 1, 3)  # row, column, 4, y, x
    images = torch.from_numpy(tiles.reshape(-1, 4, SIDE, SIDE)[: len(rows)])
    names, groups, subgroups, tones, genders = zip(*rows, strict=True)
    factors = {
        "subgroup": torch.tensor([SUBGROUPS.index(subgroup) for subgroup in subgroups]),
        "skin tone": torch.tensor([int(tone) for tone in tones]),
        "gender": torch.tensor([int(gender) for gender in genders]),
    }
    labels = torch.tensor([GROUPS.index(group) for group in groups])
    return Dataset(_resized(images, size), labels, GROUPS, factors, "emoji", names)


def on_white(pictures: Dataset) -> Dataset:
    """RGBA pictures in front of white."""
    return replace(pictures, images=alpha_composite(pictures.images, torch.ones(len(pictures), 3)))


def on_colored_grounds(pictures: Dataset, *, seed: int = 0) -> Dataset:
    """RGBA pictures, each in front of a random color; the factor "background" is its hue: 0 and 1 are red.

    The color is a function of (seed, index): the first k images do not depend on how many follow.

    >>> data = on_colored_grounds(read_emoji("test", limit=20), seed=3)
    >>> data
    Dataset(emoji: 20 images of 3 x 64 x 64, 9 classes, factors subgroup skin tone gender background, with names)
    """
    hue = _draw("hue", len(pictures), seed)
    images = alpha_composite(pictures.images, ground_colors(hue, seed=seed))
    return replace(pictures, images=images, factors=pictures.factors | {"background": hue})


def ground_colors(
    hue: Float[Tensor, " n"], *, index: Int64[Tensor, " n"] | None = None, seed: int = 0
) -> Float[Tensor, "n 3"]:
    """The color of each ground if its hue were this one; its saturation and its value are functions of (seed, index).

    `index` says which pictures of the set (None: all of them, in order). So one picture on grounds of all hues is

    >>> hue = torch.linspace(0, 1, 12)
    >>> colors = ground_colors(hue, index=torch.full((12,), 3))
    >>> alpha_composite(read_emoji("test", limit=4).images[3:].expand(12, -1, -1, -1), colors).shape
    torch.Size([12, 3, 64, 64])
    """
    index = torch.arange(len(hue)) if index is None else index
    most = int(index.max()) + 1 if len(index) else 0
    saturation, value = (_draw(name, most, seed)[index, None].numpy() for name in ("saturation", "value"))
    colors = hsv_to_rgb(hue.numpy(), saturation=0.3 + 0.5 * saturation, value=0.3 + 0.7 * value)
    return torch.from_numpy(colors).flatten(1)


def alpha_composite(pictures: UInt8[Tensor, "n c h w"], colors: Float[Tensor, "n 3"]) -> UInt8[Tensor, "n 3 h w"]:
    """Each RGBA picture in front of its color, which is in [0, 1]: alpha * picture + (1 - alpha) * color.

    Raises ValueError for pictures that are not RGBA.
    """
    if pictures.shape[1] != 4:
        raise ValueError(f"pictures have {pictures.shape[1]} channels: give the four of read_emoji(), RGBA.")
    images = torch.empty(len(pictures), 3, *pictures.shape[2:], dtype=torch.uint8)
    for image, picture, color in zip(images.split(CHUNK), pictures.split(CHUNK), colors.split(CHUNK), strict=True):
        ground = 255 * color[:, :, None, None]
        image.copy_(torch.lerp(ground, picture[:, :3].float(), picture[:, 3:] / 255).round())
    return images


def _draw(name: str, n: int, seed: int) -> Float[Tensor, " n"]:
    return torch.rand(n, generator=rng(seed, 0, f"emoji/{name}"))


def _resized(pictures: UInt8[Tensor, "n 4 h w"], size: int) -> UInt8[Tensor, "n 4 s s"]:
    """Resize the colors times their opacity: what is transparent has no color, and would darken the edges."""
    if size == pictures.shape[-1]:
        return pictures
    resized = torch.empty(len(pictures), 4, size, size, dtype=torch.uint8)
    for out, picture in zip(resized.split(CHUNK), pictures.split(CHUNK), strict=True):
        color, alpha = picture.float().split([3, 1], dim=1)
        both = torch.cat([color * alpha, alpha], dim=1)
        color, alpha = F.interpolate(both, (size, size), mode="bilinear", antialias=True).split([3, 1], dim=1)
        out.copy_(torch.cat([color / alpha.clamp(min=1e-3), alpha], dim=1).round().clamp(0, 255))
    return resized
