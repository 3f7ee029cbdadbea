"""The command line: `ssl-toolkit lab` opens the notebooks, `train` trains an encoder without them,
`site` makes pages of executed notebooks, `claims` tests the claims of four papers, `zoo` lists and builds the shipped
models, `bench` measures speed."""

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # what imports PyTorch takes seconds, and `lab` is not to wait for it
    from ssl_toolkit.training import Step

Record = TypeVar("Record")

HERE = Path(__file__).parent
START = "00_start_here.ipynb"
FOLDER = Path("ssl_toolkit_notebooks")  # where `lab` copies them unless told otherwise
SITE = Path("ssl_toolkit_site")  # where `site` writes its pages


def notebooks() -> Path:
    """The folder of the notebooks: inside a wheel, or beside the package in a checkout."""
    return next(p for p in (HERE / "_notebooks", HERE.parent / "notebooks") if (p / START).is_file())


def copy_notebooks(target: Path) -> list[str]:
    """Copy the notebooks to `target`, or update them there. Files that the user changed stay; returns their names."""
    target.mkdir(parents=True, exist_ok=True)
    manifest = target / ".ssl_toolkit.json"
    try:
        written: dict[str, str] = dict(json.loads(manifest.read_text()))
    except (
        FileNotFoundError,
        ValueError,
        TypeError,
    ):  # no manifest, or a damaged one: then every file that differs is the user's
        written = {}
    kept = []
    for source in sorted(notebooks().rglob("*")):
        if not source.is_file() or source.suffix not in (".ipynb", ".md", ".png"):
            continue
        name = source.relative_to(notebooks()).as_posix()
        new, there = source.read_bytes(), target / name
        if there.is_file() and there.read_bytes() != new and _digest(there.read_bytes()) != written.get(name):
            kept.append(name)
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        _write(there, new)
        written[name] = _digest(new)
    _write(manifest, json.dumps(written, indent=1).encode())
    return kept


def _write(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    from ssl_toolkit.data.files import atomic_write  # imports PyTorch, which takes seconds

    with atomic_write(path) as partial:
        partial.write_bytes(content)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def lab(args: argparse.Namespace) -> int:
    if str(args.folder).startswith("-"):  # `lab -- --no-browser`: argparse takes what follows for the folder
        args.folder, args.jupyter = FOLDER, [str(args.folder), *args.jupyter]
    for name in copy_notebooks(args.folder):
        print(f"You changed {args.folder / name}: it was not updated.")
    if args.copy_only:
        return 0
    if find_spec("jupyterlab") is None:
        print('JupyterLab is not installed: pip install "ssl-toolkit[lab]".', file=sys.stderr)
        return 2
    # Leave one core to the browser. On two cores, two busy threads and a page that draws wait for each other, and a
    # training step takes three to five times as long.
    threads = str(max(1, (os.cpu_count() or 2) - 1))
    # and ask nobody whether they want JupyterLab's news, which would cover the corner of the first panel
    config = os.pathsep.join(filter(None, (os.environ.get("JUPYTER_CONFIG_PATH"), str(HERE / "jupyter_config"))))
    environment = {"OMP_NUM_THREADS": threads, **os.environ, "JUPYTER_CONFIG_PATH": config}
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # as in a container
    command = [sys.executable, "-m", "jupyterlab", str(args.folder / START), *root, *args.jupyter]
    sys.stdout.flush()
    if os.name == "posix":
        os.execvpe(command[0], command, environment)  # replaces this process: whatever ends it ends JupyterLab
    return subprocess.call(command, env=environment)


def _with_progress(records: Iterable[Record], steps: int, batch_size: int, done: int = 0) -> Iterator[Record]:
    """The records, with a bar that says how long is left on a terminal, and elsewhere a line every 50 steps."""
    from tqdm import tqdm

    from ssl_toolkit.training import Step

    with tqdm(total=steps, initial=done, unit=" steps", disable=None, dynamic_ncols=True) as bar:
        for record in records:
            if isinstance(record, Step):
                speed = f"{batch_size / record.seconds:.0f} images/s"
                bar.set_postfix_str(f"loss {record.loss:.4f}, {speed}", refresh=False)
                bar.update()
                if bar.disable and (record.step % 50 == 0 or record.step == steps):
                    terms = "  ".join(f"{name} {value:.4f}" for name, value in record.terms.items())
                    print(f"step {record.step}/{steps}  loss {record.loss:.4f}  {terms}  {speed}", flush=True)
            yield record


def _with_table(records: "Iterable[Step]", path: Path, more: bool) -> "Iterator[Step]":
    """The records, each also a row of a CSV file: step, loss, the loss's terms, learning rate, seconds."""
    with path.open("a" if more else "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        for record in records:
            if not file.tell():
                rows.writerow(["step", "loss", *record.terms, "lr", "seconds"])
            rows.writerow([record.step, record.loss, *record.terms.values(), record.lr, record.seconds])
            if record.step % 50 == 0:
                file.flush()
            yield record


def site(args: argparse.Namespace) -> int:
    from ssl_toolkit.widgets.site import build

    total = 0
    for made in build(args.folder, args.notebooks or [notebooks()], run=args.run):
        total += made.size
        alive = f", {made.alive} canvases alive" if made.alive else ""
        print(f"{made.name}: {made.size / 1000:,.0f} kB{alive}", flush=True)
    print(f"{total / 1e6:.1f} MB. Open {args.folder / 'index.html'} in a browser; no server is needed.")
    return 0


def train(args: argparse.Namespace) -> int:
    from ssl_toolkit.data import Dataset, Stream, load_data
    from ssl_toolkit.data.files import real_file
    from ssl_toolkit.joint import METHODS, tuned
    from ssl_toolkit.training import load, save, train as steps
    from ssl_toolkit.training.distributed import rank_and_world_size

    if args.method not in METHODS:
        print(f"--method is {args.method!r}. Choose from {', '.join(METHODS)}.", file=sys.stderr)
        return 2
    for option in ("save", "csv"):
        if (path := getattr(args, option)) is not None:
            try:
                real_file(path)
            except OSError as error:
                print(f"--{option} is {path}: give a file in a folder that exists ({error})", file=sys.stderr)
                return 2
    if args.save_every is not None and (args.save is None or args.save_every < 1):
        print(f"--save-every is {args.save_every}: it must be at least 1 and needs --save.", file=sys.stderr)
        return 2
    if args.workers is None:
        data: Dataset | Stream = load_data(args.data, size=args.size)
    else:
        data = Stream(args.data, size=args.size or 64, workers=args.workers)
    names = ("steps", "batch_size", "lr", "width", "seed")
    recipe = replace(tuned(args.method), **{n: getattr(args, n) for n in names if getattr(args, n) is not None})
    state, objective = recipe.start(data), recipe.objective(data)
    if args.resume:
        load(args.resume, state)
        state.total = recipe.steps  # the rate falls to 0 where this run ends
        state.lr = state.lr if args.lr is None else args.lr
        if state.step >= recipe.steps:
            print(
                f"{args.resume} is at step {state.step} and --steps is {recipe.steps}: give more steps.",
                file=sys.stderr,
            )
            return 2
    rank, processes = rank_and_world_size()
    if rank == 0 and processes > 1:
        print(f"{processes} processes train one encoder", flush=True)
    began = state.step
    records = steps(state, data, objective, until=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed)
    if rank == 0 and args.csv:
        records = _with_table(records, args.csv, more=bool(args.resume))
    if rank == 0:
        records = _with_progress(records, recipe.steps, recipe.batch_size, began)
    try:
        for step in records:
            if rank == 0 and args.save_every and step.step % args.save_every == 0:
                save(state, args.save)
    except BaseException:  # a NaN, Ctrl-C, an image that cannot be read: what was learned so far is kept
        if rank == 0 and args.save and state.step > began:
            save(state, args.save)
            print(f"The state of step {state.step} is in {args.save}.", file=sys.stderr)
        raise
    if rank == 0 and args.save:
        save(state, args.save)
    return 0


def bench(args: argparse.Namespace) -> int:
    folder = HERE.parent / "tests" / "benchmarks"
    known = sorted(p.stem for p in folder.glob("[a-z]*.py"))
    if not known:
        print(
            "The benchmarks are in the repository, not in the installed package. Run this in a clone.", file=sys.stderr
        )
        return 2
    if unknown := [name for name in args.names if name not in known]:
        print(f"There is no benchmark {unknown[0]!r}. Choose from {', '.join(known)}.", file=sys.stderr)
        return 2
    results = {}
    for name in args.names or known:  # each in its own process, so that no threads or caches are shared
        code = f"import json; from {name} import run; print(json.dumps(run()))"
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            return done.returncode
        results[name] = json.loads(done.stdout.splitlines()[-1])
        print(json.dumps({name: results[name]}, indent=1), flush=True)
    if args.out:
        _write(args.out, (json.dumps({"machine": machine(), **results}, indent=1) + "\n").encode())
    return 0


def claims(args: argparse.Namespace) -> int:
    from ssl_toolkit.claims import CLAIMS, Verdict, cards, run
    from ssl_toolkit.claims.registration import register
    from ssl_toolkit.training.sweep import Cell

    does, ids = "run", args.ids  # "claims run DJ-2" and "claims DJ-2" are the same
    if ids and ids[0] in ("run", "register"):
        does, *ids = ids
    if unknown := [name for name in ids if name not in CLAIMS]:
        print(f"There is no claim {unknown[0]!r}. Choose from {', '.join(CLAIMS)}.", file=sys.stderr)
        return 2
    if args.page:
        print(cards.page(), end="")
        return 0
    if not ids:
        for made in map(cards.card, CLAIMS):
            print(f"{made.claim.statement}\n    {made.verdict or f'{made.claim.id} is not measured yet'}")
        return 0
    if does == "register":
        for name in ids:
            print(name, *register(CLAIMS[name]))
        return 0
    if args.folder:
        args.folder.mkdir(parents=True, exist_ok=True)
    for name in ids:
        for record in run(name, budget=args.budget, folder=args.folder):
            if isinstance(record, Cell):
                print(f"  {record.setting} {record.result} {record.seconds} s", flush=True)
            elif isinstance(record, Verdict):
                print(record, flush=True)
    return 0


def zoo(args: argparse.Namespace) -> int:
    print(zoo_page() if args.page else _zoo_table(), end="")
    return 0


def _zoo_table() -> str:
    from ssl_toolkit.zoo import card, names

    lines = ["| name | what | kB | measures |", "|---|---|---|---|"]
    for name in names():
        made = card(name)
        measures = ", ".join(f"{what} {value:.3g}" for what, value in list(made.measures.items())[:4])
        lines.append(f"| `{name}` | {made.what} | {made.size / 1000:.0f} | {measures} |")
    return "\n".join(lines) + "\n"


def zoo_page() -> str:
    """`notebooks/ZOO.md`: the shipped models, from their cards."""
    from ssl_toolkit.zoo import card, names

    lines = [ZOO_HEAD, _zoo_table()]
    for name in names():
        made = card(name)
        recipe = ", ".join(f"{what} {value}" for what, value in made.recipe.items())
        measures = ", ".join(f"{what} {value:.3g}" for what, value in made.measures.items())
        painted = f" Paints from the {made.depth} of `{made.encoder}`." if made.encoder else ""
        lines.append(
            f"### {name}\n\n"
            f"{made.parameters:,} parameters, trained on {made.images:,} images of {made.data} in {made.seconds:.0f} s "
            f"of processor time ({made.device}, {made.date}).{painted}\n\n"
            f"- Recipe: {recipe}\n- Measured: {measures}\n- sha256: `{made.sha256}`\n"
        )
    return "\n".join(lines)


ZOO_HEAD = """# Which models come with the toolkit?

These models are part of the package, in float16. Each has a card: its recipe and seed, its training time, what was
measured of it on test images, and its digest. `ssl-toolkit zoo --page` makes this page from the cards, and a test
compares the two.

```python
import ssl_toolkit as stk

encoder, painter = stk.zoo.load("shapes-simclr"), stk.zoo.load("shapes-simclr-rcdm-embedding")
h = stk.rcdm.conditions(encoder, stk.load_data("shapes", split="test").images[:4], depth="embedding")
*_, last = stk.sample(painter, h.repeat_interleave(8, dim=0))  # last.x: eight images for each h
```

`ssl-toolkit zoo build NAME --folder FOLDER` trains one again from its recipe. With the same seed, machine and number
of threads you get the same file, byte for byte.

MRR is the mean reciprocal rank of the image that a sample was conditioned on, among 1,000 test images, by the encoder's
own features. KID uses the features of the supervised encoder. The cards of the RCDMs also say how much of the class,
and of each factor of the shapes, a linear probe reads from h ("read") and how much the samples keep ("kept"). The
infusion operator stores its prior: `chain(operator, prior_of(operator).sample(64), steps=operator.steps)` makes images.
Its class score, between 1 and 10, and its KID use the supervised encoder. Its bound is in nats per image.
"""


def zoo_build(args: argparse.Namespace) -> int:
    from ssl_toolkit.zoo import PLANS, Shipped, build, write

    if args.name not in PLANS:
        print(f"There is no recipe for {args.name!r}. Choose from {', '.join(sorted(PLANS))}.", file=sys.stderr)
        return 2
    args.folder.mkdir(parents=True, exist_ok=True)
    recipe = PLANS[args.name].recipe
    records = build(args.name, folder=args.folder, steps=args.steps, limit=args.limit)
    for record in _with_progress(records, args.steps or recipe.steps, recipe.batch_size):
        if isinstance(record, Shipped):
            write(record, args.folder)
            print("\n".join(f"{what} {value:.4g}" for what, value in record.card.measures.items()))
    return 0


def zoo_runs(args: argparse.Namespace) -> int:
    from ssl_toolkit.joint import JointRecipe
    from ssl_toolkit.widgets import TrainPanel
    from ssl_toolkit.widgets.panels.train_presets import PRESETS
    from ssl_toolkit.zoo.runs import Run, save_run

    # the start notebook's, which is shorter, and those of the presets
    for recipe in (JointRecipe(steps=600), *(recipe for recipe, _ in PRESETS.values())):
        panel = TrainPanel("garments", recipe, probes=True)
        panel.wait()
        assert panel.baselines is not None
        run = Run(panel.steps, panel.snapshots, panel.readings, panel.baselines)
        print(save_run(run, panel.recipe, panel.bank, panel.queries, args.folder), flush=True)
    return 0


def machine() -> dict[str, str | int | None]:
    """The machine that the figures were measured on."""
    import platform

    import torch

    system = f"{platform.system()} {platform.machine()}"
    return {"cores": os.cpu_count(), "system": system, "python": platform.python_version(), "torch": torch.__version__}


def _command(
    among: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    call: Callable[[argparse.Namespace], int],
    what: str,
    example: str,
) -> argparse.ArgumentParser:
    shown = argparse.RawDescriptionHelpFormatter  # an example keeps its lines
    made = among.add_parser(name, help=what, description=what, epilog=example, formatter_class=shown)
    made.set_defaults(call=call)
    return made


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="ssl-toolkit",
        description=__doc__,
        epilog="It returns 0 when all went well, 1 after an error, 2 for arguments that it does not understand, 130 "
        "after Ctrl-C. `ssl-toolkit COMMAND --help` shows an example.",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    p = _command(commands, "lab", lab, "copy the notebooks into a folder and open JupyterLab there", LAB)
    p.add_argument("folder", nargs="?", type=Path, default=FOLDER, help=f"by default {FOLDER}")
    p.add_argument("jupyter", nargs="*", help="more arguments for JupyterLab, after --")
    p.add_argument("--copy-only", action="store_true", help="only copy the notebooks")

    p = _command(
        commands,
        "site",
        site,
        "make pages of executed notebooks, alive without a kernel or a network",
        SITE_EXAMPLE,
    )
    p.add_argument("folder", nargs="?", type=Path, default=SITE, help=f"by default {SITE}")
    p.add_argument("--notebooks", nargs="+", type=Path, metavar="PATH", help="files or folders, instead of our own")
    p.add_argument("--run", action="store_true", help="execute them first: one to three minutes each")

    p = _command(commands, "train", train, "train one encoder", TRAIN)
    p.add_argument("--data", default="garments", help="a name, or a folder of class folders")
    p.add_argument("--size", type=int, help="resize images to this many pixels")
    p.add_argument(
        "--workers", type=int, metavar="N", help="decode a folder that is too large for memory with N processes"
    )
    p.add_argument("--method", default="simclr", help="simclr, vicreg, byol or another; a wrong name lists them all")
    for name, kind in (("steps", int), ("batch-size", int), ("lr", float), ("width", int), ("seed", int)):
        p.add_argument(f"--{name}", type=kind, help="override the recipe")
    p.add_argument("--save", type=Path, help="write the trained state to this file")
    p.add_argument("--save-every", type=int, metavar="N", help="also write it every N steps")
    p.add_argument("--resume", type=Path, help="continue from this file")
    p.add_argument("--csv", type=Path, help="write a row for each step to this file; --resume adds to it")

    p = _command(commands, "claims", claims, "test claims of the papers; without an id, list them", CLAIMS_EXAMPLE)
    p.add_argument("ids", nargs="*", metavar="id", help="such as DJ-2; before it, run (the default) or register")
    p.add_argument("--budget", default="standard", choices=["smoke", "standard", "full"])
    p.add_argument("--folder", type=Path, help="keep the results here, and continue from what is there")
    p.add_argument("--page", action="store_true", help="print notebooks/CLAIMS.md")

    p = _command(commands, "zoo", zoo, "list the shipped models, or train one of them again", ZOO)
    p.add_argument("--page", action="store_true", help="print notebooks/ZOO.md")
    models = p.add_subparsers()
    p = _command(models, "build", zoo_build, "train one from its recipe, and write it with its card", BUILD)
    p.add_argument("name", help="such as shapes-simclr; a wrong name lists them all")
    p.add_argument("--folder", type=Path, required=True, help="write it here; the encoder of an RCDM may be here too")
    for name in ("steps", "limit"):
        p.add_argument(f"--{name}", type=int, help="override the recipe for a quick trial")
    p = _command(models, "runs", zoo_runs, "make the runs anew that training panels open on", RUNS)
    p.add_argument("--folder", type=Path, required=True, help="write them here")

    p = _command(
        commands, "bench", bench, "measure speed and quality against other libraries (needs the extra `bench`)", BENCH
    )
    p.add_argument("names", nargs="*", help="which benchmarks to run, such as views; the default is all")
    p.add_argument("--out", type=Path, help="also write the results to this JSON file")

    if find_spec("shtab"):
        from shtab import add_argument_to

        add_argument_to(top, help="print a script that completes commands and options when you press Tab")
    return top


LAB = """examples:
  ssl-toolkit lab                        # into ssl_toolkit_notebooks, and opens the first one
  ssl-toolkit lab mine -- --no-browser   # into mine; JupyterLab prints the address to open"""
SITE_EXAMPLE = """examples:
  ssl-toolkit site --run                      # of our notebooks: half an hour, then open index.html
  ssl-toolkit site pages --notebooks mine.ipynb --run"""
TRAIN = """examples:
  ssl-toolkit train --data garments --steps 500 --save run.safetensors --csv run.csv
  ssl-toolkit train --data garments --steps 900 --resume run.safetensors --save run.safetensors --csv run.csv
  accelerate launch -m ssl_toolkit train --data photos --workers 4     # on all devices"""
CLAIMS_EXAMPLE = """example:
  ssl-toolkit claims DJ-2 --folder results   # if you stop it, it continues where it was"""
ZOO = """examples:
  ssl-toolkit zoo
  ssl-toolkit zoo build shapes-simclr --folder models"""
BUILD = """example:
  ssl-toolkit zoo build shapes-simclr --folder models --steps 100"""
RUNS = """example:
  ssl-toolkit zoo runs --folder ssl_toolkit/zoo/runs   # some twenty minutes"""
BENCH = """example:
  ssl-toolkit bench views imports --out figures.json"""


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        return args.call(args)
    except (
        ValueError,
        OSError,
        ArithmeticError,
        MemoryError,
        ImportError,
    ) as error:  # the library's errors for wrong arguments
        print(f"ssl-toolkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ssl-toolkit: stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
