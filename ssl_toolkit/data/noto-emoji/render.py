"""Render Noto Color Emoji, 64 pixels a side, into emoji.zip; Unicode's emoji-test.txt names and groups them.

    apt install fonts-noto-color-emoji unicode-data             # what is shipped: 2.042 and 15.0.0
    python ssl_toolkit/data/noto-emoji/render.py
    sha256sum ssl_toolkit/data/noto-emoji/emoji.zip             # goes into DIGEST of ssl_toolkit/data/emoji.py

The zip holds `train.webp` and `test.webp`, sheets of COLUMNS emoji a row, and for each a table with one row per emoji:
name, group, subgroup, skin tone (0 ... 5) and gender (0 none, 1 woman, 2 man). Left out are emoji

- that the font does not draw as one glyph of its own,
- with two different skin tones, such as some handshakes: these have no one skin tone to read,
- that look exactly like another: of Norway's flag and Bouvet Island's the one with the shorter name stays.

A sixth of each group is the test split. Emoji that differ in nothing but the skin tone are always in the same split.
"""

import io
import random
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
NAMES = "/usr/share/unicode/emoji/emoji-test.txt"
SIZE, COLUMNS = 64, 50
TONES = tuple(map(chr, range(0x1F3FB, 0x1F400)))
WOMEN = {"woman", "women", "girl", "mermaid", "princess", "Mrs"}
MEN = {"man", "men", "boy", "merman", "prince", "Santa"}
# what the font shows for a character, and for a flag, that it does not have: nothing, and a flag without a country
MISSING = ("\U0001faff", "\U0001f1fd\U0001f1fd")


class Emoji(NamedTuple):
    """One row of emoji-test.txt."""

    text: str
    name: str
    group: str
    subgroup: str

    @property
    def base(self) -> str:
        """The emoji without its skin tone, which takes the place of the selector U+FE0F."""
        return "".join(c for c in self.text if c not in (*TONES, "\ufe0f"))

    def factors(self) -> tuple[int, int]:
        """The skin tone and the gender. A woman's hat has no gender, nor has a woman with a man."""
        (tone,) = {TONES.index(c) + 1 for c in self.text if c in TONES} or {0}
        words = set(re.findall(r"\w+", self.name)) if self.group == "People & Body" else set()
        woman, man = bool(words & WOMEN), bool(words & MEN)
        return tone, 0 if woman and man else woman + 2 * man


def listed() -> Iterator[Emoji]:
    """The emoji of emoji-test.txt in its order, in the form that keyboards send."""
    group = subgroup = ""
    for line in Path(NAMES).read_text(encoding="utf-8").splitlines():
        if line.startswith("# group: "):
            group = line.removeprefix("# group: ")
        elif line.startswith("# subgroup: "):
            subgroup = line.removeprefix("# subgroup: ")
        elif found := re.match(r"([0-9A-F ]+?) *; fully-qualified +# \S+ E\S+ (.+)", line):
            yield Emoji("".join(chr(int(code, 16)) for code in found[1].split()), found[2], group, subgroup)


def draw(text: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """One glyph on a transparent square. What Pillow draws on transparent black is premultiplied by its opacity."""
    _, _, width, height = font.getbbox(text)
    drawn = Image.new("RGBA", (int(width), int(width)))
    ImageDraw.Draw(drawn).text((0, (width - height) // 2), text, font=font, embedded_color=True)
    return Image.frombytes("RGBa", drawn.size, drawn.tobytes())


def small(picture: Image.Image) -> np.ndarray:
    """Resized; with 32 levels of each color and 16 of opacity, which nobody sees, it takes less than half the bytes."""
    pixels = np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS).convert("RGBA"))
    levels = np.array([31, 31, 31, 15]) / 255
    rounded = np.rint(np.rint(pixels * levels) / levels).astype(np.uint8)
    return rounded * (rounded[..., 3:] > 0)


def rendered() -> dict[Emoji, np.ndarray]:
    """The picture of each emoji that is not left out."""
    font = ImageFont.truetype(FONT, 109, layout_engine=ImageFont.Layout.RAQM)  # the only size of its bitmaps
    one = font.getlength("\U0001f600")
    missing = {draw(text, font).tobytes() for text in MISSING}
    kept: dict[bytes, tuple[Emoji, Image.Image]] = {}
    for emoji in listed():
        if font.getlength(emoji.text) != one or len({c for c in emoji.text if c in TONES}) > 1:
            continue
        picture = draw(emoji.text, font)
        key = picture.tobytes()
        if key in missing:
            continue
        if key not in kept or len(emoji.name) < len(kept[key][0].name):
            kept[key] = (emoji, picture)
    return {emoji: small(picture) for emoji, picture in kept.values()}


def in_test(pictures: dict[Emoji, np.ndarray]) -> set[str]:
    """The bases of the test split: in each group, every sixth in the order of their hashes."""
    bases: dict[str, set[str]] = {}
    for emoji in pictures:
        bases.setdefault(emoji.group, set()).add(emoji.base)
    return {base for group in bases.values() for base in sorted(group, key=lambda b: sha256(b.encode()).digest())[::6]}


def sheet(pictures: list[np.ndarray]) -> bytes:
    """A lossless WebP of the pictures, COLUMNS a row."""
    rows = -(-len(pictures) // COLUMNS)
    tiles = np.zeros((rows * COLUMNS, SIZE, SIZE, 4), np.uint8)
    tiles[: len(pictures)] = pictures
    pixels = tiles.reshape(rows, COLUMNS, SIZE, SIZE, 4).swapaxes(1, 2).reshape(rows * SIZE, COLUMNS * SIZE, 4)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True, exact=True, quality=100, method=6)
    return file.getvalue()


def main() -> None:
    """Write emoji.zip beside this file."""
    pictures = rendered()
    test = in_test(pictures)
    with ZipFile(Path(__file__).with_name("emoji.zip"), "w") as archive:
        for split in ("train", "test"):
            chosen = [emoji for emoji in pictures if (emoji.base in test) == (split == "test")]
            random.Random(0).shuffle(chosen)  # so that the first ones are a mixture of all groups
            table = "".join("\t".join(map(str, (*emoji[1:], *emoji.factors()))) + "\n" for emoji in chosen)
            archive.writestr(ZipInfo(f"{split}.webp"), sheet([pictures[emoji] for emoji in chosen]))
            archive.writestr(ZipInfo(f"{split}.tsv"), table, ZIP_DEFLATED)


if __name__ == "__main__":
    main()
