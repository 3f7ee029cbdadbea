"""Streams and their cache, beside the same images in memory: real files, real worker processes, real kills."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from ssl_toolkit.augment import simclr_views
from ssl_toolkit.data import (
    DataError,
    Dataset,
    Stream,
    Written,
    as_float,
    batch,
    load_data,
    open_cache,
    rng,
    write_cache,
)
from ssl_toolkit.data.cache import PORTION
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.joint import JointRecipe, joint_embedding
from ssl_toolkit.losses import nt_xent
from ssl_toolkit.training import start, train

N, SIZE = 30, 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three classes of ten photographs of noise, of several shapes, JPEG and PNG."""
    root = tmp_path_factory.mktemp("photos")
    for i in range(N):
        path = root / "abc"[i % 3] / f"{i}.{'png' if i % 4 == 0 else 'jpg'}"
        path.parent.mkdir(exist_ok=True)
        pixels = torch.randint(256, (20 + i, 50 - i, 3), generator=rng(i), dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(path)
    return root


@pytest.fixture(scope="module")
def memory(folder) -> Dataset:
    return load_data(folder, size=SIZE)


@pytest.fixture(scope="module")
def stream(folder) -> Stream:
    """With two workers, which live as long as the tests here."""
    return Stream(folder, size=SIZE, workers=2)


def tensors(n: int = 10, *, channels: int = 3, dtype: torch.dtype = torch.uint8) -> TensorDataset:
    """Image i is i everywhere, and its label is i."""
    i = torch.arange(n)
    images = i.to(torch.uint8).view(n, 1, 1, 1).expand(n, channels, 6, 8)
    return TensorDataset(images if dtype == torch.uint8 else images.to(dtype) / 255, i)


def same(a, b) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def written(stream: Stream, path: Path) -> Path:
    *_, last = write_cache(stream, path)
    assert last == Written(len(stream), len(stream))
    return path


# Batches


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_stream_gives_the_batches_of_the_same_images_in_memory(folder, memory, workers):
    stream = Stream(folder, size=SIZE, workers=workers)
    for step in range(9):  # three epochs
        assert same(batch(stream, step, batch_size=8, seed=5), batch(memory, step, batch_size=8, seed=5))


def test_any_step_may_be_asked_for_while_the_workers_run_ahead(stream, memory):
    asked = [(7, 8, 0), (8, 8, 0), (9, 8, 0), (2, 8, 0), (2, 8, 0), (3, 8, 1), (4, 5, 1), (0, 30, 0), (1, 30, 0)]
    for step, batch_size, seed in asked:
        one, other = (batch(data, step, batch_size=batch_size, seed=seed) for data in (stream, memory))
        assert same(one, other)


def test_a_process_decodes_its_share_only(folder, memory, stream):
    whole = batch(memory, 3, batch_size=9)
    for data in (memory, stream):
        shares = [batch(data, 3, batch_size=9, share=slice(3 * rank, 3 * rank + 3)) for rank in range(3)]
        assert all(len(share.images) == 3 for share in shares)
        assert same(whole, [torch.cat(parts) for parts in zip(*shares, strict=True)])


def test_classes_length_and_name_are_those_of_the_folder(stream, memory):
    assert (len(stream), stream.classes, stream.name) == (N, memory.classes, memory.name)
    assert repr(stream).endswith(": 30 images as 12 x 12, 3 classes)")


def test_a_split_of_the_folder_may_be_asked_for(tmp_path):
    for split, color in (("train", "red"), ("test", "blue")):
        (tmp_path / split / "c").mkdir(parents=True)
        Image.new("RGB", (8, 8), color).save(tmp_path / split / "c" / "1.png")
    blue = Stream(tmp_path, size=8, split="test", workers=0).batch(0, batch_size=1).images
    assert blue[0, :, 0, 0].tolist() == [0, 0, 1]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_torch_dataset_of_tensors_is_a_source(channels, dtype):
    images, labels, index = Stream(tensors(channels=channels, dtype=dtype), size=6, workers=0).batch(0, batch_size=10)
    assert (images.shape, images.dtype) == ((10, channels, 6, 6), torch.float32)
    assert torch.equal(labels, index)
    assert torch.equal((images * 255).round()[:, 0, 3, 3].long(), labels)


def test_of_a_tensor_the_middle_is_kept_and_resized_as_data_sets_are():
    image = torch.randint(256, (3, 10, 16), generator=rng(0), dtype=torch.uint8)
    made = Stream([(image, 0)], size=5, workers=0).batch(0, batch_size=1).images
    resized = torch.nn.functional.interpolate(image[None, :, :, 3:13], (5, 5), mode="bilinear", antialias=True)
    assert torch.equal((made * 255).round().byte(), resized)


def test_pil_images_of_a_torch_dataset_are_as_those_of_a_folder(folder):
    from torchvision.datasets import ImageFolder

    source, memory = ImageFolder(folder), load_data(folder, size=20)  # too small for a JPEG to be decoded at a half
    stream = Stream(source, size=20, workers=1)
    made = stream.batch(0, batch_size=N)
    assert stream.classes == memory.classes
    by_class = made.index.argsort().view(3, 10).T.flatten()  # memory has one of each class in turn
    assert same((made.images[by_class], made.labels[by_class]), (as_float(memory.images), memory.labels))


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"size": 3}, "size is 3"),
        ({"workers": -1}, "workers is -1"),
        ({"source": "no/such/folder"}, "no/such/folder"),
        ({"source": []}, "source is a list"),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        Stream(**({"source": tensors(), "size": 8} | arguments))


@pytest.mark.parametrize(
    "item, error, words",
    [
        ((torch.zeros(8, 8), 0), TypeError, "item 0 is an image of"),
        ((torch.zeros(3, 8, 8, dtype=torch.int64), 0), TypeError, "item 0 is an image of"),
        (("a.jpg", 0), TypeError, "item 0 is an image of .*str"),
        ((torch.zeros(3, 8, 8), 0, 0), TypeError, "item 0 is a tuple of 3"),
        ((torch.zeros(3, 8, 8), "cat"), ValueError, "item 0 has the label 'cat'.* no `classes`"),
        ((torch.zeros(3, 8, 8), torch.tensor([0, 1])), ValueError, "item 0 has the label .*one whole number"),
        ((torch.zeros(3, 8, 8), 0.5), ValueError, "item 0 has the label 0.5"),
        ((torch.zeros(3, 8, 8), -7), ValueError, "item 0 has the label -7"),
        ((torch.full((3, 8, 8), -0.5), 0), ValueError, "item 0 has values from -0.5 to -0.5"),
        ((torch.full((3, 8, 8), torch.nan), 0), ValueError, "item 0 has values from nan"),
    ],
)
def test_an_item_that_is_no_image_with_a_label_is_named(item, error, words):
    with pytest.raises(error, match=words):
        Stream([item], size=8, workers=0).batch(0, batch_size=1)


class Named(list):
    classes = ("ant", "cat")


def test_items_may_lack_a_label_name_it_or_mix_gray_with_color():
    color, gray = torch.full((3, 8, 8), 0.2), torch.full((1, 8, 8), 0.2)
    array = np.full((8, 8, 3), 51, dtype=np.uint8)
    items = [(color, "cat"), (gray, "ant"), (array, None), (array[..., 0], np.int16(1)), gray, [array, float("nan")]]
    images, labels, _ = (made := Stream(Named(items), size=8, workers=0)).batch(0, batch_size=6)
    assert made.shape == (3, 8, 8)
    assert torch.equal(images, torch.full((6, 3, 8, 8), 0.2))
    assert sorted(labels.tolist()) == [-1, -1, -1, 0, 1, 1]
    with pytest.raises(ValueError, match="item 1 has 3 channels and the first image has 1"):
        Stream([(gray, 0), (color, 0)], size=8, workers=0).batch(0, batch_size=2)
    with pytest.raises(ValueError, match="item 0 has the label 'dog', and its `classes` are ant, cat"):
        Stream(Named([(gray, "dog")]), size=8, workers=0).batch(0, batch_size=1)


def test_training_needs_no_labels_of_a_stream():
    stream = Stream([torch.rand(1, 8, 8, generator=rng(i)) for i in range(8)], size=8, workers=0)
    recipe = JointRecipe(steps=2, batch_size=4, width=8, projector=(8,))
    assert len(list(train(recipe.start(stream), stream, recipe.objective(stream), until=2, batch_size=4))) == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_a_range_of_values_that_is_not_plain_is_told_once(workers, tmp_path):
    (tmp_path / "c").mkdir()
    for i in range(4):
        Image.fromarray(np.full((8, 8), 4000 + i, dtype=np.uint16)).save(tmp_path / "c" / f"{i}.tif")
    stream = Stream(tmp_path, size=8, workers=workers)
    with pytest.warns(UserWarning, match="hold no value above 4095") as caught:
        batches = [stream.batch(step, batch_size=2) for step in range(4)]
    assert len(batches) == 4
    assert len(caught) == 1


def test_large_ids_in_a_cache_are_names_of_classes(tmp_path):
    items = [(torch.rand(1, 8, 8), label) for label in (10**9, 7, None, 10**9)]
    data = open_cache(written(Stream(items, size=8, workers=0), tmp_path / "c"))
    assert (data.labels.tolist(), data.classes) == ([1, 0, -1, 1], ("7", "1000000000"))


@pytest.mark.parametrize("batch_size", [0, 11])
def test_a_batch_size_that_the_stream_cannot_fill_is_named(batch_size):
    with pytest.raises(ValueError, match="from 1 to 10"):
        Stream(tensors(), size=8).batch(0, batch_size=batch_size)


# Broken files and dead workers


@pytest.fixture
def damaged(tmp_path) -> Path:
    """Images i of 6 show i; those of 2, 3 and 5 cannot be read."""
    for i in range(6):
        (tmp_path / "c").mkdir(exist_ok=True)
        path = tmp_path / "c" / f"{i}.png"
        Image.new("RGB", (8, 8), (i, i, i)).save(path)
        if i in (2, 3, 5):
            path.write_bytes(path.read_bytes()[:30])
    return tmp_path


@pytest.mark.parametrize("workers", [0, 2])
def test_the_next_image_stands_in_for_a_broken_one_and_each_is_named_once(damaged, workers, recwarn):
    stream = Stream(damaged, size=8, workers=workers)
    for step in range(3):
        images, _, index = stream.batch(step, batch_size=6)
        wanted = torch.randperm(6, generator=rng(0, step, "order"))
        assert index.tolist() == [{2: 4, 3: 4, 5: 0}.get(i, i) for i in wanted.tolist()]
        assert torch.equal((images[:, 0, 0, 0] * 255).round().long(), index)
    (warning,) = recwarn
    assert [f"{i}.png" in str(warning.message) for i in range(6)] == [False, False, True, True, False, True]


def test_a_folder_of_broken_files_is_an_error(damaged):
    for path in damaged.rglob("*.png"):
        path.write_text("broken")
    for workers in (0, 1):
        with pytest.raises(DataError, match=r"none of the 6 images can be read.*\.png"):
            Stream(damaged, size=8, workers=workers).batch(0, batch_size=2)


class Failing(torch.utils.data.Dataset):
    """Item 1 fails."""

    def __init__(self, error: Exception):
        self.error = error

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int):
        if i:
            raise self.error
        return torch.zeros(3, 8, 8), 7


def test_an_item_that_raises_oserror_is_passed_over():
    with pytest.warns(UserWarning, match=r"item 1 \(cannot be opened\)"):
        made = Stream(Failing(OSError("cannot be opened")), size=8, workers=0).batch(0, batch_size=2)
    assert (made.index.tolist(), made.labels.tolist()) == ([0, 0], [7, 7])


@pytest.mark.parametrize("workers", [0, 1])
def test_any_other_error_of_an_item_is_raised(workers):
    with pytest.raises(ZeroDivisionError, match="a mistake"):
        Stream(Failing(ZeroDivisionError("a mistake")), size=8, workers=workers).batch(0, batch_size=2)


def test_a_worker_that_is_killed_is_one_error_and_the_stream_goes_on(folder, memory):
    stream = Stream(folder, size=SIZE, workers=2)
    before = set(psutil.Process().children())
    stream.batch(0, batch_size=8)
    (first, *_) = set(psutil.Process().children()) - before
    first.kill()
    first.wait()
    with pytest.raises(DataError, match="a worker process of Stream"):
        [stream.batch(step, batch_size=8) for step in range(1, 5)]  # what was decoded before is still good
    assert same(stream.batch(4, batch_size=8), batch(memory, 4, batch_size=8))


def in_another_process(code: str, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_workers_do_not_outlive_a_parent_that_is_killed(folder):
    code = (
        "import sys, time, psutil; from ssl_toolkit.data.stream import Stream\n"
        "s = Stream(sys.argv[1], size=12, workers=2); s.batch(0, batch_size=8)\n"
        "print(*(p.pid for p in psutil.Process().children()), flush=True); time.sleep(60)"
    )
    process = in_another_process(code, folder)
    workers = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    assert len(workers) == 2
    process.kill()
    assert psutil.wait_procs(workers, timeout=10)[1] == []


def test_workers_may_be_spawned(folder, memory):
    code = (
        "import sys, multiprocessing; from ssl_toolkit.data.stream import Stream\n"
        "multiprocessing.set_start_method('spawn')\n"
        "print(Stream(sys.argv[1], size=12, workers=1).batch(0, batch_size=8).images.double().sum().item())"
    )
    out, err = in_another_process(code, folder).communicate(timeout=60)
    assert float(out) == batch(memory, 0, batch_size=8).images.double().sum().item(), err


# Training


def trained(data, stops: list[int]) -> list:
    state, objective = (
        start(small_conv(3, width=8, projector=(8, 8), seed=0)),
        joint_embedding(nt_xent, simclr_views(8)),
    )
    terms = [step.terms for until in stops for step in train(state, data, objective, until=until, batch_size=8)]
    return [terms, *state.model.state_dict().values()]


def test_training_from_memory_a_stream_and_its_cache_is_the_same_to_the_bit(memory, stream, tmp_path):
    data = open_cache(written(stream, tmp_path / "c.safetensors"), stream)
    terms, *weights = trained(memory, [4])
    for other in (trained(stream, [1, 4]), trained(data, [4])):
        assert other[0] == terms
        assert same(other[1:], weights)


def test_a_recipe_takes_a_stream_and_makes_the_steps_of_the_same_images_in_memory(folder):
    recipe, size = JointRecipe(width=8, projector=(8, 8), size=32), 64  # images that are cropped as bytes

    def terms(data) -> list:
        state, objective = recipe.start(data), recipe.objective(data)
        return [step.terms for step in train(state, data, objective, until=3, batch_size=8)]

    assert terms(Stream(folder, size=size, workers=1)) == terms(load_data(folder, size=size))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_stream_knows_the_shape_of_its_images_as_data_do(folder, memory, stream, channels):
    assert Stream(tensors(channels=channels), size=6, workers=0).shape == (channels, 6, 6)
    assert stream.shape == memory.shape == (3, SIZE, SIZE)


# The cache


def test_a_cache_is_the_data_set(stream, memory, tmp_path):
    data = open_cache(written(stream, tmp_path / "c.safetensors"), stream)
    assert same((data.images, data.labels), (memory.images, memory.labels))
    assert (data.classes, data.name) == (memory.classes, memory.name)
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


@pytest.mark.parametrize("n, size", [(1, 5), (7, 5), (3, 4)])
def test_a_cache_has_any_number_of_images_of_any_size(n, size, tmp_path):
    images = torch.randint(256, (n, 1, size, size), generator=rng(n), dtype=torch.uint8)
    stream = Stream(TensorDataset(images, torch.arange(n)), size=size, workers=0)
    data = open_cache(written(stream, tmp_path / "c"))
    assert same((data.images, data.labels), (images, torch.arange(n)))
    assert data.classes == tuple(map(str, range(n)))


def test_broken_images_are_left_out_of_a_cache_with_their_labels(damaged, tmp_path):
    stream = Stream(damaged, size=8, workers=0)
    with pytest.warns(UserWarning, match="3 broken images") as caught:
        data = open_cache(written(stream, tmp_path / "cache"), stream)
    assert len(caught) == 1
    assert data.images[:, 0, 0, 0].tolist() == [0, 1, 4]
    assert data.labels.tolist() == [0, 0, 0]


def test_a_file_that_is_gone_is_broken(damaged, tmp_path):
    stream = Stream(damaged, size=8, workers=0)
    (damaged / "c" / "4.png").unlink()
    with pytest.warns(UserWarning, match="4 broken images"):
        assert len(open_cache(written(stream, tmp_path / "cache"), stream)) == 2


def test_a_cache_moves_with_its_folder(folder, stream, memory, tmp_path):
    copy = shutil.copytree(folder, tmp_path / folder.name)
    path = written(stream, tmp_path / "c.safetensors")
    assert torch.equal(open_cache(path, Stream(copy, size=SIZE)).images, memory.images)


def test_writing_tells_how_far_it_is_and_breaking_off_leaves_nothing(tmp_path):
    stream = Stream(tensors(2 * PORTION + 1), size=6, workers=0)
    path = tmp_path / "c.safetensors"
    first = next(writing := write_cache(stream, path))
    assert first == Written(PORTION, 2 * PORTION + 1)
    writing.close()
    assert list(tmp_path.iterdir()) == []
    assert [w.done for w in write_cache(stream, path)] == [PORTION, 2 * PORTION, 2 * PORTION + 1]


def test_a_good_cache_is_not_written_again(stream, tmp_path):
    path = written(stream, tmp_path / "c.safetensors")
    before = path.stat()
    written(stream, path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_editing_the_images_changes_no_file(stream, memory, tmp_path):
    path = written(stream, tmp_path / "c.safetensors")
    open_cache(path).images.zero_()
    assert torch.equal(open_cache(path).images, memory.images)


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_truncated_cache_is_refused_and_written_again(stream, memory, tmp_path, kept):
    path = written(stream, tmp_path / "c.safetensors")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="truncated"):
        open_cache(path)
    assert torch.equal(open_cache(written(stream, path), stream).images, memory.images)


def test_a_file_of_something_else_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"images": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="not written by write_cache"):
        open_cache(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError, match="write_cache makes it"):
        open_cache(tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError, match="make it first"):
        next(write_cache(Stream(tensors(), size=8), tmp_path / "no" / "c"))


def test_a_newer_format_is_refused(stream, tmp_path):
    path = written(stream, tmp_path / "c.safetensors")
    path.write_bytes(path.read_bytes().replace(b'\\"cache\\": 1', b'\\"cache\\": 2'))
    with pytest.raises(DataError, match="has format 2, this version reads format 1"):
        open_cache(path)


def grown(folder: Path) -> Stream:
    Image.new("RGB", (9, 9)).save(folder / "c" / "new.png")
    return Stream(folder, size=8, workers=0)


def replaced(folder: Path) -> Stream:
    path = folder / "c" / "0.png"
    os.utime(path, (0, 0))
    return Stream(folder, size=8, workers=0)


@pytest.mark.parametrize("change", [grown, replaced, lambda folder: Stream(folder, size=9, workers=0)])
def test_a_cache_of_other_images_is_stale(damaged, tmp_path, change):
    for i in (2, 3, 5):
        (damaged / "c" / f"{i}.png").unlink()
    path = written(Stream(damaged, size=8, workers=0), tmp_path / "cache")
    later = change(damaged)
    with pytest.raises(DataError, match="stale"):
        open_cache(path, later)
    assert len(open_cache(path)) == 3
    assert len(open_cache(written(later, path), later)) == len(later)


def test_a_torch_dataset_with_other_items_is_noticed(tmp_path):
    path = written(Stream(tensors(10), size=6, workers=0), tmp_path / "cache")
    assert len(open_cache(path, Stream(tensors(10), size=6))) == 10
    other = tensors(10)
    other.tensors[1][0] = 3
    for changed in (other, tensors(10, channels=1), tensors(11)):
        with pytest.raises(DataError, match="stale"):
            open_cache(path, Stream(changed, size=6))


SLOW = """
import sys, time
from ssl_toolkit.data import write_cache
from ssl_toolkit.data import Stream
stream = Stream(sys.argv[1], size=12, workers=0)
import ssl_toolkit.data.cache as cached
cached.PORTION = 5
for done in write_cache(stream, sys.argv[2]):
    print(done.done, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_what_a_killed_process_was_writing_is_never_taken(folder, stream, memory, tmp_path):
    path = tmp_path / "c.safetensors"
    process = in_another_process(SLOW, folder, path)
    assert process.stdout.readline() == "5\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    (partial,) = tmp_path.iterdir()
    assert partial != path
    with pytest.raises(FileNotFoundError):
        open_cache(path)
    with pytest.raises(DataError):
        open_cache(partial)
    assert torch.equal(open_cache(written(stream, path), stream).images, memory.images)
    assert list(tmp_path.iterdir()) == [path]


MEMORY = """
import sys
from pathlib import Path
import torch
import ssl_toolkit.data.cache as cache
from ssl_toolkit.data import Stream, batch, open_cache, write_cache

class Large(torch.utils.data.Dataset):  # images of 197 kB that are nowhere before they are asked for
    def __init__(self, n): self.n = n
    def __len__(self): return self.n
    def __getitem__(self, i): return torch.full((3, 256, 256), i % 256, dtype=torch.uint8), i

def resident():  # in bytes, without the pages of files, which the system may drop
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

def most(n, path):
    peak = max(resident() for _ in write_cache(Stream(Large(n), size=256, workers=0), path))
    data = open_cache(path)
    for step in range(n // 8):
        images, labels, _ = batch(data, step, batch_size=8)
        assert torch.equal((images[:, 0, 0, 0] * 255).round().long(), labels % 256)
        peak = max(peak, resident())
    return peak

cache.PORTION = 8
small, large = most(16, sys.argv[1]), most(300, sys.argv[2])  # the first imports what it needs
print(large - small)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is counted in Linux's way")
def test_a_data_set_of_59_megabytes_is_written_and_read_in_30(tmp_path):
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "small"), str(tmp_path / "large")]
    # in a process of its own, since what else it held would count, and with an allocator that gives back what is freed
    environment = os.environ | {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "large").stat().st_size > 58e6
    assert int(done.stdout) < 30e6, done.stdout
