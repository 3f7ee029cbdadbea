"""Data: plain tensors to index and edit, data sets by name, streams, and the source of all randomness."""

from ssl_toolkit.data.cache import Written as Written
from ssl_toolkit.data.cache import open_cache as open_cache
from ssl_toolkit.data.cache import write_cache as write_cache
from ssl_toolkit.data.dataset import Batch as Batch
from ssl_toolkit.data.dataset import Dataset as Dataset
from ssl_toolkit.data.dataset import Source as Source
from ssl_toolkit.data.dataset import as_bytes as as_bytes
from ssl_toolkit.data.dataset import as_float as as_float
from ssl_toolkit.data.dataset import batch as batch
from ssl_toolkit.data.dataset import batch_index as batch_index
from ssl_toolkit.data.dataset import check_unit_range as check_unit_range
from ssl_toolkit.data.folders import DataError as DataError
from ssl_toolkit.data.sampling import FewClasses as FewClasses
from ssl_toolkit.data.sampling import long_tail as long_tail
from ssl_toolkit.data.seeds import rng as rng
from ssl_toolkit.data.seeds import seeded as seeded
from ssl_toolkit.data.sources import is_available as is_available
from ssl_toolkit.data.sources import load_data as load_data
from ssl_toolkit.data.stream import Stream as Stream
