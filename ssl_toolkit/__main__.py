"""The command line: `ssl-toolkit lab` opens the notebooks, `train` trains without one,
`claims` tests the papers' claims, `zoo` lists and makes the shipped models, `bench` measures."""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).parent
START = "00_start_here.ipynb"


def notebooks() -> Path:
    """Where the notebooks are: inside a wheel, or beside the package in a checkout."""
    return next(p for p in (HERE / "_notebooks", HERE.parent / "notebooks") if (p / START).is_file())


def copy_notebooks(target: Path) -> list[str]:
    """Copy or update the notebooks in `target`; a file that the user changed stays, and is named in the result."""
    target.mkdir(parents=True, exist_ok=True)
    manifest = target / ".ssl_toolkit.json"
    try:
        written: dict[str, str] = dict(json.loads(manifest.read_text()))
    except (FileNotFoundError, ValueError, TypeError):  # there is none, or it is damaged: what differs is the user's
        written = {}
    kept = []
    for source in sorted(notebooks().rglob("*")):
        if not source.is_file() or source.suffix not in (".ipynb", ".png"):
            continue
        name = source.relative_to(notebooks()).as_posix()
        new, there = source.read_bytes(), target / name
        if there.is_file() and there.read_bytes() != new and _digest(there.read_bytes()) != written.get(name):
            kept.append(name)
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(new)
        written[name] = _digest(new)
    manifest.write_text(json.dumps(written, indent=1))
    return kept


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def lab(args: argparse.Namespace) -> int:
    for name in copy_notebooks(args.folder):
        print(f"{args.folder / name} was changed by you: it stays as it is.")
    if args.copy_only:
        return 0
    # One core stays with the browser. Two busy threads and a page that draws, on two cores, wait for one another: a
    # training step then takes three to five times as long.
    threads = str(max(1, (os.cpu_count() or 2) - 1))
    environment = {"OMP_NUM_THREADS": threads, **os.environ}
    command = [sys.executable, "-m", "jupyterlab", str(args.folder / START), *args.jupyter]
    sys.stdout.flush()
    if os.name == "posix":
        os.execvpe(command[0], command, environment)  # in the place of this process: what ends it ends JupyterLab
    return subprocess.call(command, env=environment)


def train(args: argparse.Namespace) -> int:
    from ssl_toolkit.data import Dataset, Stream, load_data
    from ssl_toolkit.joint import METHODS, tuned
    from ssl_toolkit.training import load, save
    from ssl_toolkit.training import train as steps
    from ssl_toolkit.training.distributed import rank_and_world_size

    if args.method not in METHODS:
        print(f"--method is {args.method!r}: it must be one of {', '.join(METHODS)}.", file=sys.stderr)
        return 2
    if args.save is not None and (args.save.is_dir() or not args.save.parent.is_dir()):
        print(f"--save is {args.save}: it must be a file in a folder that exists.", file=sys.stderr)
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
            print(f"--steps is {recipe.steps} and {args.resume} is at step {state.step}: give more.", file=sys.stderr)
            return 2
    rank, processes = rank_and_world_size()
    if rank == 0 and processes > 1:
        print(f"{processes} processes train one encoder", flush=True)
    for step in steps(state, data, objective, until=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed):
        if rank == 0 and (step.step % 50 == 0 or step.step == recipe.steps):
            terms = "  ".join(f"{name} {value:.4f}" for name, value in step.terms.items())
            speed = recipe.batch_size / step.seconds
            print(f"step {step.step}/{recipe.steps}  loss {step.loss:.4f}  {terms}  {speed:.0f} images/s", flush=True)
        if rank == 0 and args.save_every and step.step % args.save_every == 0:
            save(state, args.save)
    if rank == 0 and args.save:
        save(state, args.save)
    return 0


def bench(args: argparse.Namespace) -> int:
    folder = HERE.parent / "tests" / "benchmarks"
    known = sorted(p.stem for p in folder.glob("[a-z]*.py"))
    if not known:
        print(
            "the benchmarks are in the repository, not in the installed package: run this in a clone.", file=sys.stderr
        )
        return 2
    if unknown := [name for name in args.names if name not in known]:
        print(f"no benchmark is called {unknown[0]!r}: there are {', '.join(known)}.", file=sys.stderr)
        return 2
    results = {}
    for name in args.names or known:  # each in a process of its own: threads and caches of one must not help another
        code = f"import json; from {name} import run; print(json.dumps(run()))"
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            return done.returncode
        results[name] = json.loads(done.stdout.splitlines()[-1])
        print(json.dumps({name: results[name]}, indent=1), flush=True)
    if args.out:
        args.out.write_text(json.dumps({"machine": machine(), **results}, indent=1) + "\n", encoding="utf-8")
    return 0


def claims(args: argparse.Namespace) -> int:
    from ssl_toolkit.claims import CLAIMS, Verdict, run, stored
    from ssl_toolkit.training.sweep import Cell, SweepError

    if unknown := [name for name in args.ids if name not in CLAIMS]:
        print(f"no claim is called {unknown[0]!r}: there are {', '.join(CLAIMS)}.", file=sys.stderr)
        return 2
    if not args.ids:
        for claim in CLAIMS.values():
            try:
                verdict = str(stored(claim.id)[0])
            except (FileNotFoundError, SweepError):
                verdict = f"{claim.id} has no stored result"
            print(f"{claim.statement}\n    {verdict}")
        return 0
    if args.folder:
        args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.ids:
        for record in run(name, budget=args.budget, folder=args.folder):
            if isinstance(record, Cell):
                print(f"  {record.setting} {record.result} {record.seconds} s", flush=True)
            elif isinstance(record, Verdict):
                print(record, flush=True)
    return 0


def zoo(args: argparse.Namespace) -> int:
    from ssl_toolkit.zoo import card, names

    print("| name | what | kB | measures |\n|---|---|---|---|")
    for name in names():
        made = card(name)
        measures = ", ".join(f"{what} {value:.3g}" for what, value in list(made.measures.items())[:4])
        print(f"| `{name}` | {made.what} | {made.size / 1000:.0f} | {measures} |")
    return 0


def zoo_build(args: argparse.Namespace) -> int:
    from ssl_toolkit.training import Step
    from ssl_toolkit.zoo import PLANS, Shipped, build, write

    if args.name not in PLANS:
        print(f"name is {args.name!r}: there are recipes for {', '.join(sorted(PLANS))}.", file=sys.stderr)
        return 2
    args.folder.mkdir(parents=True, exist_ok=True)
    for record in build(args.name, folder=args.folder, steps=args.steps, limit=args.limit):
        if isinstance(record, Step) and record.step % 100 == 0:
            print(f"step {record.step}  loss {record.loss:.4f}", flush=True)
        elif isinstance(record, Shipped):
            write(record, args.folder)
            print("\n".join(f"{what} {value:.4g}" for what, value in record.card.measures.items()))
    return 0


def machine() -> dict[str, str | int | None]:
    """What the figures were measured on."""
    import platform

    import torch

    system = f"{platform.system()} {platform.machine()}"
    return {"cores": os.cpu_count(), "system": system, "python": platform.python_version(), "torch": torch.__version__}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="ssl-toolkit", description=__doc__)
    commands = top.add_subparsers(required=True)
    p = commands.add_parser("lab", help="copy the notebooks into a folder and open JupyterLab there")
    p.add_argument("folder", nargs="?", type=Path, default=Path("ssl_toolkit_notebooks"))
    p.add_argument("jupyter", nargs="*", help="further arguments for JupyterLab, after --")
    p.add_argument("--copy-only", action="store_true", help="copy the notebooks, open nothing")
    p.set_defaults(call=lab)
    p = commands.add_parser(
        "train", help="train one encoder; `accelerate launch -m ssl_toolkit train` uses all devices"
    )
    p.add_argument("--data", default="fashion-mnist", help="a name, or a folder of class folders")
    p.add_argument("--size", type=int, help="resize images to so many pixels")
    p.add_argument("--workers", type=int, metavar="N", help="N processes decode a folder too large for memory")
    p.add_argument(
        "--method", default="simclr", help="simclr, vicreg, byol or another; a wrong name is answered with all"
    )
    for name, kind in (("steps", int), ("batch-size", int), ("lr", float), ("width", int), ("seed", int)):
        p.add_argument(f"--{name}", type=kind, help="instead of the recipe's")
    p.add_argument("--save", type=Path, help="write the trained state here")
    p.add_argument("--save-every", type=int, metavar="N", help="write it after every N steps too")
    p.add_argument("--resume", type=Path, help="go on from this state")
    p.set_defaults(call=train)
    p = commands.add_parser("claims", help="put claims of the papers to the test; without an id, list them")
    p.add_argument("ids", nargs="*", metavar="id", help="such as DJ-2")
    p.add_argument("--budget", default="standard", choices=["smoke", "standard", "full"])
    p.add_argument("--folder", type=Path, help="keep measurements and verdicts here, and go on from what is there")
    p.set_defaults(call=claims)
    p = commands.add_parser("zoo", help="list the shipped models, or train one of them again")
    p.set_defaults(call=zoo)
    p = p.add_subparsers().add_parser("build", help="train a model by its recipe, and write it with its card")
    p.add_argument("name", help="such as shapes-simclr; a wrong one is answered with all")
    p.add_argument("--folder", type=Path, required=True, help="write it here; an RCDM's encoder may be here, too")
    for name in ("steps", "limit"):
        p.add_argument(f"--{name}", type=int, help="instead of the recipe's, for a trial: fewer steps, or images")
    p.set_defaults(call=zoo_build)
    p = commands.add_parser("bench", help="measure speed and quality beside the peers (needs the extra `bench`)")
    p.add_argument("names", nargs="*", help="files of tests/benchmarks to run, such as views; by default all of them")
    p.add_argument("--out", type=Path, help="write all figures to this JSON file")
    p.set_defaults(call=bench)
    return top


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        return args.call(args)
    except (ValueError, OSError, ArithmeticError, MemoryError) as error:  # what the library raises for what was given
        print(f"ssl-toolkit: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
