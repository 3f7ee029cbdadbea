"""Data: plain tensors to index and edit, data sets by name, streams, and the source of all randomness."""

from ssl_toolkit.data.arguments import (
    as_tensor as as_tensor,
    checked as checked,
    checked_finite as checked_finite,
    must_be_finite as must_be_finite,
)
from ssl_toolkit.data.cache import Written as Written, open_cache as open_cache, write_cache as write_cache
from ssl_toolkit.data.dataset import (
    Batch as Batch,
    Dataset as Dataset,
    Source as Source,
    as_bytes as as_bytes,
    as_float as as_float,
    batch as batch,
    batch_index as batch_index,
    check_unit_range as check_unit_range,
)
from ssl_toolkit.data.emoji import (
    alpha_composite as alpha_composite,
    on_colored_grounds as on_colored_grounds,
    read_emoji as read_emoji,
)
from ssl_toolkit.data.folders import DataError as DataError
from ssl_toolkit.data.labels import number_labels as number_labels
from ssl_toolkit.data.sampling import FewClasses as FewClasses, by_class as by_class, long_tail as long_tail
from ssl_toolkit.data.seeds import rng as rng, seeded as seeded
from ssl_toolkit.data.sources import is_available as is_available, load_data as load_data
from ssl_toolkit.data.stream import Stream as Stream
from ssl_toolkit.data.wild import in_the_wild as in_the_wild
