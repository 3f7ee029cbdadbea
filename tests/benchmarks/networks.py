"""Every network of the libraries that are here, through `wrap`: right, refused, or wrong, which must not be.

    python -m tests.benchmarks.networks                    # a table: timm, torchvision, transformers, wrappers
    python -m tests.benchmarks.networks timm --limit 9     # one library, the first nine families

Right is what the network's own classifier reads in its own forward pass, by a hook on it, or what the library returns
as features. Of each family of timm we build the smallest network that takes a second or so.
"""

import argparse
import contextlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ssl_toolkit.encoders import wrap

TOLERANCE = 1e-4
LITTLE = (
    "test_",
    "atto",
    "femto",
    "pico",
    "nano",
    "xxs",
    "xxt",
    "micro",
    "mini",
    "tiny",
    "_s",
    "t0",
    "b0",
    "_0",
    "18",
    "26",
)
LARGEST = 60e6  # parameters; more take too long to build


class Case(NamedTuple):
    library: str
    family: str
    name: str
    make: Callable[[], nn.Module]
    features: Callable[[nn.Module, Tensor], Tensor]  # of images as the network wants them


def read_by(module: nn.Module, layer: nn.Module, x: Tensor, run: Callable | None = None) -> Tensor:
    """What `layer` reads in the network's forward pass, averaged over positions."""
    seen: list[Tensor] = []
    with contextlib.closing(_Handle(layer.register_forward_pre_hook(lambda _m, args: seen.append(args[0].clone())))):
        (run or module)(x)
    (z,) = seen
    z = z.mean(dim=(2, 3)) if z.ndim == 4 and isinstance(layer, nn.Conv2d | nn.Sequential) else z
    return z.flatten(1, -2).mean(dim=1) if z.ndim > 2 else z


class _Handle:
    def __init__(self, handle: Any):
        self.close = handle.remove


def linears(module: nn.Module) -> list[nn.Module]:
    return [m for m in module.modules() if isinstance(m, nn.Linear)]


def torchvision_cases() -> Iterator[Case]:
    from torchvision import models

    def features(net: nn.Module, x: Tensor) -> Tensor:
        if type(net).__name__ == "SqueezeNet":
            return read_by(net, net.classifier[1], x)
        return read_by(net, linears(net)[-1], x)

    for name in models.list_models(module=models):
        with torch.device("meta"):
            size = sum(p.numel() for p in models.get_model(name, weights=None).parameters())
        if size < 150e6:
            make = lambda name=name: models.get_model(name, weights=None, **_quiet(name))  # noqa: E731
            yield Case("torchvision", name.split("_")[0], name, make, features)


def _quiet(name: str) -> dict[str, bool]:
    return {"init_weights": False} if name in ("googlenet", "inception_v3") else {}


def timm_cases() -> Iterator[Case]:
    import timm

    families: dict[str, list[str]] = {}
    modules: dict[str, list[str]] = {}
    for name in timm.list_models():
        module = timm.models._registry._model_to_module[name]
        modules.setdefault(module, []).append(name)
        families.setdefault(f"{module}:{name.split('_')[0]}", []).append(name)
    families = modules | families  # first one of each module, then of each family of names
    done = set()

    def features(net: Any, x: Tensor) -> Tensor:
        classifier = net.get_classifier()
        if isinstance(classifier, nn.Linear):
            with contextlib.suppress(ValueError):  # not called, or more than once
                return read_by(net, classifier, x)
        return net.forward_head(net.forward_features(x), pre_logits=True)

    for family, names in families.items():
        sizes = {}
        for name in sorted(names, key=lambda n: not any(word in n for word in LITTLE))[:2]:
            with contextlib.suppress(Exception), torch.device("meta"):
                sizes[name] = sum(p.numel() for p in timm.create_model(name).parameters())
        name = min(sizes, key=lambda n: sizes[n], default=names[0])
        if sizes.get(name, 0) < LARGEST and name not in done:
            done.add(name)
            yield Case("timm", family, name, lambda name=name: timm.create_model(name), features)


SMALL = {
    "hidden_size": 32, "intermediate_size": 48, "mlp_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_labels": 5, "encoder_layers": 2, "decoder_layers": 2, "projection_dim": 16,
    "mlp_hidden_size": 48, "num_latents": 8, "d_latents": 32,
}  # fmt: skip


def small(config: Any) -> Any:
    """The same family with few and narrow layers."""
    for name, value in list(vars(config).items()):
        if name in SMALL and isinstance(value, int):
            setattr(config, name, SMALL[name])
        elif name in ("depths", "layer_depths", "num_blocks") and isinstance(value, list):
            setattr(config, name, [1 for _ in value])
        elif hasattr(value, "to_dict"):
            small(value)
    return config


def transformers_cases() -> Iterator[Case]:
    import transformers
    from transformers.models.auto import modeling_auto as auto

    transformers.logging.set_verbosity_error()

    def classifier(net: nn.Module, x: Tensor) -> Tensor:
        head = getattr(net, "classifier", linears(net)[-1])
        inner = linears(head)
        if type(net).__name__ in ("HGNetV2ForImageClassification", "TextNetForImageClassification"):
            return read_by(net, net.fc, x)
        if isinstance(head, nn.Linear) or (len(inner) == 1 and isinstance(head, nn.Sequential)):
            return read_by(net, inner[-1], x)
        return read_by(net, head, x)

    def base(net: Any, x: Tensor) -> Tensor:
        out = net(pixel_values=x)
        if getattr(out, "pooler_output", None) is not None:
            return out.pooler_output.flatten(1)
        z = out.last_hidden_state
        names = {n.rpartition(".")[2] for n, _ in net.named_parameters()}
        if z.ndim == 3 and names & {"cls_token", "class_embedding"}:
            return z[:, 0]
        return z.mean(dim=(2, 3)) if z.ndim == 4 else z.mean(dim=1)

    for mapping, features in (
        (auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES, classifier),
        (auto.MODEL_FOR_IMAGE_MAPPING_NAMES, base),
    ):
        for family, kinds in mapping.items():
            for kind in (kinds,) if isinstance(kinds, str) else kinds:
                if not hasattr(transformers, kind):
                    continue

                def make(kind: str = kind) -> nn.Module:
                    cls = getattr(transformers, kind)
                    for config in (small(cls.config_class()), cls.config_class()):
                        with contextlib.suppress(Exception):
                            with torch.device("meta"):
                                size = sum(p.numel() for p in cls(config).parameters())
                            if size < LARGEST:
                                return cls(config)
                    raise ValueError("no small one")

                yield Case("transformers", family, kind, make, features)


def tried(case: Case) -> tuple[str, str]:
    """ "right", "refused", "wrong" or "not built", and why."""
    torch.manual_seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net = case.make().eval()
    except Exception as error:
        return "not built", f"{type(error).__name__} {error}"[:150]
    if sum(p.numel() for p in net.parameters()) > 4 * LARGEST:
        return "not built", "too large"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # networks of any size are tried at a small one
            cfg = getattr(net, "pretrained_cfg", None)
            encoder = wrap(net, size="auto" if cfg is None or cfg.get("fixed_input_size") else 128)
    except (ValueError, TypeError) as error:
        return "refused", str(error)
    backbone: Any = encoder.backbone
    size = backbone.size or 64
    x = torch.rand(3, 3, *(size if isinstance(size, tuple) else (size, size)))
    with torch.inference_mode():
        found = encoder.eval().features(x)
        right = case.features(backbone.module, backbone.prepare(x))
    z = found["representation"]
    if z.shape != right.shape:
        return "wrong", f"{tuple(z.shape)} is not {tuple(right.shape)}"
    error = ((z - right).abs().max() / right.abs().max().clamp_min(1e-12)).item()
    widths = " ".join(f"{k}:{v.shape[1]}" for k, v in found.items() if k != "representation")
    if not error < TOLERANCE:
        return "wrong", f"off by {error:.2g}"
    return "right", f"{z.shape[1]} numbers, {len(found) - 1} depths {widths[:110]}"


LIBRARIES = {"torchvision": torchvision_cases, "timm": timm_cases, "transformers": transformers_cases}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("library", nargs="?", choices=LIBRARIES)
    parser.add_argument("--limit", type=int, default=10_000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    counts: dict[tuple[str, str], int] = {}
    for library in [asked.library] if asked.library else LIBRARIES:
        for i, case in enumerate(LIBRARIES[library]()):
            if i >= asked.limit:
                break
            if i < asked.start or asked.only not in case.name:
                continue
            began = time.monotonic()
            try:
                verdict, why = tried(case)
            except Exception as error:
                verdict, why = "wrong", f"{type(error).__name__} {error}"[:200]
            counts[library, verdict] = counts.get((library, verdict), 0) + 1
            print(f"{library:13}{case.name[:44]:45}{verdict:10}{time.monotonic() - began:5.1f} s  {why}", flush=True)
    verdicts = ("right", "refused", "wrong", "not built")
    print(f"\n{'library':14}" + "".join(f"{v:>11}" for v in verdicts))
    for library in LIBRARIES:
        if any(of == library for of, _ in counts):
            print(f"{library:14}" + "".join(f"{counts.get((library, v), 0):11}" for v in verdicts))
    return int(any(verdict == "wrong" for _, verdict in counts))


if __name__ == "__main__":
    sys.exit(main())
