"""Records as tables: what a run yielded, in files that other programs read."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from torch import Tensor

Row = dict[str, Any]  # by column: numbers, words, or None


def flat(record: Any, name: str = "") -> Row:
    """The numbers and words of a record, those of what it holds with the name of that before theirs; no images.

    >>> flat({"step": 3, "terms": {"alignment": 0.5}, "image": torch.zeros(3, 8, 8)})
    {'step': 3, 'terms alignment': 0.5}
    """
    if hasattr(record, "_asdict"):
        record = record._asdict()
    if isinstance(record, Mapping):
        rows = (flat(value, f"{name} {key}".strip()) for key, value in record.items())
        return {key: value for row in rows for key, value in row.items()}
    if isinstance(record, Tensor) and record.ndim == 0:
        record = record.item()
    return {name: record} if record is None or isinstance(record, bool | int | float | str) else {}


def joined(rows: Iterable[Row], by: str) -> list[Row]:
    """One row for each value of the column `by`, in its order, with all that is known of it.

    >>> joined([{"step": 2, "loss": 0.1}, {"step": 0, "knn": 0.5}, {"step": 2, "knn": 0.7}], by="step")
    [{'step': 0, 'knn': 0.5}, {'step': 2, 'loss': 0.1, 'knn': 0.7}]
    """
    found: dict[Any, Row] = {}
    for row in rows:
        found.setdefault(row[by], {}).update(row)
    return [found[key] for key in sorted(found)]


def as_csv(rows: Sequence[Row]) -> bytes:
    """Text with a line for each row; what a row does not have stays empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: Sequence[Row]) -> bytes:
    """The same as a file of Parquet, which keeps types. Raises ImportError where pyarrow is missing."""
    if find_spec("pyarrow") is None:
        raise ImportError(".parquet needs the package pyarrow: pip install pyarrow, or write .csv.")
    import pyarrow
    from pyarrow import parquet

    columns = {name: [row.get(name) for row in rows] for name in _columns(rows)}
    parquet.write_table(pyarrow.table(columns), buffer := io.BytesIO())
    return buffer.getvalue()


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))
