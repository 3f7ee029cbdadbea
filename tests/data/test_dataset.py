"""Data sets, batches, and files as they are found in the wild: the files are real, small, and made here."""

import gzip
import hashlib
import os
import pickle
import struct
import warnings
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from PIL import Image, ImageOps

from ssl_toolkit.data import DataError, Dataset, as_float, batch, load_data, rng, sources as data_module
from ssl_toolkit.data.folders import decode, fit, from_bytes
from ssl_toolkit.data.shapes import SHAPES, shapes

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def numbered(n: int = 10) -> Dataset:
    """Image i, label i and factor i all say i."""
    i = torch.arange(n)
    return Dataset(
        i.to(torch.uint8).view(n, 1, 1, 1).expand(n, 3, 4, 5), i, tuple(map(str, range(n))), {"i": i.float()}
    )


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and no other place to look in."""
    monkeypatch.setenv("SSL_TOOLKIT_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(data_module, "_SYSTEM", tmp_path / "nowhere")
    return tmp_path / "cache"


# Dataset


@pytest.mark.parametrize(
    "index, kept",
    [
        (slice(2, 5), [2, 3, 4]),
        (slice(None, None, 4), [0, 4, 8]),
        ([7, 0, 7], [7, 0, 7]),
        ([], []),
        ([True, False] * 5, [0, 2, 4, 6, 8]),
        (torch.tensor([9, -1]), [9, 9]),
        (torch.arange(10) > 7, [8, 9]),
    ],
)
def test_a_part_of_a_dataset_is_a_dataset_with_its_labels_and_factors(index, kept):
    part = numbered()[index]
    assert len(part) == len(kept)
    assert part.labels.tolist() == part.factors["i"].tolist() == part.images[:, 0, 0, 0].tolist() == kept
    assert part.classes == numbered().classes


def test_a_single_number_is_refused_as_an_index():
    with pytest.raises(TypeError):
        numbered()[3]


def test_a_dataset_says_what_it_is_and_not_what_it_holds():
    assert repr(numbered()) == "Dataset(unnamed: 10 images of 3 x 4 x 5, 10 classes, factors i)"


def test_a_dataset_may_be_edited():
    data = numbered()
    data.images, data.labels = data.images[data.labels > 4], data.labels[data.labels > 4]
    assert sorted(batch(data, 0, batch_size=5).labels.tolist()) == [5, 6, 7, 8, 9]


def test_to_moves_everything():
    moved = numbered().to("meta")
    assert {moved.images.device.type, moved.labels.device.type, moved.factors["i"].device.type} == {"meta"}


# batch


@given(n=st.integers(1, 40), size=st.integers(1, 40), seed=st.integers(0, 3), epoch=st.integers(0, 3))
def test_an_epoch_meets_each_image_at_most_once_and_all_but_the_last_few(n, size, seed, epoch):
    size, steps = min(size, n), n // min(size, n)
    batches = [batch(numbered(n), epoch * steps + i, batch_size=size, seed=seed) for i in range(steps)]
    met = torch.cat([b.index for b in batches])
    assert len(met) == len(met.unique()) == n - n % size
    assert met.tolist() == torch.randperm(n, generator=rng(seed, epoch, "order"))[: len(met)].tolist()
    for b in batches:
        assert torch.equal(b.labels, b.index)
        assert torch.equal((b.images * 255).round()[:, 0, 0, 0].long(), b.index)


def test_a_batch_is_float_in_0_1_and_the_data_stay_bytes():
    data = numbered(256)
    made = batch(data, 0, batch_size=256)
    images, labels, index = made
    assert images is made.images
    assert torch.equal(made.stored, data.images[index])
    assert torch.equal(labels, data.labels[index])
    assert images.dtype == torch.float32
    assert (images.min(), images.max()) == (0, 1)
    assert data.images.dtype == torch.uint8


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = [batch(numbered(), step, batch_size=10, seed=seed).index for step, seed in ((0, 0), (1, 0), (0, 1))]
    assert len(torch.stack(orders).unique(dim=0)) == 3


def test_editing_a_batch_does_not_change_the_order_of_the_epoch():
    before = batch(numbered(), 0, batch_size=10)
    kept = before.index.clone()
    before.index.zero_()
    assert torch.equal(batch(numbered(), 0, batch_size=10).index, kept)


@pytest.mark.parametrize("batch_size", [0, 11])
def test_a_batch_size_that_the_data_cannot_fill_is_named(batch_size):
    with pytest.raises(ValueError, match=f"batch_size is {batch_size}.* from 1 to 10"):
        batch(numbered(), 0, batch_size=batch_size)


def test_labels_left_behind_by_an_edit_are_noticed():
    data = numbered()
    data.images = data.images[:5]
    with pytest.raises(ValueError, match=r"5 images and 10 labels.*data\[mask\]"):
        batch(data, 0, batch_size=5)


def test_as_float_is_exact_at_both_ends_and_leaves_floats_alone():
    floats = as_float(torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1))
    assert floats.flatten().tolist() == pytest.approx([0, 0.2, 1])
    assert (floats[0], floats[2]) == (0, 1)
    assert as_float(floats) is floats


# load_data: what is always there


def test_shapes_render_as_many_as_asked_for_and_label_them_by_shape():
    data = load_data("shapes", limit=30)
    assert torch.equal(data.images, shapes(30).images)
    assert torch.equal(data.labels, data.factors["shape"])
    assert data.classes == SHAPES
    assert load_data("shapes", limit=3, size=48).images.shape == (3, 3, 48, 48)
    assert len(load_data("shapes", split="test")) == 2_000


def test_the_test_shapes_are_others():
    train, test = load_data("shapes", limit=50), load_data("shapes", split="test", limit=50)
    assert not any(torch.equal(a, b) for a, b in zip(train.images, test.images, strict=True))


def test_digits_are_divided_once_and_for_all():
    train, test = load_data("digits"), load_data("digits", split="test")
    assert (len(train), len(test)) == (1437, 360)
    assert train.images.shape[1:] == (1, 8, 8)
    assert train.images.max() == 255
    assert train.labels.bincount().min() > 130


@pytest.mark.parametrize("name", ["digits", "shapes"])
@pytest.mark.parametrize("size", [None, 16])
def test_limit_keeps_the_first(name, size):
    some, few = load_data(name, limit=40, size=size), load_data(name, limit=15, size=size)
    assert torch.equal(some.images[:15], few.images)
    assert torch.equal(some.labels[:15], few.labels)


def test_resizing_is_antialiased_and_stays_in_bytes():
    small = load_data("digits", size=4, limit=20).images
    averaged = torch.nn.functional.interpolate(
        load_data("digits", limit=20).images.float(), (4, 4), mode="bilinear", antialias=True
    )
    assert small.dtype == torch.uint8
    assert (small - averaged).abs().max() <= 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"split": "val"}, "split is 'val'"),
        ({"size": 0}, "size is 0"),
        ({"limit": 0}, "limit is 0"),
        (
            {"name_or_folder": "imagenet"},
            "'imagenet'.*'shapes', 'digits', 'fashion-mnist', 'mnist', 'cifar10', 'celeba'.*folder",
        ),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_data(**({"name_or_folder": "digits"} | arguments))


# load_data: files in LeCun's format


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def put_idx(folder: Path, *, n: int = 12, suffix: str = ".gz", prefix: str = "train", labels: np.ndarray | None = None):
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.arange(n)[:, None, None] * np.ones((1, 28, 28))
    labels = np.arange(n) % 10 if labels is None else labels
    write = gzip.compress if suffix else bytes
    (folder / f"{prefix}-images-idx3-ubyte{suffix}").write_bytes(write(idx(pixels)))
    (folder / f"{prefix}-labels-idx1-ubyte{suffix}").write_bytes(write(idx(labels)))


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("place", ["cache/mnist", "cache/MNIST/raw", "nowhere/mnist"])
def test_mnist_is_found_where_it_may_be(cache, place, suffix):
    put_idx(cache.parent / place, suffix=suffix)
    put_idx(cache.parent / place, suffix=suffix, prefix="t10k", n=3)
    train, test = load_data("mnist"), load_data("mnist", split="test")
    assert train.images[:, 0, 5, 5].tolist() == list(range(12))
    assert train.labels.tolist() == [*range(10), 0, 1]
    assert len(test) == 3


def test_the_cache_goes_before_the_system(cache):
    put_idx(cache / "fashion-mnist", n=5)
    put_idx(cache.parent / "nowhere" / "fashion-mnist", n=7)
    assert len(load_data("fashion-mnist")) == 5


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "sizes"])
def test_a_broken_idx_file_is_named(cache, suffix, damage):
    put_idx(cache / "mnist", suffix=suffix)
    file = cache / "mnist" / f"train-images-idx3-ubyte{suffix}"
    whole = file.read_bytes()
    file.write_bytes(
        {"cut": whole[:-9], "empty": b"", "foreign": b"<html>not found</html>", "sizes": b"\0\0\x08\x03\xff"}[damage]
    )
    with pytest.raises(DataError, match=f"{file.name} is not a whole idx file"):
        load_data("mnist")


@pytest.mark.parametrize("labels", [np.arange(11) % 10, np.arange(12)], ids=["too few", "too many classes"])
def test_labels_that_do_not_belong_to_the_images_are_refused(cache, labels):
    put_idx(cache / "mnist", labels=labels)
    with pytest.raises(DataError, match="replace them"):
        load_data("mnist")


@pytest.fixture
def no_network(monkeypatch):
    from torchvision import datasets

    def unreachable(*args, **kwargs):
        raise URLError("no network")

    for module in (datasets.mnist, datasets.cifar):
        monkeypatch.setattr(module, "download_and_extract_archive", unreachable)
    monkeypatch.setattr(datasets.celeba, "download_file_from_google_drive", unreachable)


def test_the_shipped_part_takes_the_place_of_fashion_mnist_and_a_warning_says_so(cache, no_network):
    with pytest.warns(UserWarning, match=r"SSL_TOOLKIT_DATA.* that comes with the package takes its place"):
        data = load_data("fashion-mnist")
    assert data.images.shape == (10_000, 1, 28, 28)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "celeba"])
def test_without_network_and_files_the_error_says_what_to_do(cache, no_network, name):
    with pytest.raises(DataError) as raised:
        load_data(name)
    assert str(cache) in str(raised.value)
    for word in ("no network", "SSL_TOOLKIT_DATA", "'garments', 'emoji', 'shapes' and 'digits' always work"):
        assert word in str(raised.value)


def test_fashion_mnist_is_whole():
    if not (data_module._SYSTEM / "fashion-mnist").is_dir():
        assert not os.environ.get("CI"), "the package dataset-fashion-mnist is not installed"
        pytest.skip("the package dataset-fashion-mnist is not installed")
    train, test = load_data("fashion-mnist"), load_data("fashion-mnist", split="test")
    assert train.images.shape == (60_000, 1, 28, 28)
    assert train.labels.bincount().tolist() == [6_000] * 10
    assert test.labels.bincount().tolist() == [1_000] * 10
    assert train.classes[train.labels[0]] == "Ankle boot"


# load_data: torchvision's archives


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_cifar10_is_read_when_its_checksums_agree_and_not_otherwise(cache, monkeypatch):
    from torchvision.datasets import CIFAR10

    folder = cache / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for i, file in enumerate(["data_batch_1", "test_batch"]):
        pixels = np.full((2, 3, 32, 32), 10 * i, dtype=np.uint8)
        pixels[:, 0] = 200
        (folder / file).write_bytes(pickle.dumps({"data": pixels.reshape(2, -1), "labels": [3, i]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [*"abcd"]}))
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", md5(folder / "data_batch_1")]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5(folder / "test_batch")]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": md5(folder / "batches.meta")})

    data = load_data("cifar10", split="test")
    assert data.images.shape == (2, 3, 32, 32)
    assert data.images[0, :, 7, 7].tolist() == [200, 10, 10]
    assert (data.labels.tolist(), data.classes) == ([3, 1], ("a", "b", "c", "d"))

    (folder / "test_batch").write_bytes(b"tampered with")
    monkeypatch.setattr(CIFAR10, "url", "file:///nowhere")
    with pytest.raises(DataError, match="CIFAR10"):
        load_data("cifar10", split="test")


def test_celeba_is_labeled_by_the_smile_and_knows_all_attributes(cache, monkeypatch):
    from torchvision.datasets import CelebA

    folder = cache / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{i:06}.jpg" for i in range(1, 5)]
    for i, name in enumerate(names):
        Image.new("RGB", (178, 218), (60 * i, 60 * i, 60 * i)).save(folder / "img_align_celeba" / name)
    rows = {
        "list_eval_partition.txt": ["000001.jpg 0", "000002.jpg 2", "000003.jpg 0", "000004.jpg 2"],
        "identity_CelebA.txt": [f"{name} {7 + i}" for i, name in enumerate(names)],
        "list_bbox_celeba.txt": ["4", "image_id x_1 y_1 width height", *(f"{name} 0 0 9 9" for name in names)],
        "list_landmarks_align_celeba.txt": ["4", "lefteye_x lefteye_y", *(f"{name} 1 2" for name in names)],
        "list_attr_celeba.txt": [
            "4",
            "Bald Smiling",
            *(f"{n} {s} 1" if s > 0 else f"{n} 1 -1" for n, s in zip(names, (1, 1, -1, 1), strict=True)),
        ],
    }
    for file, lines in rows.items():
        (folder / file).write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(CelebA, "file_list", [("", md5(folder / file), file) for file in rows])

    data = load_data("celeba", limit=2)
    assert data.images.shape == (2, 3, 64, 64)
    assert data.images[:, 0, 9, 9].tolist() == [0, 120]
    assert [data.classes[i] for i in data.labels] == ["smiling", "not smiling"]
    assert {name: values.tolist() for name, values in data.factors.items()} == {
        "Bald": [1, 1],
        "Smiling": [1, 0],
        "identity": [7, 9],
    }
    assert load_data("celeba", split="test").factors["identity"].tolist() == [8, 10]


# load_data: folders


def put(path: Path, image: Image.Image | None = None, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("RGB", (20, 20), RED)).save(path, **options)
    return path


def pixel(folder: Path, *, at: tuple[int, int] = (8, 8)) -> list[int]:
    """The color of the folder's only image, at a row and a column of 16."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load_data(folder, size=16)
    assert data.images.shape == (1, 3, 16, 16)
    return data.images[0, :, at[0], at[1]].tolist()


def close(got, wanted, tolerance: int = 3) -> bool:
    return max(abs(g - w) for g, w in zip(got, wanted, strict=True)) <= tolerance


def test_a_folder_of_class_folders(tmp_path):
    for i, color in enumerate([RED, GREEN, BLUE]):
        put(tmp_path / "b" / f"{i}.png", Image.new("RGB", (30, 20), color))
    put(tmp_path / "a" / "deep" / "x.JPG", Image.new("RGB", (90, 100), WHITE))
    (tmp_path / "empty").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("not an image, nor named as one")
    data = load_data(tmp_path)
    assert data.images.shape == (4, 3, 64, 64)
    assert data.classes == ("a", "b")
    assert data.labels.tolist() == [0, 1, 1, 1]
    assert data.images[:, :, 30, 30].tolist() == [[*WHITE], [*RED], [*GREEN], [*BLUE]]
    assert data.name == tmp_path.name
    assert torch.equal(load_data(str(tmp_path)).images, data.images)


def test_the_order_takes_one_of_each_class_in_turn(tmp_path):
    for name, n in (("a", 4), ("b", 2), ("c", 1)):
        for i in range(n):
            put(tmp_path / name / f"{i}.png", Image.new("RGB", (8, 8), (i, i, i)))
    data = load_data(tmp_path, size=8)
    assert data.labels.tolist() == [0, 1, 2, 0, 1, 0, 0]
    assert data.images[:, 0, 0, 0].tolist() == [0, 0, 0, 1, 1, 2, 3]
    assert torch.equal(load_data(tmp_path, size=8, limit=5).images, data.images[:5])


def test_a_flat_folder_is_one_class(tmp_path):
    put(tmp_path / "holiday" / "1.png")
    data = load_data(tmp_path / "holiday")
    assert (data.labels.tolist(), data.classes) == ([0], ("holiday",))


def test_folders_named_train_and_test_are_splits(tmp_path):
    put(tmp_path / "train" / "cat" / "1.png")
    put(tmp_path / "val" / "cat" / "2.png", Image.new("RGB", (9, 9), BLUE))
    assert load_data(tmp_path).images[0, :, 0, 0].tolist() == [*RED]
    assert load_data(tmp_path, split="test").images[0, :, 0, 0].tolist() == [*BLUE]


def test_a_class_may_be_called_train(tmp_path):
    for name in ("train", "bus"):
        put(tmp_path / name / "1.png")
    assert load_data(tmp_path).classes == ("bus", "train")


def test_a_folder_without_the_split_says_how_to_make_one(tmp_path):
    put(tmp_path / "cat" / "1.png")
    with pytest.raises(DataError, match=r"no test images.*data\[::5\]"):
        load_data(tmp_path, split="test")


@pytest.mark.parametrize(
    "suffix, modes",
    [
        ("png", "1 L P RGB"),
        ("jpg", "1 L RGB CMYK YCbCr"),
        ("webp", "L P RGB"),
        ("tif", "1 L P RGB CMYK YCbCr"),
        ("gif", "1 L P RGB"),
        ("bmp", "1 L P RGB"),
    ],
)
def test_images_of_any_mode_are_read(tmp_path, suffix, modes):
    for mode in modes.split():
        put(tmp_path / mode / f"1.{suffix}", Image.new("RGB", (20, 20), WHITE).convert(mode))
        assert close(pixel(tmp_path / mode), WHITE), mode


def test_cmyk_jpegs_keep_their_colors(tmp_path):
    put(tmp_path / "c" / "1.jpg", Image.new("CMYK", (20, 20), (0, 255, 255, 0)))
    assert close(pixel(tmp_path), RED)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("value", [0, 257 * 100, 65535])
def test_sixteen_bits_become_eight_and_do_not_saturate(tmp_path, suffix, value):
    put(tmp_path / "c" / f"1.{suffix}", Image.fromarray(np.full((20, 20), value, dtype=np.uint16)))
    assert pixel(tmp_path) == [value // 257] * 3


def test_float_images_are_taken_to_be_in_0_1(tmp_path):
    put(tmp_path / "c" / "1.tif", Image.fromarray(np.full((20, 20), 0.2, dtype=np.float32)))
    assert pixel(tmp_path) == [51] * 3


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(tmp_path, mode):
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0)).convert(mode)
    put(tmp_path / "c" / "1.png", clear)
    assert pixel(tmp_path) == [*WHITE]


def test_the_transparent_color_of_a_palette_is_white(tmp_path):
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([*RED, *GREEN, *BLUE])
    palette.paste(2, (0, 0, 20, 10))
    put(tmp_path / "c" / "1.png", palette, transparency=1)
    assert pixel(tmp_path, at=(12, 8)) == [*WHITE]
    assert pixel(tmp_path, at=(3, 8)) == [*BLUE]


@pytest.mark.parametrize("orientation, corner", [(1, (3, 3)), (3, (12, 12)), (6, (3, 12)), (8, (12, 3))])
def test_photographs_stand_upright(tmp_path, orientation, corner):
    image = Image.new("RGB", (64, 64), WHITE)
    image.paste(RED, (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    put(tmp_path / "c" / "1.jpg", image, exif=exif, quality=95)
    assert close(pixel(tmp_path, at=corner), RED, 12)


def test_the_middle_is_kept_and_not_squeezed(tmp_path):
    wide = Image.new("RGB", (60, 20), RED)
    wide.paste(BLUE, (20, 0, 40, 20))
    put(tmp_path / "c" / "1.png", wide)
    assert load_data(tmp_path, size=20).images[0].flatten(1).unique(dim=1).flatten().tolist() == [*BLUE]


def test_a_large_jpeg_is_the_average_of_its_pixels(tmp_path):
    stripes = np.zeros((800, 800, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    put(tmp_path / "c" / "1.jpg", Image.fromarray(stripes), quality=95)
    assert close(pixel(tmp_path), (127, 127, 127), 4)


def test_broken_files_are_all_named_in_one_warning(tmp_path):
    whole = put(tmp_path / "c" / "good.jpg", Image.effect_noise((200, 200), 90).convert("RGB"))
    (tmp_path / "c" / "cut.jpg").write_bytes(whole.read_bytes()[:2000])
    (tmp_path / "c" / "text.png").write_text("hello")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "empty.png").touch()
    with pytest.warns(UserWarning, match="3 broken") as caught:
        data = load_data(tmp_path)
    assert len(caught) == 1
    assert all(name in str(caught[0].message) for name in ("cut.jpg", "text.png", "empty.png"))
    assert "good.jpg" not in str(caught[0].message)
    assert (len(data), data.labels.tolist(), data.classes) == (1, [0], ("c", "d"))


def test_limit_counts_the_images_that_can_be_read(tmp_path):
    for name in "abcd":
        put(tmp_path / "c" / f"{name}.png")
    (tmp_path / "c" / "a.png").write_text("broken")
    with pytest.warns(UserWarning, match="a.png"):
        assert len(load_data(tmp_path, limit=2)) == 2


def test_a_folder_of_broken_files_is_an_error(tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "1.png").write_text("broken")
    with pytest.raises(DataError, match=r"none of the 1 images can be read:\n.*1\.png"):
        load_data(tmp_path)


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "readme.txt").write_text("no image")
    with pytest.raises(DataError, match=r"holds no image.*\.jpg"):
        load_data(tmp_path)


def test_images_beside_class_folders_are_named(tmp_path):
    put(tmp_path / "c" / "1.png")
    put(tmp_path / "stray.png")
    with pytest.warns(UserWarning, match=r"left out: stray\.png"):
        assert len(load_data(tmp_path)) == 1


def test_hidden_files_and_folders_are_left_out(tmp_path):
    put(tmp_path / "c" / "1.png")
    put(tmp_path / "c" / ".2.png")
    put(tmp_path / ".thumbnails" / "3.png")
    assert load_data(tmp_path).classes == ("c",)
    assert len(load_data(tmp_path)) == 1


def test_links_are_followed_but_not_in_a_circle(tmp_path):
    put(tmp_path / "elsewhere" / "1.png")
    (tmp_path / "data" / "a").mkdir(parents=True)
    try:
        (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        (tmp_path / "data" / "a" / "up").symlink_to(tmp_path / "data", target_is_directory=True)
        (tmp_path / "data" / "up").symlink_to(tmp_path / "data", target_is_directory=True)
    except OSError:
        pytest.skip("this system does not let us make links")
    put(tmp_path / "data" / "a" / "2.png")
    data = load_data(tmp_path / "data")
    assert (len(data), data.classes) == (2, ("a", "linked"))


@pytest.mark.parametrize(
    "train, test",
    [
        ("Train", "Test"),
        ("Training", "Testing"),
        ("TRAIN", "valid"),
        ("seg_train", "seg_test"),
        ("training_set", "test_set"),
        ("train2017", "val2017"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("archive/TrainSet", "archive/TestSet"),
    ],
)
def test_splits_have_any_usual_name(tmp_path, train, test):
    for split, color in ((train, RED), (test, BLUE)):
        for name in ("cat", "dog"):
            put(tmp_path / split / name / "1.png", Image.new("RGB", (8, 8), color))
    for name in ("annotations", "__MACOSX"):
        put(tmp_path / name / "cat" / "1.png")
    (tmp_path / "notes" / "cat").mkdir(parents=True)
    for split, color in (("train", RED), ("test", BLUE)):
        data = load_data(tmp_path, split=split, size=8)
        assert (data.classes, data.labels.tolist()) == (("cat", "dog"), [0, 1])
        assert data.images[0, :, 0, 0].tolist() == [*color]


@pytest.mark.parametrize(
    "names", [("steam_train", "bullet_train"), ("valid", "invalid"), ("train", "bus"), ("tests", "x")]
)
def test_classes_whose_names_are_like_those_of_splits_are_classes(tmp_path, names):
    for name in names:
        put(tmp_path / name / "1.png")
    assert load_data(tmp_path).classes == tuple(sorted(names))


def test_folders_of_two_kinds_of_splits_are_classes_and_a_warning_says_so(tmp_path):
    for name in ("trainA", "trainB", "testA", "testB"):
        put(tmp_path / name / "1.png")
    with pytest.warns(UserWarning, match="taken for classes, not for splits"):
        assert load_data(tmp_path).classes == ("testA", "testB", "trainA", "trainB")


def test_classes_have_one_number_in_all_splits(tmp_path):
    for split, names in {"train": "bcd", "test": "cd", "val": "ad"}.items():
        for name in names:
            put(tmp_path / split / name / "1.png")
    train, test = load_data(tmp_path), load_data(tmp_path, split="test")
    assert train.classes == test.classes == ("d", "b", "c")  # what all have comes first
    assert (train.labels.tolist(), test.labels.tolist()) == ([1, 2, 0], [2, 0])


def test_a_split_that_lacks_a_class_has_the_first_names(tmp_path):
    for split, names in {"train": "abc", "test": "bc"}.items():
        for name in names:
            put(tmp_path / split / name / "1.png")
    train, test = load_data(tmp_path), load_data(tmp_path, split="test")
    assert (train.classes, test.classes) == (("b", "c", "a"), ("b", "c"))
    assert test.labels.tolist() == [0, 1]


def test_a_flat_split_beside_classes_has_no_labels(tmp_path):
    put(tmp_path / "train" / "cat" / "1.png")
    put(tmp_path / "test" / "1.png")
    test = load_data(tmp_path, split="test")
    assert (test.classes, test.labels.tolist()) == (("cat",), [-1])
    put(tmp_path / "val" / "cat" / "1.png")
    with pytest.warns(UserWarning, match="test images of .* have no labels: its val split"):
        assert load_data(tmp_path, split="test").labels.tolist() == [0]


def test_what_is_beside_the_splits_is_left_out_by_name(tmp_path):
    for name in ("train", "test", "extra"):
        put(tmp_path / name / "cat" / "1.png")
    with pytest.warns(UserWarning, match="left out: extra"):
        assert load_data(tmp_path).classes == ("cat",)
    (tmp_path / "only").mkdir()
    put(tmp_path / "only" / "test" / "cat" / "1.png")
    with pytest.raises(DataError, match="no train images, only those of the splits test"):
        load_data(tmp_path / "only")


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "jfi", "pnm", "jp2", "tga", "dib", "ico", "pcx", "qoi", "sgi"])
def test_no_suffix_that_pillow_reads_is_lost(tmp_path, suffix):
    formats = {"jfif": "JPEG", "jpe": "JPEG", "jfi": "JPEG", "pnm": "PPM"}
    for name in ("a", "b"):
        path = tmp_path / name / f"1.{suffix if name == 'a' else 'png'}"
        put(path, format=formats.get(suffix) if name == "a" else None)
    data = load_data(tmp_path, size=16)
    assert (data.classes, data.labels.tolist()) == (("a", "b"), [0, 1])
    assert close(data.images[0, :, 8, 8].tolist(), RED)


def test_a_class_without_an_image_that_can_be_read_is_named(tmp_path):
    put(tmp_path / "a" / "1.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.npy").touch()
    with pytest.warns(UserWarning, match="no classes: b"):
        assert load_data(tmp_path).classes == ("a",)


def test_systems_folders_are_no_classes_at_any_depth(tmp_path):
    for name in ("a", "a/__MACOSX", "a/deep/__MACOSX", "__MACOSX/a", "a/.hidden", "@eaDir", "lost+found"):
        put(tmp_path / name / "1.png")
    data = load_data(tmp_path)
    assert (len(data), data.classes) == (1, ("a",))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_fifos_are_passed_over_and_each_real_file_is_taken_once(tmp_path):
    for name in ("a", "b", "b/deep"):
        put(tmp_path / name / "1.png")
    os.mkfifo(tmp_path / "a" / "fifo.png")
    (tmp_path / "a" / "2.png").symlink_to("fifo.png")
    (tmp_path / "b" / "0.png").symlink_to("1.png")
    (tmp_path / "b" / "again").symlink_to("deep", target_is_directory=True)
    assert load_data(tmp_path).labels.tolist() == [0, 1, 1]
    (tmp_path / "Copy of b").symlink_to("b", target_is_directory=True)
    (tmp_path / "a" / "3.png").symlink_to(Path("..") / "b" / "1.png")
    with pytest.warns(UserWarning, match=r"stay in the class where they are: .*Copy of b, .*3\.png"):
        data = load_data(tmp_path)
    assert (data.classes, data.labels.tolist()) == (("Copy of b", "a", "b"), [1, 2, 2])


def test_a_link_that_leads_nowhere_is_reported(tmp_path):
    put(tmp_path / "a" / "1.png")
    for target in ("gone.png", "2.png"):  # the second is a circle
        (tmp_path / "a" / ("2.png" if target == "2.png" else "3.png")).symlink_to(target)
    with pytest.warns(UserWarning, match="2 broken image files"):
        assert len(load_data(tmp_path)) == 1


RAMP = np.linspace(0, 1, 400).reshape(20, 20)


@pytest.mark.parametrize(
    "values, tags, words",
    [
        (4095 * RAMP.astype(np.float64), {}, "no value above 4095"),
        (255 * RAMP, {}, "no value above 255"),
        ((1000 * RAMP).astype(np.uint16), {281: 1000}, "from 0 .black. to 1000 .white., as their files say"),
        ((255 * RAMP).astype(np.float32), {}, "no value above 255"),
        ((10 * RAMP).astype(np.float32), {341: 10.0}, "to 10 .white., as their files say"),
        ((4 * RAMP - 2).astype(np.float32), {}, "no usual range"),
        ((1e6 * RAMP).astype(np.int32), {}, "no usual range"),
        ((3000 * RAMP - 1000).astype(np.int32), {}, "no usual range"),
        (np.where(RAMP == 0, np.nan, RAMP).astype(np.float32), {}, "NaN"),
    ],
)
def test_the_range_of_many_bits_comes_from_tags_or_data_and_a_warning_says_so(tmp_path, values, tags, words):
    image = Image.fromarray(values.astype(np.uint16) if values.dtype == np.float64 else values)
    put(tmp_path / "c" / "1.tif", image, tiffinfo=tags)
    with pytest.warns(UserWarning, match=f"1 of these images .*{words}"):
        seen = load_data(tmp_path, size=20).images[0, 0]
    assert (seen.float() - 255 * torch.from_numpy(RAMP)).abs().max() <= 1.5


@pytest.mark.parametrize("mode", ["LAB", "I;16B", "P with alpha", "La"])
def test_rare_modes_are_read(mode):
    white = Image.new("RGB", (20, 20), WHITE)
    match mode:
        case "LAB":
            image = Image.new("LAB", (20, 20), (255, 128, 128))
        case "I;16B":
            image = Image.frombytes("I;16B", (20, 20), b"\xff" * 800)
        case "P with alpha":
            image = Image.new("P", (20, 20), 0)
            image.putpalette([255, 0, 0, 0], "RGBA")
        case _:
            image = white.convert("LA").convert("La")
    assert close(fit(image, 8)[:, 4, 4].tolist(), WHITE)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_of_a_stream_stands_upright_as_one_of_a_folder(tmp_path, suffix, orientation):
    image = Image.new("RGB", (64, 64), WHITE)
    image.paste(RED, (0, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = put(tmp_path / f"1.{suffix}", image, exif=exif, quality=95)
    with Image.open(path) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened).convert("RGB")).transpose(2, 0, 1)
    with Image.open(path) as opened:
        assert np.abs(fit(opened, 64).astype(int) - upright).max() <= 2
    assert np.abs(decode(path, 64).astype(int) - upright).max() <= 2


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (20, 20), color) for color in (RED, GREEN, BLUE)]
    put(tmp_path / "c" / "1.gif", frames[0], save_all=True, append_images=frames[1:])
    assert close(pixel(tmp_path), RED)


def test_an_image_in_memory_is_fitted_as_one_from_a_file(tmp_path):
    pixels = torch.randint(0, 256, (40, 60, 3), generator=rng(0), dtype=torch.uint8).numpy()
    Image.fromarray(pixels).save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    assert torch.equal(from_bytes(content, (3, 16, 16)), torch.from_numpy(decode(tmp_path / "x.png", 16)))
    low, whole = from_bytes(content, (3, 8, 16)), from_bytes(content, (3, 16, 16))
    assert torch.equal(low, whole[:, 4:12])
    gray = from_bytes(content, (1, 16, 16))
    expected = (whole.float() * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=0)
    assert gray.shape == (1, 16, 16)
    assert (gray[0] - expected).abs().max() <= 1
    for wrong in (content[: len(content) // 2], b"", b"text"):
        with pytest.raises(DataError, match="no image that can be read"):
            from_bytes(wrong, (3, 16, 16))
