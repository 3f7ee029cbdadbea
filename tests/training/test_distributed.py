"""Two processes take the steps of one: the same functions run here and, once, in two processes; the numbers are equal.

`python tests/test_processes.py FOLDER` is what each of the two runs: it writes the results of its laws to FOLDER.
"""

import os
import re
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ssl_toolkit import Recipe, load_data
from ssl_toolkit.__main__ import main
from ssl_toolkit.augment import compose, gaussian_noise
from ssl_toolkit.data import Dataset, rng
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.joint import METHODS, joint_embedding
from ssl_toolkit.losses import barlow_twins, nt_xent, vicreg
from ssl_toolkit.training import NonFiniteError, TrainState, load, start, train
from ssl_toolkit.training.distributed import (
    accelerator,
    all_gather,
    all_reduce_mean,
    broadcast,
    rank_and_world_size,
    sync_batchnorm,
)

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT)}  # of the processes started here
N = 8
DATA = Dataset(
    images=torch.randint(0, 256, (32, 1, 16, 16), generator=rng(0), dtype=torch.uint8),
    labels=torch.arange(32) % 4,
    classes=("a", "b", "c", "d"),
)
LOSSES = {
    "nt_xent": nt_xent,
    "one negative": lambda za, zb: nt_xent(za, zb, negatives=1, generator=rng(0)),
    "vicreg": vicreg,
    "barlow_twins": barlow_twins,
}


def mine(x: Tensor) -> Tensor:
    """This process's part of what one process has whole."""
    rank, processes = rank_and_world_size()
    return x.chunk(processes)[rank]


def mean_over_processes(loss: Tensor, weights: list[Tensor]) -> dict[str, Tensor]:
    """The loss and its gradient as `train` takes them."""
    gradients = list(torch.autograd.grad(loss, weights))
    value = loss.detach().clone()
    all_reduce_mean([value, *gradients])
    return {"loss": value, **{f"gradient{i}": g for i, g in enumerate(gradients)}}


def a_gathered_loss(name: str) -> dict[str, Tensor]:
    w = torch.randn(5, 4, generator=rng(1), dtype=torch.float64, requires_grad=True)
    xa, xb = torch.randn(2, N, 5, generator=rng(2), dtype=torch.float64)
    terms = LOSSES[name](all_gather(mine(xa) @ w), all_gather(mine(xb) @ w))
    return mean_over_processes(torch.stack(list(terms.values())).sum(), [w])


def a_network_with_batch_norm() -> dict[str, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            *(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(108, 6), nn.BatchNorm1d(6, affine=False), nn.ReLU()),
            *(nn.Linear(6, 4), nn.BatchNorm1d(4, track_running_stats=False, momentum=0.3)),
        ).double()
    x = torch.rand(2, N, 1, 8, 8, generator=rng(3), dtype=torch.float64) ** torch.arange(1, N + 1).view(N, 1, 1, 1)
    for _ in range(2):
        with sync_batchnorm():
            za, zb = net(torch.cat([mine(x[0]), mine(x[1])])).chunk(2)
        terms = vicreg(all_gather(za), all_gather(zb))
    results = mean_over_processes(torch.stack(list(terms.values())).sum(), list(net.parameters()))
    return results | {name: value.double() for name, value in net.named_buffers()}


def a_run(method: str) -> dict[str, Tensor]:
    # a low temperature makes more of the rounding in which one process and two differ
    small = {"width": 16, "projector": (16, 4), "size": 16, "queue": 32, "prototypes": 6}
    recipe = Recipe(method=method, momentum=0.9, temperature=0.2, **small)
    state = recipe.start(DATA)
    state.optimizer = torch.optim.SGD(state.model.parameters(), momentum=0.9)  # Adam forgets the gradient's length
    before = whole(state)
    steps = train(state, DATA, recipe.objective(DATA), until=3, batch_size=N, precision="fp32")
    curve = torch.tensor([list(step.terms.values()) for step in steps])
    return {"curve": curve} | {name: value - before[name] for name, value in whole(state).items()}


def whole(state: TrainState) -> dict[str, Tensor]:
    """A copy of the weights and of the averages of BatchNorm."""
    modules = {"model": state.model} | ({} if state.ema is None else {"ema": state.ema})
    return {
        f"{m}.{name}": value.clone()
        for m, module in modules.items()
        for name, value in module.state_dict().items()
        if value.is_floating_point()
    }


def a_nan_in_the_last_process() -> dict[str, Tensor]:
    """Nothing is gathered here: only the last process sees it."""

    def poisoned(state, batch, generator):
        z = state.model(batch.images)
        last = rank_and_world_size()[0] == rank_and_world_size()[1] - 1
        return {"fine": z.square().mean(), "bad": z.mean() * (torch.nan if last and state.step == 2 else 1)}

    state = start(small_conv(1, width=8, projector=(4,)), lr=1e-3)
    steps = train(state, DATA, poisoned, until=5, batch_size=N)
    next(steps), next(steps)
    before = whole(state)
    with pytest.raises(NonFiniteError, match="step 3: bad is nan"):
        next(steps)
    assert state.step == 2
    assert all(torch.equal(value, before[name]) for name, value in whole(state).items())
    return before


def an_encoder_that_starts_at_random() -> dict[str, Tensor]:
    """Whatever each process draws, the first one's draw is taken: here the one that a single process makes."""
    with torch.random.fork_rng():
        torch.manual_seed(rank_and_world_size()[0])
        model = nn.Sequential(nn.Flatten(), nn.Linear(256, 4), nn.BatchNorm1d(4))
    state = start(model, optimizer=partial(torch.optim.SGD, momentum=0.0), lr=0.1)
    objective = joint_embedding(vicreg, compose(gaussian_noise(0.1)))
    list(train(state, DATA, objective, until=1, batch_size=N, precision="fp32"))
    return whole(state)


def values_that_differ() -> dict[str, Tensor]:
    rank, processes = rank_and_world_size()
    means = [torch.full((2, 3), float(rank)), torch.tensor(float(rank) ** 2)]
    all_reduce_mean(means)
    firsts = [torch.full((4, 2), float(rank)).T, torch.tensor(5 + rank)]
    broadcast(firsts)
    gathered = all_gather(torch.tensor([rank, rank + 10]))
    expected = [(rank, rank + 10) for rank in range(processes)]
    assert gathered.tolist() == [x for pair in expected for x in pair]
    assert (means[0] == (processes - 1) / 2).all()
    return {"same": firsts[0].contiguous(), "also": firsts[1].float()}


LAWS: dict[str, Callable[[], dict[str, Tensor]]] = {
    **{f"gathered {name}": partial(a_gathered_loss, name) for name in LOSSES},
    "BatchNorm": a_network_with_batch_norm,
    **{f"a run of {method}": partial(a_run, method) for method in METHODS},
    "NaN": a_nan_in_the_last_process,
    "random start": an_encoder_that_starts_at_random,
    "values": values_that_differ,
}


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> list[dict[str, Tensor]]:
    """What two processes say of each law."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            env=ENVIRONMENT | shared | {"RANK": str(r), "LOCAL_RANK": str(r)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for r in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=200)
        assert worker.returncode == 0, errors[-3000:]
    return [load_file(folder / f"{r}.safetensors") for r in range(2)]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small networks gain nothing by threads, and lose much where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("law", LAWS)
def test_two_processes_say_what_one_says(law, two):
    for name, value in LAWS[law]().items():
        alone = value.cpu()
        first, second = (said[f"{law}/{name}"] for said in two)
        assert torch.equal(first, second), name
        # in float32 rounding can push a ReLU over its edge, which changes a few gradients by more than their rounding
        relative, absolute = (1e-12, 1e-11) if alone.dtype == torch.float64 else (1e-2, 1e-6)
        assert (first - alone).norm() <= relative * alone.norm() + absolute, name


def test_a_process_that_would_train_alone_by_mistake_says_so(monkeypatch):
    accelerator()
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match=r"one of 2 processes, .* set up for 1 before"):
        accelerator()


def launched(arguments: list[str]) -> subprocess.Popen:
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
    command = [sys.executable, *launch, "-m", "ssl_toolkit", "train", "--data", "digits", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def test_the_command_line_trains_one_encoder_in_two_processes(tmp_path, capsys):
    path = tmp_path / "run.safetensors"
    common = ["--batch-size", "16", "--width", "16", "--steps", "3"]
    two = launched([*common, "--save", str(path)])
    assert main(["train", "--data", "digits", *common]) == 0
    out, errors = two.communicate(timeout=200)
    assert two.returncode == 0, errors[-3000:]
    assert out.startswith("2 processes train one encoder")
    assert numbers(out) == pytest.approx(numbers(capsys.readouterr().out), abs=1e-3)
    assert load(path, Recipe(width=16, steps=3).start(load_data("digits"))).step == 3


def numbers(out: str) -> list[float]:
    """The loss and its terms, of the only line that tells of the last step."""
    (line,) = re.findall(r"step 3/3  (.*)  \d+ images/s", out)
    return [float(x) for x in re.findall(r"-?\d+\.\d+", line)]


def test_a_killed_process_ends_the_run_and_the_last_save_loads(tmp_path):
    path = tmp_path / "run.safetensors"
    arguments = ["--batch-size", "16", "--width", "16", "--steps", "100000", "--save-every", "5", "--save", str(path)]
    run = launched(arguments)
    try:
        while not path.exists():
            assert run.poll() is None, run.communicate()[1][-3000:]
            time.sleep(0.05)
        psutil.Process(run.pid).children()[-1].kill()
        _, errors = run.communicate(timeout=60)
    finally:
        run.terminate()  # a launcher stops its processes; it has ended unless something above failed
    assert run.returncode != 0
    assert "Signal 9 (SIGKILL)" in errors
    state = load(path, Recipe(width=16, steps=100000).start(load_data("digits")))
    assert state.step >= 5  # the last save, or the one that the other process made when this one was gone


def test_the_notebook_launcher_on_the_page_trains_in_two_processes(tmp_path):
    page = (ROOT / "notebooks" / "SCALING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(from accelerate import notebook_launcher\n.*?)```", page, re.DOTALL)
    script = tmp_path / "notebook.py"
    # a notebook that has computed something before: its threads are in use when it forks
    before = "import torch; torch.randn(3_000_000).exp().sum()\n"
    script.write_text(f"if __name__ == '__main__':\n{textwrap.indent(before + code, '    ')}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert load(tmp_path / "run.safetensors", Recipe(steps=20).start(load_data("digits"))).step == 20


if __name__ == "__main__":
    accelerator()
    results = {f"{law}/{name}": value.contiguous() for law, run in LAWS.items() for name, value in run().items()}
    save_file(results, Path(sys.argv[1]) / f"{rank_and_world_size()[0]}.safetensors")
