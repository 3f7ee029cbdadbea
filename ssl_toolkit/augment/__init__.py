"""Views: batch operations with one parameter value per sample (`functional`), and random ones (`transforms`)."""

from ssl_toolkit.augment.functional import (
    brightness as brightness,
    contrast as contrast,
    gaussian_blur as gaussian_blur,
    grayscale as grayscale,
    hflip as hflip,
    hue as hue,
    resized_crop as resized_crop,
    rotate as rotate,
    saturation as saturation,
    solarize as solarize,
    translate as translate,
)
from ssl_toolkit.augment.transforms import (
    Augment as Augment,
    Op as Op,
    Params as Params,
    View as View,
    color_jitter as color_jitter,
    compose as compose,
    gaussian_noise as gaussian_noise,
    random_blur as random_blur,
    random_flip as random_flip,
    random_grayscale as random_grayscale,
    random_resized_crop as random_resized_crop,
    random_rotate as random_rotate,
    random_solarize as random_solarize,
    random_translate as random_translate,
    replay as replay,
    simclr_views as simclr_views,
)
