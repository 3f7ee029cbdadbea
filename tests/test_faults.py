"""What goes wrong outside, counted: killed processes, damaged files, full disks, no memory."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import nn

from ssl_toolkit.augment import simclr_views
from ssl_toolkit.data import Dataset, load_data, rng, seeded
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.joint import joint_embedding
from ssl_toolkit.losses import nt_xent
from ssl_toolkit.training import CheckpointError, NonFiniteError, TrainState, load, save, start, train

DATA = Dataset(
    images=torch.randint(0, 256, (160, 1, 28, 28), generator=rng(0), dtype=torch.uint8),
    labels=torch.arange(160) % 4,
    classes=("a", "b", "c", "d"),
)
OBJECTIVE = joint_embedding(nt_xent, simclr_views(28))
KILLS, MUTATIONS, PICTURES = 50, 1000, 300


def fresh() -> TrainState:
    return start(small_conv(1, width=16, projector=(8, 4)), lr=1e-3, ema=0.9)


def whole(state: TrainState) -> list[torch.Tensor]:
    moments = [
        v for _, slots in sorted(state.optimizer.state_dict()["state"].items()) for _, v in sorted(slots.items())
    ]
    return [*state.model.state_dict().values(), *state.ema.state_dict().values(), *moments]


def same(a: TrainState, b: TrainState) -> bool:
    return a.step == b.step and all(torch.equal(p, q) for p, q in zip(whole(a), whole(b), strict=True))


def go_on(path: str, until: int) -> None:
    """A process of its own: take up the run, and save after every step."""
    state = fresh()
    with contextlib.suppress(FileNotFoundError):  # killed before the first save
        load(path, state)
    for _ in train(state, DATA, OBJECTIVE, until=until, batch_size=16):
        save(state, path)


# it has imported everything once, and every line that it reads begets a process that goes on with the run
PARENT = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from test_faults import fresh, go_on
fresh()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for path in sys.stdin:
    if (child := os.fork()) == 0:
        go_on(path.strip(), 10**6)
    print(child, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, so that fifty take seconds")
def test_a_run_killed_fifty_times_is_bit_for_bit_the_run_that_was_not(tmp_path):
    path, chance, reached = tmp_path / "run.safetensors", random.Random(0), [0]
    command = [sys.executable, "-c", PARENT, str(Path(__file__).parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        for _ in range(KILLS):
            print(path, file=parent.stdin, flush=True)
            child = int(parent.stdout.readline())
            wait_for = reached[-1] + chance.randrange(1, 4)
            while step_of(path) < wait_for:
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.03))  # somewhere in a step or in a save
            os.kill(child, signal.SIGKILL)
            while psutil.pid_exists(child):
                time.sleep(0.001)
            reached.append(step_of(path))
        parent.stdin.close()
    assert reached == sorted(set(reached))  # every life got further than the one before
    killed, undisturbed = load(path, fresh()), fresh()
    list(train(undisturbed, DATA, OBJECTIVE, until=killed.step, batch_size=16))
    assert same(killed, undisturbed)


def step_of(path) -> int:
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["ssl_toolkit"])["step"]


def test_a_thousand_damaged_checkpoints_are_refused_and_none_is_half_loaded(tmp_path):
    def small() -> TrainState:
        with seeded(0, "init"):
            return start(nn.Linear(8, 4), lr=1e-3, ema=0.9)

    path, trained, target, untouched = tmp_path / "run.safetensors", small(), small(), small()
    trained.model(torch.ones(1, 8)).sum().backward()
    trained.optimizer.step()  # AdamW's moments are in the file too
    save(trained, path)
    good, chance = path.read_bytes(), random.Random(0)
    header = 8 + int.from_bytes(good[:8], "little")
    refused = 0
    for i in range(MUTATIONS):
        at = chance.randrange(header if i % 2 else len(good))  # half of them where names, shapes and numbers are
        bad = {
            0: good[:at] + bytes([good[at] ^ 1 << chance.randrange(8)]) + good[at + 1 :],
            1: good[:at],
            2: good[:at] + chance.randbytes(chance.randrange(1, 9)) + good[at:],
            3: good[:at] + good[at + chance.randrange(1, 9) :],
            4: good[:at] + chance.randbytes(8) + good[at + 8 :],
        }[i // 2 % 5]
        path.write_bytes(bad)
        with pytest.raises(CheckpointError):
            load(path, target)
        refused += 1
    assert refused == MUTATIONS
    assert same(target, untouched)
    path.write_bytes(good)
    assert same(load(path, target), trained)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes there")
def test_a_save_for_which_the_disk_has_no_room_leaves_the_old_file(tmp_path):
    import resource  # not on Windows

    path = tmp_path / "run.safetensors"
    save(fresh(), path)
    before = path.read_bytes()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(Exception, match=r"(?i)file too large|no space"):
            save(fresh(), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_damaged_pictures_by_the_hundred_are_named_in_one_warning_and_the_others_are_read(tmp_path):
    chance, folder = random.Random(0), tmp_path / "photos" / "a"
    folder.mkdir(parents=True)
    picture = Image.fromarray(torch.randint(0, 256, (24, 24, 3), generator=rng(1), dtype=torch.uint8).numpy())
    for i in range(PICTURES):
        picture.save(path := folder / f"{i:03}.{'png' if i % 2 else 'jpg'}")
        raw = path.read_bytes()
        if i % 3 == 0:
            path.write_bytes(raw[: chance.randrange(len(raw) // 2)])
        elif i % 3 == 1:
            path.write_bytes(chance.randbytes(200))
    with pytest.warns(UserWarning, match=rf"{PICTURES * 2 // 3} .*files?") as caught:
        data = load_data(str(tmp_path / "photos"), size=16)
    assert len(caught) == 1
    assert "000.jpg" in str(caught[0].message)
    assert len(data) == PICTURES // 3
    assert data.images.shape[1:] == (3, 16, 16)


@pytest.mark.parametrize("step", range(1, 9))
def test_a_number_that_is_none_at_any_step_leaves_the_state_of_the_step_before(step):
    def poisoned(state, batch, generator):
        terms = OBJECTIVE(state, batch, generator)
        return {name: term * (torch.nan if state.step + 1 == step else 1.0) for name, term in terms.items()}

    bad, good = fresh(), fresh()
    list(train(good, DATA, OBJECTIVE, until=step - 1, batch_size=16))
    with pytest.raises(NonFiniteError, match=f"step {step}"):
        list(train(bad, DATA, poisoned, until=8, batch_size=16))
    assert same(bad, good)


def test_a_step_without_room_says_what_to_lower_and_leaves_the_state():
    def greedy(state, batch, generator):
        torch.empty(10**15)
        return OBJECTIVE(state, batch, generator)

    state = fresh()
    with pytest.raises(MemoryError, match=r"step 1 needs more memory .* lower batch_size \(16\)"):
        next(train(state, DATA, greedy, until=1, batch_size=16))
    assert same(state, fresh())
