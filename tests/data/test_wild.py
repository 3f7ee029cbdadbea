"""Pictures in the wild: a factor changes what it is called and nothing else; an image depends on no other image."""

import pytest
import torch

import ssl_toolkit as stk
from ssl_toolkit.data import DataError, Dataset, in_the_wild, load_data, sources
from ssl_toolkit.data.wild import FACTORS, render

SOURCE = load_data("digits", limit=40)
DATA = in_the_wild(SOURCE, seed=3)


SOLID = Dataset(torch.full((12, 1, 28, 28), 255, dtype=torch.uint8), torch.zeros(12).long(), ("square",))
KNOWN = in_the_wild(SOLID, seed=3).factors


def painted(**factors: float) -> torch.Tensor:
    """White squares in the wild, all with these factors."""
    return render(SOLID, KNOWN | {name: torch.full_like(KNOWN[name], v) for name, v in factors.items()}, seed=3).float()


def covered(**factors: float) -> torch.Tensor:
    """Where the picture is, (n, 32, 32): where its hue makes a difference."""
    return (painted(hue=0.0, **factors) - painted(hue=0.5, **factors)).abs().amax(dim=1) > 0


def test_the_factors_and_the_seed_give_the_images_back():
    assert torch.equal(render(SOURCE, DATA.factors, seed=3), DATA.images)
    assert torch.equal(DATA.factors["class"], SOURCE.labels)
    assert not torch.equal(in_the_wild(SOURCE, seed=4).images, DATA.images)


def test_an_image_depends_on_its_index_only_and_can_be_rendered_alone():
    assert torch.equal(in_the_wild(SOURCE[:7], seed=3).images, DATA.images[:7])
    index = torch.tensor([30, 2])
    alone = render(SOURCE, {name: values[index] for name, values in DATA.factors.items()}, index=index, seed=3)
    assert torch.equal(alone, DATA.images[index])


def test_a_hue_is_that_of_the_color_circle_and_the_ground_keeps_its_own():
    inside = covered(x=0.5, y=0.5, scale=0.8)
    settings = {"x": 0.5, "y": 0.5, "scale": 0.8}
    for hue, channel in ((0.0, 0), (1 / 3, 1), (2 / 3, 2)):
        image = painted(hue=hue, **settings)[:, :, 12:20, 12:20]
        assert (image.argmax(dim=1) == channel).all()
    assert torch.equal(painted(hue=0.0), painted(hue=1.0))
    ground = (painted(background=0.0, **settings) - painted(background=0.5, **settings)).abs().amax(dim=1) > 0
    assert not (ground & inside)[:, 12:20, 12:20].any()
    assert (ground | inside).all()


@pytest.mark.parametrize("name, axis", [("x", 2), ("y", 1)])
def test_place_runs_from_one_edge_to_the_other(name, axis):
    first, last = (covered(scale=0.6, **{name: place}).any(dim=3 - axis) for place in (0.0, 1.0))
    assert first[:, 0].all()
    assert not first[:, 18:].any()  # 0.6 * 28 pixels are 16.8
    assert torch.equal(first.flip(1), last)


def test_the_scale_is_the_side_in_units_of_seven_eighths_of_the_image():
    for scale in (0.6, 0.75, 1.0):
        area = covered(scale=scale, x=0.5, y=0.5).float().sum(dim=(1, 2)).sqrt()
        assert (area - 28 * scale).abs().max() <= 2  # pixels at the edge are covered in part


def test_a_mirrored_picture_is_the_mirror_image():
    settings = {"hue": 0.0, "x": 0.5, "y": 0.5, "scale": 1.0, "background": 0.5}
    factors = {name: torch.full_like(DATA.factors[name], value) for name, value in settings.items()}

    def strokes(flip: int) -> torch.Tensor:
        """Where a hue is seen, which no ground shows."""
        both = [
            render(
                SOURCE,
                DATA.factors | factors | {"hue": torch.full((40,), hue), "flip": torch.full((40,), flip)},
                seed=3,
            )
            for hue in (0.0, 0.5)
        ]
        return (both[0].float() - both[1].float()).abs().sum(dim=1)

    assert torch.allclose(strokes(1), strokes(0).flip(-1), atol=6)  # of 765: two roundings a channel


def test_place_and_colors_say_nothing_of_the_class():
    """A linear probe of the factors that were drawn is at chance."""
    data = in_the_wild(load_data("digits"))
    known = torch.stack([data.factors[name].float() for name in FACTORS], dim=1)
    probe = stk.linear_probe(known[:1000], data.labels[:1000], known[1000:], data.labels[1000:])
    assert probe.accuracy < probe.chance + 0.06  # four standard errors of 437 draws


def test_garments_are_the_shipped_part_where_the_whole_set_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_TOOLKIT_DATA", str(tmp_path))
    here = load_data("garments", limit=50)
    monkeypatch.setattr(sources, "_SYSTEM", tmp_path / "nowhere")
    shipped, test = load_data("garments"), load_data("garments", split="test")
    assert (len(shipped), len(test), shipped.name) == (10_000, 2_000, "garments")
    assert torch.equal(shipped[:50].images, here.images)  # the whole set begins with the shipped part
    assert shipped.labels.bincount().min() > 900
    assert not torch.equal(shipped[:5].factors["hue"], test[:5].factors["hue"])


def test_a_shipped_file_that_was_changed_is_refused(tmp_path, monkeypatch):
    for name in sources._DIGESTS:
        (tmp_path / name).write_bytes((sources._SHIPPED / name).read_bytes())
    with (tmp_path / "t10k-labels-idx1-ubyte.xz").open("r+b") as file:
        file.truncate(1000)
    monkeypatch.setattr(sources, "_SHIPPED", tmp_path)
    monkeypatch.setattr(sources, "_SYSTEM", tmp_path / "nowhere")
    monkeypatch.setenv("SSL_TOOLKIT_DATA", str(tmp_path / "empty"))
    with pytest.raises(DataError, match="came with the package"):
        load_data("garments", split="test")


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: in_the_wild(load_data("shapes", limit=2)), "3 channels"),
        (lambda: in_the_wild(SOURCE, size=4), "size is 4"),
        (lambda: render(SOURCE, {"hue": torch.zeros(40)}), "factors lack background, x"),
        (lambda: render(SOURCE, DATA.factors | {"x": torch.zeros(3)}), r"factors\['x'\] has shape \(3,\)"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
