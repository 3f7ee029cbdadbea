"""Encoders: depths by name, widths of the last block, and foreign networks left as they were."""

import pytest
import torch
from torch import nn

from ssl_toolkit.data import rng
from ssl_toolkit.encoders import Encoder, resnet, set_last_block_width, small_conv, wrap
from ssl_toolkit.encoders.networks import Block


def images(n: int = 4, channels: int = 3, size: int = 32) -> torch.Tensor:
    return torch.rand(n, channels, size, size, generator=rng(0))


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("size", [8, 24, 28, 32, 64])
@pytest.mark.parametrize("width", [1, 16, 128, 512])
def test_every_depth_has_a_name_and_the_representation_the_width_asked_for(size, width):
    encoder = small_conv(1, width=width, projector=(32, 24, 8))
    features = encoder.features(images(2, 1, size))
    assert list(features) == [*("stem", "stage1", "stage2", "representation", "projector1", "projector2", "embedding")]
    assert [z.shape[1] for z in features.values()] == [32, 32, 64, width, 32, 24, 8]
    assert encoder.width == width


def test_a_block_on_one_pixel_is_the_whole_kernel_and_its_gradient_is_written_in_bfloat16():
    block, x = Block(8, 16, 16, stride=2), images(32, 8, 1)
    torch.testing.assert_close(block.conv1(x), nn.functional.conv2d(x, block.conv1.weight[:, :, 1:2, 1:2]))
    for _ in range(10):
        torch.full((8 * 16 * 9,), torch.nan)  # what an unwritten gradient would find in memory
        block.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            block(x).square().sum().backward()
        outside = block.conv1.weight.grad.flatten(2)[:, :, [0, 1, 2, 3, 5, 6, 7, 8]]
        assert torch.equal(outside, torch.zeros_like(outside))


def test_the_embedding_is_what_the_call_returns():
    encoder = small_conv().eval()
    assert torch.equal(encoder(images()), encoder.features(images())["embedding"])
    bare = small_conv(projector=()).eval()
    assert torch.equal(bare(images()), bare.features(images())["representation"])
    assert "embedding" not in bare.features(images())


def test_a_seed_gives_the_same_weights_and_leaves_the_global_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    a, b, c = small_conv(seed=1), small_conv(seed=1), small_conv(seed=2)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.backbone.stem[0].weight, c.backbone.stem[0].weight)


def test_a_net_may_be_wider_or_deeper_throughout():
    wide, deep = small_conv(width=16, planes=(8, 12, 20)), small_conv(width=16, blocks=3)
    assert [z.shape[1] for z in wide.features(images(2)).values()][:4] == [8, 8, 12, 16]
    assert [len(stage) for stage in deep.backbone][1:] == [3, 3, 3]
    for net in (wide, deep):
        assert [m.shape[-1] for m in net.backbone(images(2)).values()] == [16, 8, 4, 2]
    with pytest.raises(ValueError, match=r"planes is \(8, 8\)"):
        small_conv(planes=(8, 8))


# "Expand or Narrow": the points of the figure of parameters, in millions; 22.455 M + 2564 D without the classifier
@pytest.mark.parametrize(
    "width, millions",
    [
        (2048, 27.7),
        (4096, 33.0),
        (6144, 38.2),
        (8192, 43.5),
        (10240, 48.7),
        (12288, 54.0),
        (15360, 61.8),
        (20480, 75.0),
        (25600, 88.1),
    ],
)
def test_the_wide_resnet50_has_the_parameters_of_the_paper(width, millions):
    from torchvision.models import resnet50

    with torch.device("meta"):
        net = resnet50(weights=None)
        net.fc = nn.Identity()
        set_last_block_width(net, width)
    assert parameters(net) / 1e6 == pytest.approx(millions, abs=0.1)
    assert parameters(net) == 22_455_360 + 2564 * width


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_only_the_last_block_changes_with_the_width(name):
    plain, wide = resnet(name, projector=(8,)), resnet(name, width=96, projector=(8,))
    shapes = lambda m: {n: p.shape for n, p in m.backbone.named_parameters()}  # noqa: E731
    changed = {n for n, shape in shapes(wide).items() if shapes(plain).get(n) != shape}
    assert changed
    assert all(n.startswith(f"stage4.{len(wide.backbone.stage4) - 1}.") for n in changed)
    assert wide(images(2)).shape == (2, 8)
    assert wide.features(images(2))["representation"].shape == (2, 96)


def test_a_small_encoder_is_widened_in_place_with_what_reads_it():
    encoder = small_conv(width=128, projector=(32, 8))
    set_last_block_width(encoder, 300)
    assert encoder.width == 300
    features = encoder.features(images())
    assert features["representation"].shape == (4, 300)
    assert features["embedding"].shape == (4, 8)


def test_a_classifier_is_widened_too():
    from torchvision.models import resnet18

    net = resnet18(weights=None, num_classes=7)
    set_last_block_width(net, 64)
    assert net(images()).shape == (4, 7)


def test_the_small_stem_keeps_the_resolution_and_the_imagenet_stem_is_torchvisions():
    from torchvision.models import resnet18

    assert resnet("resnet18").backbone(images(1))["stem"].shape[-1] == 32
    ours, theirs = resnet("resnet18", stem="imagenet", projector=()), resnet18(weights=None)
    theirs.fc = nn.Identity()
    assert parameters(ours) == parameters(theirs)
    assert ours.eval().backbone(images(1))["stem"].shape[-1] == 8


def test_a_wrapped_network_gives_what_it_gave_and_its_depths():
    from torchvision.models import resnet18

    net = resnet18(weights=None).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    encoder = wrap(net, depths=["layer2", "layer3"])
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert net.training
    encoder.eval()
    x = images()
    features = encoder.features(x)
    assert [z.shape for z in features.values()] == [(4, 128), (4, 256), (4, 512)]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    logits = net((x - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    assert torch.allclose(net.fc(features["representation"]), logits, atol=1e-5)


def test_any_module_can_be_wrapped_and_resized():
    own = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU())
    encoder = wrap(own, head=None, channels=1, size=16, mean=(0.5,), std=(0.5,))
    assert isinstance(encoder, Encoder)
    assert encoder.features(images(2, 1, 28))["representation"].shape == (2, 5)
    assert encoder.width == 5
    sizes = []
    own.register_forward_pre_hook(lambda _module, args: sizes.append(tuple(args[0].shape[1:])))
    encoder.features(torch.rand(2, 1, 28, 16))
    assert sizes == [(1, 16, 16)]


def test_a_gray_network_has_one_mean_and_a_gray_image_three_equal_channels():
    gray = wrap(nn.Sequential(nn.Conv2d(1, 5, 3)), head=None, channels=1)
    assert gray.features(images(2, 1, 28))["representation"].shape == (2, 5)
    encoder, x = wrap(nn.Sequential(nn.Conv2d(3, 5, 3)), head=None), images(2, 1, 28)
    assert torch.equal(encoder(x), encoder(x.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: small_conv(width=0), "width is 0"),
        (lambda: small_conv(projector=(8, 0)), r"\(8, 0\)"),
        (lambda: resnet("resnet19"), "resnet19.*resnet18"),
        (lambda: set_last_block_width(small_conv(), 0), "width is 0"),
        (lambda: wrap(nn.Sequential(nn.Conv2d(3, 4, 3)), depths=["layer9"]), "'layer9' is no submodule"),
        (lambda: wrap(nn.Conv2d(3, 4, 3), mean=(0.5, 0.5)), "mean has 2 numbers: it must have 1 or 3"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_network_without_residual_blocks_cannot_be_widened():
    with pytest.raises(TypeError, match="Linear has no residual block"):
        set_last_block_width(nn.Linear(2, 2), 4)
