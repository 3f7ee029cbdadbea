"""Embeddings alone: whatever people keep them and their tables in, as plain rows for `ProbePanel`.

Nothing is imported for it: a pandas, polars or Hugging Face table is known by what it can do.
"""

import io
import os
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor

from ssl_toolkit.widgets.pictures import as_pixels

SIDE = 64  # pixels of a picture from a file
PRELOADED = 10_000  # pictures that are loaded before they are looked at; of more, those from files when they are
FEW = 24  # different whole numbers that are names rather than measurements
TOLD = 8  # columns of a row that are read out
LETTERS = 80  # of a value that is read out
UNKNOWN = "unknown"
SECONDS = 10  # that a picture from the web may take


class Column(NamedTuple):
    """A column of a table: numbers, NaN where there is none, or places in `words`, -1 where there is none."""

    values: Tensor
    words: tuple[str, ...]
    told: list[str]  # each value as it was written


def as_embeddings(z: Any, name: str = "z") -> Float32[Tensor, "n d"]:
    """Rows of finite numbers from numpy, torch, lists, or a column of lists. Raises ValueError for what is none."""
    try:
        given = z.detach().cpu() if isinstance(z, Tensor) else torch.as_tensor(np.array(_plain(z), dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is a {type(z).__name__} that is no matrix of numbers: give (n, d).") from error
    if given.ndim != 2 or 0 in given.shape or given.is_complex():
        raise ValueError(f"{name} has shape {tuple(given.shape)}: it must be (n, d), a row of numbers for each item.")
    given = given.float()
    if bad := int((~given.isfinite()).any(dim=1).sum()):
        raise ValueError(f"{name} has NaN or infinite values in {bad} of {len(given)} rows: leave these rows out.")
    return given


def _plain(values: Any) -> Any:
    """A column or table of numbers as numpy or lists."""
    if hasattr(values, "to_numpy"):  # pandas, polars
        values = values.to_numpy()
        if values.dtype == object:
            values = np.stack([np.asarray(row) for row in values])
    return values


def as_columns(table: Any, n: int) -> dict[str, Column]:
    """The columns of a DataFrame, a data set or a dict, by name. Raises ValueError for one that has not n values."""
    if table is None:
        return {}
    columns, kinds = {}, getattr(table, "features", None) or {}
    for name in column_names(table):
        if type(kinds.get(name)).__name__ in ("Image", "Audio", "Video"):
            continue  # which would be decoded
        values = table[name]
        if len(values) != n:
            raise ValueError(f"table has {len(values)} values of {name!r} and z has {n} rows: they must be the same.")
        if (column := _as_column(values)) is not None:
            columns[str(name)] = column
    return columns


def column_names(table: Any) -> list[Any]:
    """The names of the columns of a table, whatever its kind."""
    names = getattr(table, "column_names", None)
    names = getattr(table, "columns", None) if names is None else names
    return list(table or ()) if names is None else list(names)


def _as_column(values: Any) -> Column | None:
    """Numbers, or names; None for what is neither, as pictures and vectors."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    raw = values.to_numpy() if hasattr(values, "to_numpy") else values
    dates = np.asarray(raw) if getattr(getattr(raw, "dtype", None), "kind", "") == "M" else None
    items = [None if _missing(v) else v for v in (raw.tolist() if hasattr(raw, "tolist") and dates is None else raw)]
    known = [v for v in items if v is not None]
    if any((hasattr(v, "__len__") and not isinstance(v, str)) or hasattr(v, "convert") for v in known):
        return None
    told = [UNKNOWN if v is None else f"{v:.6g}" if isinstance(v, float) else str(v) for v in items]
    if dates is not None:  # in years
        years = dates.astype("datetime64[s]").astype(np.float64) / 31_556_952 + 1970
        return Column(torch.from_numpy(np.where(np.isnat(dates), np.nan, years)), (), told)
    numbers = all(isinstance(v, int | float | np.number) and not isinstance(v, bool | np.bool_) for v in known)
    whole = numbers and all(float(v).is_integer() for v in known) and not any(isinstance(v, float) for v in known)
    if numbers and not (whole and len(set(known)) <= FEW):
        return Column(torch.tensor([np.nan if v is None else float(v) for v in items], dtype=torch.float64), (), told)
    counts = Counter(map(str, known))
    # many classes: the commonest first, since these are colored; few: by number or name
    words = sorted(counts, key=(lambda word: -counts[word]) if len(counts) > FEW else float if whole else str)
    place = {word: i for i, word in enumerate(words)}
    index = [-1 if v is None else place[str(v)] for v in items]
    return Column(torch.tensor(index, dtype=torch.int64), tuple(words), told)


def _missing(value: Any) -> bool:
    return (
        value is None or (isinstance(value, float) and value != value) or type(value).__name__ in ("NAType", "NaTType")
    )


def row_words(columns: Mapping[str, Column], text: Sequence[str] | None, n: int) -> list[str]:
    """What is read out for each row: its text, then its first columns."""
    told = []
    for i in range(n):
        words = [_short(text[i])] if text is not None else []
        words += [f"{name} {_short(column.told[i])}" for name, column in list(columns.items())[:TOLD]]
        told.append(" · ".join(words) or f"row {i}")
    return told


def _short(text: Any) -> str:
    text = str(text)
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"


def as_texts(text: Any, table: Any, n: int) -> list[str] | None:
    """The texts of the rows: a list, or the name of a column of the table. Raises ValueError for another number."""
    if text is None:
        return None
    if isinstance(text, str):
        if text not in (names := column_names(table)):
            known = f"the name of a column ({', '.join(map(str, names))})" if names else "a table that has this column"
            raise ValueError(f"text is {text!r}: give a text for each row, or {known}.")
        text = table[text]
    texts = [str(t) for t in (text.to_list() if hasattr(text, "to_list") else list(text))]
    if len(texts) != n:
        raise ValueError(f"text has {len(texts)} entries and z has {n} rows: they must be the same.")
    return texts


def as_pictures(images: Any, n: int) -> UInt8[Tensor, "n c h w"] | list[Any] | None:
    """Arrays of images as (n, c, h, w); paths, addresses and PIL images as a list, for `load_pictures`."""
    if images is None:
        return None
    if len(images) != n:
        raise ValueError(f"images has {len(images)} entries and z has {n} rows: they must be the same.")
    if isinstance(images, Tensor | np.ndarray) and images.ndim >= 3:
        x = images.detach().cpu() if isinstance(images, Tensor) else torch.from_numpy(np.ascontiguousarray(images))
        if x.ndim == 3:
            x = x[:, None]
        if x.ndim != 4 or (x.shape[1] not in (1, 3) and x.shape[3] not in (1, 3)):
            raise ValueError(f"images has shape {tuple(x.shape)}: it must be (n, c, h, w) or (n, h, w, c), c 1 or 3.")
        return as_pixels(x if x.shape[1] in (1, 3) else x.permute(0, 3, 1, 2).contiguous())
    return images.to_list() if hasattr(images, "to_list") else list(images)


class Lazy:
    """Pictures of files that are loaded when they are first looked at, into `sheet` (n, 3, h, w)."""

    def __init__(self, given: Sequence[Any]):
        self.given = given
        self.sheet = torch.zeros(len(given), 3, SIDE // 2, SIDE // 2, dtype=torch.uint8)
        self.wrong: list[str] = []
        self._here = torch.zeros(len(given), dtype=torch.bool)

    def fetch(self, index: Sequence[int]) -> None:
        """Load those of these that are not here yet; what is no picture stays white."""
        missing = [i for i in dict.fromkeys(index) if not self._here[i]]
        with ThreadPoolExecutor(8) as pool:
            for i, loaded in zip(missing, pool.map(_load, [self.given[i] for i in missing]), strict=True):
                self._here[i] = True
                if isinstance(loaded, str):
                    self.wrong.append(loaded)
                    self.sheet[i] = 255
                else:
                    self.sheet[i] = F.avg_pool2d(loaded.float(), 2).round().byte()


def is_lazy(given: Sequence[Any]) -> bool:
    """Whether these are so many that only those are loaded that are looked at; not from the web, which may be slow."""
    return len(given) > PRELOADED and not any(isinstance(one, str) and one.startswith("http") for one in given)


def load_pictures(given: Sequence[Any], sheet: UInt8[Tensor, "n 3 h w"]) -> Iterator[tuple[int, list[str]]]:
    """Fill the sheet, picture by picture: yields how many are done and what went wrong so far."""
    wrong: list[str] = []
    with ThreadPoolExecutor(8) as pool:  # several at a time, as the web is slow
        for i, loaded in enumerate(pool.map(_load, given)):
            if isinstance(loaded, str):
                wrong.append(loaded)
            else:
                sheet[i] = loaded
            yield i + 1, wrong


def _load(source: Any) -> UInt8[Tensor, "3 h w"] | str:
    """A picture fitted into a square with a white border, or what went wrong."""
    from PIL import Image, ImageOps

    try:
        if isinstance(source, str) and source.startswith(("http://", "https://")):
            with urllib.request.urlopen(source, timeout=SECONDS) as answer:  # nothing but the web
                source = io.BytesIO(answer.read(20_000_000))
        elif isinstance(source, dict):  # as Hugging Face stores them
            source = io.BytesIO(source["bytes"]) if source.get("bytes") else source["path"]
        elif isinstance(source, bytes):
            source = io.BytesIO(source)
        image = source if hasattr(source, "convert") else Image.open(source)
        fitted = ImageOps.pad(ImageOps.exif_transpose(image).convert("RGB"), (SIDE, SIDE), color="white")
        return torch.from_numpy(np.array(fitted)).permute(2, 0, 1)
    except Exception as error:  # one bad file of thousands is said, and stops nothing
        name = os.fspath(source) if isinstance(source, str | os.PathLike) else type(source).__name__
        return f"{name}: {type(error).__name__}: {error}"


def rows_of(table: Any, index: list[int]) -> Any:
    """These rows of the table, as a table of its own kind."""
    if hasattr(table, "iloc"):  # pandas
        return table.iloc[index]
    if hasattr(table, "column_names") and hasattr(table, "select"):  # Hugging Face
        return table.select(index)
    if isinstance(table, Mapping):
        return {
            name: values[index] if hasattr(values, "shape") else [values[i] for i in index]
            for name, values in table.items()
        }
    return table[index]  # polars
