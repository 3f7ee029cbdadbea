"""Encoders: our small networks, any network of yours, and the features of images at every depth."""

from ssl_toolkit.encoders.features import (
    AnyEncoder as AnyEncoder,
    Embedded as Embedded,
    embed as embed,
    embed_steps as embed_steps,
    eval_mode as eval_mode,
    feature_function as feature_function,
    features_at as features_at,
    pixels as pixels,
    to_device_of as to_device_of,
    untrained as untrained,
)
from ssl_toolkit.encoders.networks import (
    Depths as Depths,
    Encoder as Encoder,
    resnet as resnet,
    set_last_block_width as set_last_block_width,
    small_conv as small_conv,
)
from ssl_toolkit.encoders.weights import LoadedWeights as LoadedWeights, load_weights as load_weights
from ssl_toolkit.encoders.wrap import wrap as wrap
