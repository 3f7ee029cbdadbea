"""Emoji: each is what its name says, no test image is in training, and any color can lie behind."""

import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from ssl_toolkit.data import DataError, Dataset, alpha_composite, emoji, load_data, on_colored_grounds, read_emoji
from ssl_toolkit.data.emoji import GENDERS, GROUPS, SKIN_TONES, SUBGROUPS, ground_colors, on_white

TEST = read_emoji("test")
FEW = TEST[:30]


@pytest.fixture(scope="module")
def train() -> Dataset:
    return read_emoji()


def said_of(data: Dataset, name: str) -> tuple[str, str, str, str]:
    """The group, subgroup, skin tone and gender of the emoji with this name, in words."""
    i = data.names.index(name)
    subgroup, tone, gender = (int(data.factors[factor][i]) for factor in ("subgroup", "skin tone", "gender"))
    return data.classes[data.labels[i]], SUBGROUPS[subgroup], SKIN_TONES[tone], GENDERS[gender]


def base(name: str) -> str:
    """The name without the skin tone: "man: dark skin tone, bald" is a "man: bald"."""
    return re.sub(r": [\w-]+ skin tone$", "", re.sub(r"(?<=: )[\w-]+ skin tone, ", "", name))


def test_both_splits_hold_all_that_the_documentation_says(train):
    assert (len(train), len(TEST)) == (2_805, 576)
    assert train.classes == GROUPS
    assert (len(GROUPS), len(SUBGROUPS), len(set(SUBGROUPS))) == (9, 99, 99)
    assert len(train.factors["subgroup"].unique()) == 99
    assert train.images.shape[1:] == TEST.images.shape[1:] == (4, 64, 64)
    for data in (train, TEST):
        assert len(set(data.names)) == len(data) == len(data.labels)
        assert {values.dtype for values in data.factors.values()} == {torch.int64}
        assert data.factors["skin tone"].unique().tolist() == [0, 1, 2, 3, 4, 5]


def test_an_emoji_is_in_one_split_with_all_its_skin_tones_and_no_image_is_in_both(train):
    here, there = ({base(name) for name in data.names} for data in (train, TEST))
    assert not here & there
    assert abs(len(there) / len(here | there) - 1 / 6) < 0.01
    images = [image.numpy().tobytes() for image in torch.cat([train.images, TEST.images])]
    assert len(set(images)) == len(images)


@pytest.mark.parametrize(
    "name, said",
    [
        ("grinning face", ("Smileys & Emotion", "face-smiling", "none", "none")),
        ("red apple", ("Food & Drink", "food-fruit", "none", "none")),
        ("elephant", ("Animals & Nature", "animal-mammal", "none", "none")),
        ("rainbow", ("Travel & Places", "sky & weather", "none", "none")),
        ("flag: Norway", ("Flags", "country-flag", "none", "none")),
        ("woman’s hat", ("Objects", "clothing", "none", "none")),
        ("thumbs up: medium-dark skin tone", ("People & Body", "hand-fingers-closed", "medium-dark", "none")),
        ("woman: dark skin tone, red hair", ("People & Body", "person", "dark", "woman")),
        ("man astronaut: light skin tone", ("People & Body", "person-role", "light", "man")),
        ("astronaut: medium skin tone", ("People & Body", "person-role", "medium", "none")),
        ("mermaid", ("People & Body", "person-fantasy", "none", "woman")),
        ("woman and man holding hands", ("People & Body", "family", "none", "none")),
    ],
)
def test_labels_and_factors_are_what_the_name_says(train, name, said):
    assert said_of(train if name in train.names else TEST, name) == said


def test_skin_tones_are_those_of_the_names(train):
    for name, tone in zip(train.names, train.factors["skin tone"].tolist(), strict=True):
        found = re.findall(r"([\w-]+) skin tone", name)
        assert found == ([SKIN_TONES[tone]] if tone else [])


def test_each_emoji_is_whole_and_there(train):
    for data in (train, TEST):
        opaque = data.images[:, 3] > 127
        assert opaque.flatten(1).float().mean(dim=1).min() > 0.02
        border = torch.ones(64, 64, dtype=torch.bool)
        border[1:-1, 1:-1] = False
        assert not (data.images[:, 3] * border).any()
        assert (data.images[:, :3] * (data.images[:, 3:] == 0)).max() == 0  # no color where nothing is seen


def test_an_apple_is_red_and_lies_in_front_of_white(train):
    data = train if "red apple" in train.names else TEST
    image = on_white(data[[data.names.index("red apple")]]).images[0].float()
    red, green, blue = image[:, 26:40, 26:40].mean(dim=(1, 2))
    assert red > 2 * max(green, blue)
    assert (image[:, 0, :] == 255).all()


def test_the_first_ones_are_the_same_however_many_follow_and_of_all_groups():
    part = load_data("emoji", split="test", limit=60)
    assert torch.equal(part.images, on_white(TEST).images[:60])
    assert part.names == TEST.names[:60]
    assert torch.equal(part.factors["subgroup"], TEST.factors["subgroup"][:60])
    assert len(part.labels.unique()) == 9
    assert repr(part) == (
        "Dataset(emoji: 60 images of 3 x 64 x 64, 9 classes, factors subgroup skin tone gender, with names)"
    )


def test_a_color_shows_as_far_as_a_picture_is_transparent():
    pictures = torch.tensor([[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]], dtype=torch.uint8)
    colors = torch.tensor([[0.0, 0.0, 1.0]]).expand(3, 3)
    composed = alpha_composite(pictures[:, :, None, None], colors)
    assert composed.flatten(1).tolist() == [[200, 100, 0], [0, 0, 255], [40, 20, 204]]  # 51 is a fifth of 255


def test_edges_keep_their_color_when_the_size_changes():
    """A white disk on transparent black stays white, and on white it cannot be seen."""
    x = torch.linspace(-1, 1, 64)
    disk = (x[:, None] ** 2 + x**2 < 0.5).byte() * 255
    picture = disk.expand(1, 4, 64, 64)
    for size in (24, 32, 100):
        small = emoji._resized(picture, size)
        assert small[0, :3, small[0, 3] > 0].min() >= 254
        assert alpha_composite(small, torch.ones(1, 3)).min() >= 254
        alpha = F.interpolate(picture[:, 3:].float(), (size, size), mode="bilinear", antialias=True)
        assert (small[:, 3:] - alpha).abs().max() <= 0.5


def test_a_size_is_the_side_in_pixels():
    assert load_data("emoji", split="test", size=20, limit=3).images.shape == (3, 3, 20, 20)
    assert torch.equal(emoji._resized(FEW.images, 64), FEW.images)


def test_a_ground_is_a_function_of_seed_and_index_and_its_hue_a_factor():
    data = on_colored_grounds(FEW, seed=3)
    assert torch.equal(on_colored_grounds(FEW[:7], seed=3).images, data.images[:7])
    assert not torch.equal(on_colored_grounds(FEW, seed=4).images, data.images)
    assert torch.equal(data.factors["gender"], FEW.factors["gender"])
    assert "background" not in FEW.factors
    index = torch.tensor([20, 2])
    colors = ground_colors(data.factors["background"][index], index=index, seed=3)
    assert torch.equal(alpha_composite(FEW.images[index], colors), data.images[index])
    corners = data.images[:, :, 0, 0] / 255
    assert torch.allclose(corners, ground_colors(data.factors["background"], seed=3), atol=0.5 / 255 + 1e-6)
    for hue, channel in ((0.0, 0), (1 / 3, 1), (2 / 3, 2)):
        assert (ground_colors(torch.full((30,), hue)).argmax(dim=1) == channel).all()


def test_names_go_with_their_images():
    data = replace(FEW, names=tuple(map(str, range(30))))
    mask = torch.arange(30) % 7 == 3
    chosen = [(slice(2, 5), "2 3 4"), ([9, 0], "9 0"), (torch.tensor([1, 1]), "1 1"), (mask, "3 10 17 24"), ([], "")]
    for index, names in chosen:
        assert " ".join(data[index].names) == names
    assert data.to("meta").names == data.names
    assert load_data("shapes", limit=2)[:1].names == ()


@pytest.mark.parametrize("harm", ["changed", "cut", "gone"])
def test_a_file_that_is_not_the_one_that_was_shipped_is_refused(tmp_path, monkeypatch, harm):
    content = bytearray(emoji.FILE.read_bytes())
    content[1000] ^= 1
    if harm != "gone":
        (tmp_path / "emoji.zip").write_bytes(content if harm == "changed" else content[:-1])
    monkeypatch.setattr(emoji, "FILE", tmp_path / "emoji.zip")
    with pytest.raises(DataError, match=r"emoji\.zip is not the file that came with the package: install it anew\."):
        load_data("emoji")


def test_the_license_is_beside_the_file():
    words = (emoji.FILE.parent / "LICENSE").read_text(encoding="utf-8")
    assert all(word in words for word in ("Apache License, Version 2.0", "SIL Open Font License 1.1", "Unicode, Inc."))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: read_emoji("validation"), "split is 'validation'"),
        (lambda: on_colored_grounds(on_white(FEW)), "pictures have 3 channels"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
