"""Encoders: our small networks, any network of yours, and the features of images at every depth."""

from ssl_toolkit.encoders.features import AnyEncoder as AnyEncoder
from ssl_toolkit.encoders.features import Embedded as Embedded
from ssl_toolkit.encoders.features import embed as embed
from ssl_toolkit.encoders.features import embed_steps as embed_steps
from ssl_toolkit.encoders.features import eval_mode as eval_mode
from ssl_toolkit.encoders.features import feature_function as feature_function
from ssl_toolkit.encoders.features import features_at as features_at
from ssl_toolkit.encoders.features import pixels as pixels
from ssl_toolkit.encoders.features import to_device_of as to_device_of
from ssl_toolkit.encoders.features import untrained as untrained
from ssl_toolkit.encoders.networks import Depths as Depths
from ssl_toolkit.encoders.networks import Encoder as Encoder
from ssl_toolkit.encoders.networks import resnet as resnet
from ssl_toolkit.encoders.networks import set_last_block_width as set_last_block_width
from ssl_toolkit.encoders.networks import small_conv as small_conv
from ssl_toolkit.encoders.wrap import wrap as wrap
