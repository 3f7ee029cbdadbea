"""Any network wrapped: the representation is what its own classifier reads, or an error says what to do."""

import copy
import inspect
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ssl_toolkit.data import rng
from ssl_toolkit.encoders import embed, small_conv, untrained, wrap


def images(n: int = 4, size: int = 32, channels: int = 3) -> torch.Tensor:
    return torch.rand(n, channels, size, size, generator=rng(0))


class Small(nn.Module):
    """Two stages and a classifier under any name; `trunk` gives what the classifier reads."""

    def __init__(self, head: str = "fc", last: nn.Module | None = None):
        super().__init__()
        self.stage1 = nn.Sequential(nn.Conv2d(3, 6, 3, 2, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.stage2 = nn.Sequential(nn.Conv2d(6, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.name = head
        self.add_module(head, nn.Linear(8, 5) if last is None else last)

    def trunk(self, x):
        return self.stage2(self.stage1(x)).mean(dim=(2, 3))

    def forward(self, x):
        return getattr(self, self.name)(self.trunk(x))


def normalized(x: torch.Tensor) -> torch.Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def representation(net: nn.Module, x: torch.Tensor, **how) -> torch.Tensor:
    with torch.no_grad():
        return wrap(net, **how).eval().features(x)["representation"]


class Normalize(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5))
        self.register_buffer("std", torch.full((1, 3, 1, 1), 0.25))

    def forward(self, x):
        return (x - self.mean) / self.std


@pytest.mark.parametrize(
    "name, around",
    [
        ("data parallel", nn.DataParallel),
        ("compiled", lambda net: torch.compile(net)),
        ("both", lambda net: torch.compile(nn.DataParallel(net))),
        ("sequential", lambda net: nn.Sequential(nn.Identity(), net)),
    ],
)
def test_a_wrapper_around_a_network_changes_nothing(name, around):
    net, x = Small().eval(), images()
    expected = net.trunk(normalized(x))
    encoder = wrap(around(net))
    assert torch.allclose(encoder.eval().features(x)["representation"], expected, atol=1e-5)
    assert [depth.split(".")[-1] for depth in encoder.features(x)] == ["stage1", "stage2", "representation"]
    assert torch.allclose(representation(around(net), x, head="module.fc" if "para" in name else "auto"), expected)


def test_a_network_that_normalizes_itself_is_not_normalized_twice():
    net, x = Small().eval(), images()
    encoder = wrap(nn.Sequential(Normalize(), net)).eval()
    assert torch.allclose(encoder.features(x)["representation"], net.trunk((x - 0.5) / 0.25), atol=1e-5)
    assert "the network normalizes its input" in encoder.describe()


@pytest.mark.parametrize("name", ["fc", "_fc", "head", "classifier", "clf", "last_linear", "class_logits"])
def test_a_classifier_is_known_by_its_name_and_by_what_goes_through_it(name):
    net, x = Small(name).eval(), images()
    assert torch.allclose(representation(net, x), net.trunk(normalized(x)), atol=1e-5)


@pytest.mark.parametrize("name", ["out", "predict", "embedding", "projection"])
def test_a_last_layer_of_another_name_is_a_question_not_a_guess(name):
    net, x = Small(name).eval(), images()
    with pytest.raises(ValueError, match=f"head='{name}' for what goes into it, or head=None"):
        wrap(net)
    assert torch.allclose(representation(net, x, head=name), net.trunk(normalized(x)), atol=1e-5)
    assert torch.allclose(representation(net, x, head=None), net(normalized(x)), atol=1e-5)


def test_a_projector_in_the_place_of_a_classifier_is_a_question_too():
    net = Small("head", nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5))).eval()
    with pytest.raises(ValueError, match=r"head='head' for what goes into it, as for a projector, or head='head\.2'"):
        wrap(net)
    assert torch.allclose(representation(net, images(), head="head"), net.trunk(normalized(images())), atol=1e-5)


@pytest.mark.parametrize(
    "last",
    [
        nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 5)),
        nn.Sequential(nn.Linear(8, 5), nn.LogSoftmax(dim=1)),
        nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 5)),
        nn.Sequential(nn.Unflatten(1, (8, 1, 1)), nn.Conv2d(8, 5, 1), nn.Flatten()),
        nn.Identity(),
    ],
)
def test_what_is_around_the_last_layer_does_not_matter(last):
    net, x = Small(last=last).eval(), images()
    assert torch.allclose(representation(net, x), net.trunk(normalized(x)), atol=1e-5)


def test_a_norm_between_the_pooling_and_the_classifier_is_part_of_the_representation():
    last = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 5))  # as in ConvNeXt
    net, x = Small("classifier", last).eval(), images()
    assert torch.allclose(representation(net, x), last[0](net.trunk(normalized(x))), atol=1e-5)


def test_a_head_of_zeros_is_found_as_well():
    net, x = Small().eval(), images()
    nn.init.zeros_(net.fc.weight)
    assert torch.allclose(representation(net, x), net.trunk(normalized(x)), atol=1e-5)


class LoRA(nn.Module):
    def __init__(self, base: nn.Linear):
        super().__init__()
        self.base_layer = base
        self.lora_A, self.lora_B = nn.Linear(8, 2, bias=False), nn.Linear(2, 5, bias=False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x):
        return self.base_layer(x) + self.lora_B(self.lora_A(x))


def test_a_classifier_with_an_adapter_is_one_layer():
    net, x = Small().eval(), images()
    expected = net.trunk(normalized(x))
    net.fc = LoRA(net.fc)
    assert torch.allclose(representation(net, x), expected, atol=1e-5)
    nn.init.ones_(net.fc.lora_B.weight)
    assert torch.allclose(representation(net, x), expected, atol=1e-5)


class Weights(Small):
    """The classifier's weights are used, but the layer is never called."""

    def forward(self, x):
        return nn.functional.linear(self.trunk(x), self.fc.weight, self.fc.bias)


def test_what_no_hook_can_see_is_refused():
    x = torch.rand(1, 3, 32, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(Small().eval(), x)
    for head in ("auto", "fc"):
        with pytest.raises(ValueError, match="is TorchScript"):
            wrap(traced, head=head)
    assert wrap(traced, head=None).width == 5
    with pytest.raises(ValueError, match="pass head=None if the output is features"):
        wrap(Weights())
    with pytest.raises(ValueError, match="'fc' is never called"):
        wrap(Weights(), head="fc")


def test_a_quantized_network_works():
    net, x = Small().eval(), images()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = torch.ao.quantization.quantize_dynamic(copy.deepcopy(net), {nn.Linear}, dtype=torch.qint8)
    assert torch.allclose(representation(quantized, x), net.trunk(normalized(x)), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_networks_of_any_dtype_take_images_as_they_are(dtype):
    net, x = Small().eval(), images()
    expected = net.trunk(normalized(x))
    encoder = wrap(copy.deepcopy(net).to(dtype), projector=(8, 4))
    assert torch.allclose(embed(encoder, x), expected, atol=2e-2)
    assert encoder.eval()(x).shape == (4, 4)
    assert embed(small_conv(3).to(dtype), (255 * x).byte()).dtype == torch.float32
    assert embed(Small().to(dtype), x).shape == (4, 5)


def test_an_encoder_made_in_inference_mode_can_be_trained_afterwards():
    net = Small()
    with torch.inference_mode():
        encoder = wrap(net, projector=(8, 4))
        embed(encoder, images())
    encoder(images()).sum().backward()
    assert net.stage1[0].weight.grad is not None


class Heads(Small):
    """One trunk; `how` says what forward returns."""

    def __init__(self, how):
        super().__init__()
        self.heads, self.how = nn.ModuleDict({"a": nn.Linear(8, 5), "b": nn.Linear(8, 3)}), how

    def forward(self, x):
        return self.how(self, self.stage2(self.stage1(x)))


def pooled(m):
    return m.mean(dim=(2, 3))


@pytest.mark.parametrize(
    "how, arguments",
    [
        (lambda net, m: {k: head(pooled(m)) for k, head in net.heads.items()}, {}),
        (lambda net, m: (net.heads["a"](pooled(m)), net.heads["b"](pooled(m))), {}),
        (lambda net, m: (pooled(m), net.fc(pooled(m))), {}),
        (lambda net, m: {"features": pooled(m), "logits": net.fc(pooled(m))}, {}),
        (lambda net, m: SimpleNamespace(feats=m), {}),
        (lambda net, m: {"anything": m}, {}),
        (lambda net, m: m, {}),
        (lambda net, m: [m, m + 1], {"output": 0}),
        (lambda net, m: {"z": net.fc(pooled(m)), "h": pooled(m)}, {"output": "h"}),
        (lambda net, m: (net.heads["a"](pooled(m) ** 2), net.heads["b"](pooled(m))), {"head": "heads.b"}),
    ],
)
def test_forward_may_return_several_heads_tuples_dicts_and_maps(how, arguments):
    net, x = Heads(how).eval(), images()
    assert torch.allclose(representation(net, x, **arguments), net.trunk(normalized(x)), atol=1e-5)


@pytest.mark.parametrize(
    "how, words",
    [
        (lambda net, m: [m, m + 1], r"0 \(2, 8, 15, 15\), 1.*Pass output="),
        (lambda net, m: (net.heads["a"](pooled(m) ** 2), net.heads["b"](pooled(m))), "several heads, .*choose one"),
        (lambda net, m: net.heads["a"](pooled(m)) + net.heads["a"](-pooled(m)), "'heads.a' is called 2 times"),
        (lambda net, m: net.fc(pooled(m)) + torch.rand(2, 1), "differently each time"),
    ],
)
def test_what_stays_open_is_an_error_that_says_what_to_do(how, words):
    with pytest.raises((ValueError, TypeError), match=words):
        wrap(Heads(how))


def test_two_heads_that_are_averaged_are_both_found():
    net, x = Heads(lambda net, m: net.fc(pooled(m)) + net.heads["a"](pooled(m))).eval(), images()
    assert torch.allclose(representation(net, x), net.trunk(normalized(x)), atol=1e-5)
    apart = Heads(lambda net, m: net.fc(pooled(m)) + net.heads["a"](pooled(m).sqrt())).eval()
    with pytest.raises(ValueError, match=r"several heads, .* do not read the same features"):
        wrap(apart)


class TimmLike(nn.Module):
    """timm's interface: the map that forward_features returns is neither pooled nor normalized."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 16, 16)), nn.Sequential(nn.Conv2d(8, 8, 1)))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 5)
        self.pretrained_cfg = {
            "input_size": (3, 48, 48), "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "interpolation": "bicubic",
        }  # fmt: skip

    def forward_features(self, x):
        return self.blocks(x).permute(0, 2, 3, 1)

    def forward_head(self, x, pre_logits: bool = False):
        x = self.norm(x.mean(dim=(1, 2)))
        return x if pre_logits else self.head(x)

    def forward(self, x):
        return self.forward_head(self.forward_features(x))


def test_timms_interface_says_what_goes_into_the_classifier_and_how_images_are_prepared():
    net, x = TimmLike().eval(), images(size=48)
    encoder = wrap(net).eval()
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
    right = net.forward_head(net.forward_features((x - mean.view(3, 1, 1)) / std.view(3, 1, 1)), pre_logits=True)
    features = encoder.features(x)
    assert torch.allclose(features["representation"], right, atol=1e-5)
    assert list(features) == ["blocks.0", "blocks.1", "representation"]
    assert encoder.features(images(size=40))["representation"].shape == (4, 8)  # resized
    assert "resized to 48 x 48 (bicubic)" in str(encoder)


class Output(dict):
    """Hugging Face's ModelOutput: a dict with attributes."""

    __getattr__ = dict.__getitem__


class HuggingFaceLike(nn.Module):
    def __init__(self, pooler: bool = True, token: bool = True):
        super().__init__()
        self.config = SimpleNamespace(model_type="none of theirs", image_size=32)
        self.patches, self.layer = nn.Conv2d(3, 8, 8, 8), nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
        self.pooler = nn.Linear(8, 8) if pooler else None
        self.cls_token = nn.Parameter(torch.randn(1, 1, 8)) if token else None

    def forward(self, pixel_values, bool_masked_pos=None):
        z = self.patches(pixel_values).flatten(2).transpose(1, 2)
        z = z if self.cls_token is None else torch.cat([self.cls_token.expand(len(z), -1, -1), z], dim=1)
        for layer in self.layer:
            z = z + torch.tanh(layer(z)).mean(dim=1, keepdim=True)
        pooled = None if self.pooler is None else torch.tanh(self.pooler(z[:, 0]))
        return Output(last_hidden_state=z, pooler_output=pooled)


PROCESSOR = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 32, "width": 32}, "resample": 3}


@pytest.mark.parametrize(
    "net, pool, right",
    [
        (HuggingFaceLike(), None, lambda out: out.pooler_output),
        (HuggingFaceLike(), "map", lambda out: out.pooler_output),
        (HuggingFaceLike(), "cls", lambda out: out.last_hidden_state[:, 0]),
        (HuggingFaceLike(), "mean", lambda out: out.last_hidden_state[:, 1:].mean(dim=1)),
        (HuggingFaceLike(pooler=False), None, lambda out: out.last_hidden_state[:, 0]),
        (HuggingFaceLike(pooler=False, token=False), None, lambda out: out.last_hidden_state.mean(dim=1)),
    ],
)
def test_of_an_output_object_the_pooler_counts_else_the_class_token_else_the_mean(net, pool, right):
    x = images()
    encoder = wrap(net.eval(), pool=pool, processor=PROCESSOR)
    assert torch.allclose(encoder.features(x)["representation"], right(net(2 * x - 1)), atol=1e-5)
    assert encoder.backbone.size == 32


def test_a_processor_in_the_folder_of_the_weights_is_read_and_a_missing_one_is_said(tmp_path):
    net = HuggingFaceLike()
    with pytest.warns(UserWarning, match="does not say how its images are normalized"):
        wrap(net)
    net.config._name_or_path = str(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1]}')
    assert torch.allclose(wrap(net).backbone.mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))


@pytest.mark.parametrize("pool, words", [("map", "no pooler"), ("cls", "no class token"), ("max", "pool is 'max'")])
def test_a_pool_that_the_network_has_not_is_named(pool, words):
    with pytest.raises(ValueError, match=words):
        # unwrapped: the type hook of the tests would speak first
        inspect.unwrap(wrap)(HuggingFaceLike(pooler=False, token=False), pool=pool, processor=PROCESSOR)


def test_of_a_network_of_images_and_texts_the_vision_tower_is_taken():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.vision_model, self.text_model = HuggingFaceLike(), nn.Linear(3, 3)

        def get_image_features(self, pixel_values):
            return self.vision_model(pixel_values).pooler_output

        def forward(self, input_ids, pixel_values):
            raise AssertionError("no texts here")

    net, x = Both().eval(), images()
    assert torch.allclose(representation(net, x, processor=PROCESSOR), net.get_image_features(2 * x - 1), atol=1e-5)


class Last(nn.Module):
    """Its second stage gives maps (b, h, w, c), as Swin's do."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.norm, self.head = (
            nn.Conv2d(3, 6, 4, 4),
            nn.Linear(6, 10),
            nn.LayerNorm(10),
            nn.Linear(10, 3),
        )

    def forward(self, x):
        return self.head(self.norm(self.two(self.one(x).permute(0, 2, 3, 1))).mean(dim=(1, 2)))


def test_maps_are_averaged_over_positions_whichever_axis_holds_the_channels():
    net, x = Last().eval(), images()
    features = wrap(net).eval().features(x)
    maps = net.one(normalized(x))
    assert torch.allclose(features["one"], maps.mean(dim=(2, 3)), atol=1e-5)
    assert torch.allclose(features["two"], net.two(maps.permute(0, 2, 3, 1)).mean(dim=(1, 2)), atol=1e-5)
    assert [z.shape[1] for z in wrap(net, size=(24, 32)).features(x).values()] == [6, 10, 10]


def test_a_map_as_wide_as_its_channels_is_not_guessed():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(8))

        def forward(self, x):
            return torch.rand(len(x), 8, 8, 8, generator=rng(0)) + self.bias * x.mean()

    with pytest.raises(ValueError, match=r"cannot tell its channels.*another size="):
        wrap(Hidden(), head=None)


def test_a_depth_before_an_in_place_layer_is_what_it_was():
    net, x = Small().eval(), images()
    z = wrap(net, depths=["stage1.1"]).eval().features(x)["stage1.1"]
    assert torch.allclose(z, net.stage1[1](net.stage1[0](normalized(x))).mean(dim=(2, 3)), atol=1e-5)
    assert z.min() < 0


def test_vectors_before_an_in_place_layer_are_what_they_were_too():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8), nn.ReLU(inplace=True))
    z = wrap(net, depths=["1"], size=32, head=None).features(images())["1"]
    assert torch.allclose(z, net[1](normalized(images()).flatten(1)), atol=1e-5)
    assert z.min() < 0


def test_a_depth_that_is_not_called_once_is_an_error():
    net = Small()
    net.aux, net.relu = nn.Linear(8, 2), nn.ReLU()
    with pytest.raises(ValueError, match="'aux' is never called"):
        wrap(net, depths=["aux"])
    net.stage1[2] = net.stage2[2] = net.relu
    with pytest.raises(ValueError, match=r"'stage1\.2' is called 2 times"):
        wrap(net, depths=["stage1.2"])


def test_a_network_for_one_size_is_tried_and_used_at_that_size():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches, self.fc = nn.Conv2d(3, 4, 32, 32), nn.Linear(4, 2)
            self.position = nn.Parameter(torch.zeros(1, 4, 7, 7))

        def forward(self, x):
            return self.fc((self.patches(x) + self.position).relu().mean(dim=(2, 3)))

    encoder = wrap(Fixed())
    assert encoder.backbone.size == 224
    assert embed(encoder, images(size=32)).shape == (4, 4)
    with pytest.raises(ValueError, match=r"fails on images of 3 channels, 64 pixels.*Pass size="):
        wrap(Fixed(), size=64)
    with pytest.raises(ValueError, match="first convolution takes 3 channels"):
        wrap(Fixed(), channels=1)


def test_what_was_found_is_printed():
    encoder = wrap(Small(), projector=(16, 4))
    assert str(encoder).splitlines() == [
        "Encoder: Small",
        "  images: any size",
        "  normalized by mean (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225): ImageNet's, for want of others",
        "  depths: stage1, stage2",
        "  representation: the input of 'fc'",
        "  width: 8",
        "  projector: 16 -> 4",
    ]
    assert " · depths: stage1, stage2 · " in encoder.describe()
    assert "stem, stage1, stage2, stage3" in small_conv(3).describe()


def test_wrapping_changes_neither_weights_nor_modes_and_an_encoder_can_be_copied():
    net = Small().train()
    net.stage2.eval()
    before = copy.deepcopy(net.state_dict())
    encoder = wrap(net)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert (net.training, net.stage1.training, net.stage2.training) == (True, True, False)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert not torch.equal(embed(untrained(encoder), images()), embed(encoder, images()))


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "mobilenet_v3_small", "vit_b_16"])
def test_torchvisions_networks_give_what_their_last_layer_reads(name):
    from torchvision import models

    torch.manual_seed(0)
    small = {"mlp_dim": 16} if name == "vit_b_16" else {}
    net = models.VisionTransformer(32, 16, 2, 2, 8, **small) if small else models.get_model(name, weights=None)
    net, x = net.eval(), images(2, 32 if small else 64)
    reader = [m for m in net.modules() if isinstance(m, nn.Linear)]
    last = net.classifier[1] if name.startswith("squeeze") else reader[-1]
    seen = []
    handle = last.register_forward_pre_hook(lambda _module, args: seen.append(args[0].clone()))
    with torch.no_grad():
        net(normalized(x))
    handle.remove()
    right = seen[0].mean(dim=(2, 3)) if seen[0].ndim == 4 else seen[0]
    encoder = wrap(net).eval()
    assert torch.allclose(encoder.features(x)["representation"], right, atol=1e-4)
    assert len(encoder.backbone.depths) >= 2


@pytest.mark.parametrize("name", ["test_vit", "test_convnext2", "test_resnet", "test_byobnet"])
def test_timms_networks_give_their_pre_logits(name):
    timm = pytest.importorskip("timm")
    net = timm.create_model(name).eval()
    encoder, x = wrap(net).eval(), images(2, net.pretrained_cfg["input_size"][-1])
    right = net.forward_head(net.forward_features(encoder.backbone.prepare(x)), pre_logits=True)
    assert torch.allclose(encoder.features(x)["representation"], right, atol=1e-4)
    assert tuple(encoder.backbone.mean.flatten().tolist()) == pytest.approx(net.pretrained_cfg["mean"])


def test_hugging_faces_networks_give_what_they_pool_or_classify():
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    x, still = images(2, 32), PROCESSOR
    vit = transformers.ViTForImageClassification(transformers.ViTConfig(**small, image_size=32, num_labels=3)).eval()
    right = vit.vit(2 * x - 1).last_hidden_state[:, 0]
    assert torch.allclose(representation(vit, x, processor=still), right, atol=1e-4)
    clip = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**small, image_size=32)).eval()
    assert torch.allclose(representation(clip, x, processor=still), clip(2 * x - 1).pooler_output, atol=1e-4)
    siglip = transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**small, image_size=32)).eval()
    right = siglip(2 * x - 1).last_hidden_state.mean(dim=1)
    assert torch.allclose(representation(siglip, x, processor=still, pool="mean"), right, atol=1e-4)


def test_an_encoder_stays_as_it_is():
    encoder = small_conv(3)
    assert wrap(encoder) is encoder
    assert wrap(encoder, head="projector").features(torch.rand(2, 3, 32, 32))["representation"].shape[0] == 2
