"""ChainPanel: how images come out of noise, step by step, with two samplers or two denoisers on the same noise."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from html import escape
from typing import Any

import ipywidgets as w
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from ssl_toolkit.data import as_bytes, rng
from ssl_toolkit.diffusion import (
    Chain,
    Denoise,
    Denoised,
    Frame,
    Schedule,
    ddim,
    ddpm,
    dpmpp_2m,
    euler,
    heun,
    side_by_side,
)
from ssl_toolkit.diffusion.metrics import nearest
from ssl_toolkit.widgets import controls as ui
from ssl_toolkit.widgets.canvases.chain import ChainCanvas
from ssl_toolkit.widgets.canvases.chart import Chart
from ssl_toolkit.widgets.canvases.number import EXACT
from ssl_toolkit.widgets.figures.chains import chain_figure, show_chains, show_cursor
from ssl_toolkit.widgets.panel import Panel
from ssl_toolkit.widgets.pictures import as_pixels
from ssl_toolkit.widgets.player import Player
from ssl_toolkit.widgets.records import Row, flat

SAMPLERS: dict[str, Callable[..., Iterator[Denoised]]] = {
    "ddpm": ddpm, "ddim": ddim, "euler": euler, "heun": heun, "dpmpp_2m": dpmpp_2m,
}  # fmt: skip
RANDOM = ("ddpm", "ddim")  # draw noise on the way, and take a seed for it
NONE = "none"
FRAMES = 100  # of longer chains so many travel to the browser
LEAD = "Both chains start at the same noise. Watch when each guess of the image stops changing."
IDLE = "From pure noise a denoiser guesses a blur. Press Play to see what comes out of it, step by step."


class ChainPanel(Panel):
    """Two chains A and B from the same noise, played and scrubbed in the browser: their states x_t and guesses x0.

    `denoise` is any denoise(x, t) -> x0 on `schedule`, or several by name; `shape` is that of one image, (c, h, w).
    `bank`, the images of a `Dataset`, adds the one that is nearest to each guess. All controls are attributes:
    `panel.sampler["B"].value = "heun"`, `panel.eta["A"]`, `panel.denoiser["A"]`, `panel.steps`, `panel.seed`,
    `panel.clip`; a change makes the chains anew once there are some. `panel.play()` begins, `panel.wait()` runs to the
    end and returns the frames.

    >>> schedule = stk.diffusion.flow_schedule()
    >>> images = stk.load_data("digits", limit=50).images / 127.5 - 1
    >>> denoise = stk.diffusion.exact_denoiser(images, schedule)
    >>> panel = stk.ChainPanel(denoise, (1, 8, 8), schedule=schedule, steps=3)
    >>> [frame.i for frame in panel.wait()]
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        denoise: Denoise | Mapping[str, Denoise],
        shape: tuple[int, int, int],
        *,
        schedule: Schedule,
        samplers: tuple[str, str] = ("ddim", "dpmpp_2m"),
        steps: int = 20,
        clip: bool = True,
        seed: int = 0,
        n: int = 8,
        bank: Shaped[Tensor, "m c h w"] | None = None,
        name: str | None = None,
    ):
        self.denoise = dict(denoise) if isinstance(denoise, Mapping) else {"the denoiser": denoise}
        if not self.denoise:
            raise ValueError("denoise is empty: give at least one denoise(x, t) -> x0.")
        if wrong := [s for s in samplers if s not in (*SAMPLERS, NONE)]:
            raise ValueError(f"samplers holds {wrong[0]!r}: it may hold {', '.join([*SAMPLERS, NONE])}.")
        if shape[0] not in (1, 3):
            raise ValueError(f"shape is {shape}: images of 1 or 3 channels can be shown.")
        super().__init__("chains", "Images out of noise", LEAD)
        self.shape, self.schedule, self.n = shape, schedule, n
        self._bank = None if bank is None else as_pixels(bank).float()
        self.frames: list[Frame] = []
        self._shown: list[Frame] = []  # those that the canvas has

        self._make_controls(samplers, steps, seed, clip)
        self.player: Player[Frame] = Player(
            self._records, self._draw, progress=lambda frame: (frame.i, self.steps.value), history=0, name=name
        )
        self.player.back.layout.display = "none"  # the canvas is played and scrubbed by itself
        self.player.speed.value = 10.0  # slow enough to be seen
        self.canvas = ChainCanvas(columns=n, scale=max(1, round(80 / shape[2])), label="chains")
        self.figure = chain_figure()
        self.chart = Chart(self.figure, toolbar=False)
        self.summary = w.HTML()
        lines = {key: [self.sampler[key]] for key in "AB"}
        if len(self.denoise) > 1:
            for key in "AB":
                self.sampler[key].description = "by"  # one letter is enough before the two
                lines[key].insert(0, self.denoiser[key])
        for key in "AB":
            self.eta[key].description = f"eta {key}"
        body = ui.two_columns(
            [self.canvas], [self.chart, self.summary], width="620px", least="280px", share=2, most="860px"
        )
        seldom = ui.more(*self.eta.values(), self.seed, self.clip)
        controls = ui.row(*lines["A"], *lines["B"], self.steps, seldom)
        self._place(controls, self.player, body, pictured=self.canvas)
        self._before_run()
        of_chains = [*self.denoiser.values(), *self.sampler.values(), *self.eta.values()]
        ui.on_change((*of_chains, self.steps, self.seed, self.clip), self._on_control)
        self.canvas.observe(lambda _: self._soon(self._follow), "value")

    def _make_controls(self, samplers: tuple[str, str], steps: int, seed: int, clip: bool) -> None:
        make = ui.Controls("chains")
        names, same = list(self.denoise), ", which starts at the same noise"
        self.denoiser, self.sampler, self.eta = {}, {}, {}
        for key, which, denoiser, offered, sampler in (
            ("A", "chain A", names[0], [*SAMPLERS], samplers[0]),
            ("B", f"chain B{same}", names[-1], [*SAMPLERS, NONE], samplers[1]),
        ):
            tip = f"The denoiser of {which}"
            self.denoiser[key] = make.dropdown(key, names, denoiser, tip, name=f"denoiser {key}")
            self.sampler[key] = make.dropdown(key, offered, sampler, f"The sampler of {which}", name=f"sampler {key}")
            tip = "Of DDIM: 0 adds no noise on the way, 1 as much as DDPM"
            self.eta[key] = make.slider("eta", 0.0, (0.0, 1.0, 0.1), tip, name=f"eta {key}", width="190px")
        self.steps = make.int_box("Steps", steps, (1, EXACT), "Steps of both chains", width="120px")
        self.seed = make.seed_box(seed, "Of the noise both start at", width="120px")
        self.clip = make.checkbox("Clip the guess", clip, "Keep each guess x0 within the range that images have")

    # what a person may call --------------------------------------------------------------------------------------
    def wait(self) -> list[Frame]:
        """Run to the end, raise what went wrong, and return the frames of both chains."""
        super().wait()
        return self.frames

    def records(self) -> list[Row]:
        """Of each step its time, its ratio of signal to noise, and the network calls until then."""
        return [flat(frame) for frame in self.frames]

    def page_cursors(self) -> list[tuple[ChainCanvas, Chart, list[int]]]:
        """Where the line in the chart is at each frame of the canvas: for pages on which no kernel moves it."""
        return [(self.canvas, self.chart, [frame.i for frame in self._shown])]

    # the run -----------------------------------------------------------------------------------------------------
    def _chains(self) -> dict[str, Chain]:
        """What the controls say."""
        chains = {}
        for key, control in self.sampler.items():
            if (name := control.value) == NONE:
                continue
            settings: dict[str, Any] = {"seed": self.seed.value} if name in RANDOM else {}
            if name == "ddim":
                settings["eta"] = self.eta[key].value
            chains[key] = Chain(self.denoise[self.denoiser[key].value], partial(SAMPLERS[name], **settings))
        return chains

    def _noise(self) -> Float[Tensor, "n c h w"]:
        return torch.randn(self.n, *self.shape, generator=rng(self.seed.value, 0, "noise"))

    def _frames(self, steps: int) -> Iterator[Frame]:
        clip = 1.0 if self.clip.value else None
        return side_by_side(self._chains(), self._noise(), schedule=self.schedule, steps=steps, clip=clip)

    def _records(self) -> Iterator[Frame]:
        self.frames = []
        for frame in self._frames(self.steps.value):
            self.frames.append(frame)
            yield frame

    # what is seen ------------------------------------------------------------------------------------------------
    def _draw(self, frame: Frame) -> None:
        """The frame alone while the chains are made, which is quick to send; then all up to it."""
        made = self.frames[: frame.i + 1]
        running = self.player.state == "running"
        self._shown = made[-1:] if running else [*made[: -1 : -(-len(made) // FRAMES)], made[-1]]
        captions = [self._caption(frame) for frame in self._shown]
        self.canvas.show(self._rows(self._shown), captions=captions, value=len(self._shown) - 1)
        if not running:
            settled = {key: [_gray_levels(f.x0[key], frame.x0[key]) for f in made] for key in frame.x0}
            show_chains(self.figure, [f.snr for f in made], settled)
            self.chart.layout.display = ""
            self.chart.draw()
            self.summary.value = self._told(frame)
        self._follow()

    def _rows(self, frames: list[Frame]) -> dict[str, UInt8[Tensor, "f n c h w"]]:
        rows = {}
        for key in frames[0].x:
            guesses = torch.stack([_as_pixels(frame.x0[key]) for frame in frames])
            rows[f"{key}: x at t"] = torch.stack([_as_pixels(frame.x[key], self._spread(frame.t)) for frame in frames])
            rows[f"{key}: guess of x0"] = guesses
            if self._bank is not None:
                index = nearest(guesses.flatten(0, 1), self._bank).index
                rows[f"{key}: nearest image"] = self._bank[index].view_as(guesses).byte()
        return rows

    def _spread(self, t: float) -> float:
        """What x is divided by to be seen: 1 but for the schedule of EDM, whose noise has deviations up to 80."""
        return max(1.0, float(self.schedule.sigma(torch.tensor(t))))

    def _caption(self, frame: Frame) -> str:
        calls = ", ".join(f"{key} {count}" for key, count in frame.calls.items())
        time = f"t {frame.t:.4g}" if frame.snr < torch.inf else "the image"
        ratio = "∞" if frame.snr == torch.inf else f"{frame.snr:.2g}"
        return f"step {frame.i} of {self.steps.value} · {time} · signal / noise {ratio} · network calls {calls}"

    def _told(self, frame: Frame) -> str:
        """In words, how the chains differ and how far their images are from those of the bank."""
        lines = []
        for key, x in frame.x0.items():
            by = f"{self.denoiser[key].value} by " if len(self.denoise) > 1 else ""
            told = f"<b>{key}</b> {escape(by + self.sampler[key].value)}: {frame.calls[key]} network calls"
            if self._bank is not None:
                found = self._bank[nearest(_as_pixels(x), self._bank).index]
                off = _gray_levels(x, found / 127.5 - 1)
                told += f", {off:.0f} of 255 gray levels from the nearest image"
            lines.append(told)
        if len(frame.x0) == 2:
            apart = _gray_levels(frame.x0["A"], frame.x0["B"])
            lines.append(f"A and B are {apart:.0f} gray levels apart.")
        return ui.paragraph("<br>".join(lines))

    def _follow(self) -> None:
        """The cursor goes where the canvas is."""
        if self.canvas.value < len(self._shown):
            show_cursor(self.figure, self._shown[self.canvas.value].i)
            self.chart.draw()

    def _before_run(self) -> None:
        """Show what both chains start at, and what the denoiser of A guesses from it."""
        self.frames, self._shown = [], []
        self._offer_settings()
        rows = {"noise": self._noise(), "first guess": next(self._frames(1)).x0["A"]}
        self.canvas.show({name: _as_pixels(x)[None] for name, x in rows.items()}, captions=[IDLE])
        self.chart.layout.display = "none"  # no empty axes
        self.summary.value = ""

    def _offer_settings(self) -> None:
        for key, control in self.sampler.items():
            self.eta[key].disabled = control.value != "ddim"
            self.denoiser[key].disabled = control.value == NONE

    def _on_control(self) -> None:
        self._offer_settings()
        self.player.restart(self._before_run)


def _as_pixels(x: Float[Tensor, "n c h w"], spread: float = 1.0) -> UInt8[Tensor, "n c h w"]:
    """A state in [-1, 1], or beyond, as pixels."""
    return as_bytes((x / spread + 1) / 2)


def _gray_levels(x: Float[Tensor, "n *x"], y: Float[Tensor, "n *x"]) -> float:
    """How far images in [-1, 1] are from others, in gray levels: the median of their root mean squares over pixels."""
    return 127.5 * (x - y).square().flatten(1).mean(dim=1).sqrt().median().item()
