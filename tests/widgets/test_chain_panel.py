"""ChainPanel as data, without a browser."""

import asyncio
import base64

import pytest
import torch

from ssl_toolkit.data import load_data, rng
from ssl_toolkit.diffusion import ddim, edm_schedule, exact_denoiser, flow_schedule, linear_schedule
from ssl_toolkit.widgets.panels.chain import FRAMES, ChainPanel

DATA = load_data("digits", limit=40)
FLOW = flow_schedule()
SHAPE = tuple(DATA.images.shape[1:])


def exact(schedule=FLOW):
    return exact_denoiser(DATA.images / 127.5 - 1, schedule)


def panel_of(**settings):
    return ChainPanel(exact(), SHAPE, schedule=FLOW, **{"steps": 8, "n": 3, **settings})


def pixels(panel):
    shape = panel.canvas.shape
    chains = torch.frombuffer(bytearray(panel.canvas.pixels), dtype=torch.uint8).view(shape)
    return dict(zip(panel.canvas.names, chains, strict=True))


def test_the_chain_of_the_panel_is_the_chain_of_the_loop():
    panel = panel_of(seed=5)
    frames = panel.wait()
    noise = torch.randn(3, *SHAPE, generator=rng(5, 0, "noise"))
    *_, last = ddim(exact(), noise, schedule=FLOW, timesteps=FLOW.timesteps(8), clip=1.0)
    assert torch.equal(frames[-1].x["A"], last.x)
    assert panel.player.state == "done"
    assert "step 8 of 8" in panel.player.status.value


def test_states_and_guesses_travel_once_with_words_for_each_step():
    panel = panel_of(samplers=("euler", "heun"), bank=DATA.images)
    panel.wait()
    rows = pixels(panel)
    assert list(rows) == [f"{k}: {what}" for k in "AB" for what in ("x at t", "guess of x0", "nearest image")]
    assert all(row.shape == (9, 3, *SHAPE) for row in rows.values())
    assert torch.equal(rows["A: x at t"][-1], rows["A: guess of x0"][-1])
    assert len(panel.canvas.captions) == 9
    assert panel.canvas.captions[0] == "step 0 of 8 · t 1 · signal / noise 0 · network calls A 0, B 0"
    assert panel.canvas.captions[4] == "step 4 of 8 · t 0.5 · signal / noise 1 · network calls A 4, B 8"
    assert panel.canvas.captions[-1] == "step 8 of 8 · the image · signal / noise ∞ · network calls A 8, B 15"
    assert panel.canvas.value == 8


def test_a_perfect_denoiser_makes_its_own_images_and_the_panel_says_so():
    panel = panel_of(bank=DATA.images, steps=60)
    panel.wait()
    rows = pixels(panel)
    assert (rows["A: guess of x0"][-1].int() - rows["A: nearest image"][-1].int()).abs().max() <= 1
    assert "60 network calls, 0 of 255 gray levels from the nearest image" in panel.summary.value


def test_equal_chains_are_no_gray_level_apart_and_one_may_be_left_out():
    panel = panel_of(samplers=("ddim", "ddim"))
    panel.wait()
    assert "A and B are 0 gray levels apart" in panel.summary.value
    panel.eta["B"].value = 1.0
    assert [f.calls["B"] for f in panel.wait()][-1] == 8
    assert "A and B are 0 gray" not in panel.summary.value
    panel.sampler["B"].value = "none"
    panel.wait()
    assert panel.canvas.names == ["A: x at t", "A: guess of x0"]
    assert panel.eta["B"].disabled


def test_two_denoisers_are_compared_on_the_same_noise():
    blank = {"blank": lambda x, t: torch.zeros_like(x), "exact": exact()}
    panel = ChainPanel(blank, SHAPE, schedule=FLOW, steps=4, n=2, samplers=("euler", "euler"))
    frames = panel.wait()
    assert (panel.denoiser["A"].value, panel.denoiser["B"].value) == ("blank", "exact")
    assert torch.equal(frames[0].x["A"], frames[0].x["B"])
    assert not frames[-1].x["A"].any()
    assert frames[-1].x["B"].any()


def test_the_cursor_follows_the_canvas():
    panel = panel_of()
    panel.wait()
    assert panel.figure.layout.shapes[0].x0 == 8
    panel.canvas.value = 3
    assert panel.figure.layout.shapes[0].x0 == 3
    snr = panel.figure.data[0]
    assert snr.y[4] == pytest.approx(1)
    assert (snr.y[0], snr.y[8]) == (None, None)  # pure noise and the image, which a logarithm cannot show
    assert [trace.name for trace in panel.figure.data[1:]] == ["A", "B"]
    assert panel.figure.data[1].y[-1] == 0


def test_one_step_shows_what_there_is_so_far():
    panel = panel_of()
    assert panel.canvas.names == ["noise", "first guess"]
    for _ in range(3):
        panel.player.step()
    assert panel.player.state == "paused"
    assert panel.canvas.shape[1] == 3
    assert panel.canvas.captions[-1].startswith("step 2 of 8")
    panel.player.reset()
    assert panel.canvas.names == ["noise", "first guess"]


def test_a_control_makes_the_chains_anew_once_there_are_some():
    panel = panel_of()
    before = panel.canvas.pixels
    panel.seed.value = 1
    assert panel.player.state == "idle"
    assert panel.canvas.pixels != before
    panel.wait()
    panel.steps.value = 5
    assert panel.player.state == "running"
    assert len(panel.wait()) == 6


def test_of_a_long_chain_not_every_step_travels():
    panel = panel_of(steps=250, n=1, samplers=("ddim", "none"))
    assert len(panel.wait()) == 251
    assert FRAMES // 2 < panel.canvas.shape[1] <= FRAMES + 1
    assert panel.canvas.captions[-1].startswith("step 250 of 250")
    panel.canvas.value = 10
    assert panel.figure.layout.shapes[0].x0 == 30


def test_noise_of_any_size_is_shown_as_noise():
    schedule = edm_schedule()
    panel = ChainPanel(exact(schedule), SHAPE, schedule=schedule, steps=5, n=3)
    panel.wait()
    x = pixels(panel)["A: x at t"][0].float()
    assert 20 < x.std() < 110  # and not black and white


def test_what_goes_wrong_is_said_and_the_panel_lives_on():
    discrete = linear_schedule(20)
    panel = ChainPanel(exact(discrete), SHAPE, schedule=discrete, steps=21, n=2)
    with pytest.raises(ValueError, match="1 to 20"):
        panel.wait()
    assert "failed" in panel.player.status.value
    panel.steps.value = 4
    assert len(panel.wait()) == 5


def test_what_cannot_be_is_said_at_once():
    with pytest.raises(ValueError, match="samplers holds 'rk45'"):
        panel_of(samplers=("rk45", "ddim"))
    with pytest.raises(ValueError, match="1 or 3 channels"):
        ChainPanel(exact(), (2, 8, 8), schedule=FLOW)
    with pytest.raises(ValueError, match="denoise is empty"):
        ChainPanel({}, SHAPE, schedule=FLOW)


def test_in_a_running_loop_other_work_goes_on_between_steps():
    async def session():
        panel = panel_of(steps=10)
        panel.player.speed.value = 30.0  # a second: at full speed it might be done at once
        panel.play()
        turns = 0
        while panel.player.state == "running":
            turns += 1
            await asyncio.sleep(0.005)
        panel.sampler["A"].value = "heun"
        while panel.player.state == "running":
            await asyncio.sleep(0.005)
        return turns, panel

    turns, panel = asyncio.run(session())
    assert turns > 1
    assert panel.frames[-1].calls["A"] == 19


def test_a_saved_notebook_shows_the_images():
    panel = panel_of()
    panel.wait()
    bundle, _ = panel._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
