"""AttackPanel: images changed by a few gray levels, and what encoders see of them."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import ipywidgets as w
import torch
from jaxtyping import UInt8
from torch import Tensor

from ssl_toolkit.data import Dataset, as_bytes, as_float
from ssl_toolkit.diffusion.edit import Rows, paint_rows
from ssl_toolkit.diffusion.monitor import PORTION
from ssl_toolkit.diffusion.rcdm import RCDM
from ssl_toolkit.encoders import Encoder, embed_steps
from ssl_toolkit.encoders.statistics import share_of_commonest, typical_distance
from ssl_toolkit.probes import Probe, attack, attack_curve
from ssl_toolkit.probes.adversarial import AttackResult, Point, Target
from ssl_toolkit.training import last_of
from ssl_toolkit.widgets import controls as ui
from ssl_toolkit.widgets.canvases.canvas import ImageGrid, class_name
from ssl_toolkit.widgets.canvases.chart import Chart
from ssl_toolkit.widgets.canvases.image_strip import image_strip
from ssl_toolkit.widgets.canvases.number import EXACT
from ssl_toolkit.widgets.figures.attacks import LOOKS, attack_figure, show_attacks
from ssl_toolkit.widgets.panel import Panel, check_index
from ssl_toolkit.widgets.pictures import Pixels, tile
from ssl_toolkit.widgets.player import Player

LEAD = "Noise too faint to see is added to an image. Watch which encoder says something else, and which still knows it."
METHODS = {"FGSM: one step": 1, "PGD": 0}
TARGETS: dict[str, Target] = {"its probe": "head", "its representation": "representation"}
PICKS, COLUMNS = 24, 4
REDRAW = 0.3  # seconds; the browser needs a core that the attacks need as well
STRENGTHS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)  # of the curve
MANY = 96  # images of the curve


class Outcome(NamedTuple):
    """What one encoder sees of the picked image before and after, and what was painted of either."""

    seen: AttackResult
    rows: Rows | None


class AttackPanel(Panel):
    """Attack an image through each encoder's own gradients: what its probe says then, and how far its h went.

    `probes` read `depth` of the encoders of the same names; `painters`, where there are some, are `RCDM`s of them, and
    paint what is known of the image before and after the attack, from the same noise. The curves are of the first
    `many` test images. `panel.pick(3)`, `panel.strength.value = 8`, `panel.method.value = "PGD"` and
    `panel.target.value = "its representation"` do what the controls do; `panel.play()` begins, `panel.wait()` returns
    what each encoder sees, and `panel.curves` are the points by encoder.

    >>> encoder, test = stk.zoo.load("shapes-simclr"), stk.load_data("shapes", split="test", limit=200)
    >>> h = stk.embed(encoder, test.images)
    >>> probe = stk.linear_probe(h[:100], test.labels[:100], h[100:], test.labels[100:])
    >>> panel = stk.AttackPanel({"SimCLR": encoder}, {"SimCLR": probe}, test)
    """

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        probes: Mapping[str, Probe],
        test: Dataset,
        *,
        painters: Mapping[str, RCDM] | None = None,
        depth: str = "representation",
        strength: float = 4.0,
        strengths: Sequence[float] = STRENGTHS,
        steps: int = 10,
        k: int = 4,
        many: int = MANY,
        seed: int = 0,
        name: str | None = None,
    ):
        if not 1 <= len(encoders) <= len(LOOKS) or set(encoders) != set(probes):
            raise ValueError(
                f"encoders has {', '.join(encoders) or 'nothing'} and probes {', '.join(probes) or 'nothing'}: "
                f"give one to {len(LOOKS)} encoders, and a probe of the same name for each."
            )
        if unknown := set(painters or {}) - set(encoders):
            raise ValueError(f"painters has {sorted(unknown)[0]!r}: there is no encoder of that name.")
        super().__init__("attack", "Attack an image", LEAD)
        self.encoders, self.probes, self.painters = dict(encoders), dict(probes), dict(painters or {})
        self.test, self.depth, self.strengths, self.k, self.many = test, depth, tuple(strengths), k, many
        self.units: dict[str, float] = {}  # by encoder: the distance of two images at random
        self.outcomes: dict[str, Outcome] = {}
        self.curves: dict[str, list[Point]] = {}
        self.picked = 0
        self._of: tuple[object, ...] = ()  # what the curves are of

        self._make_controls(strength, steps, seed)
        self.player: Player[int | None] = Player(
            self._records, lambda _: self._draw(), progress=lambda done: (done or 0, self._total()), unit="attack",
            redraw=REDRAW, history=0, name=name,
        )  # fmt: skip
        self.player.back.layout.display = self.player.speed.layout.display = "none"
        self.grid = ImageGrid(test.images[:PICKS], columns=COLUMNS, scale=max(1, 44 // test.images.shape[-1]))
        self.grid.captions = [test.classes[label] for label in test.labels[:PICKS].tolist()]
        self.grid.label, self.grid.selected, self.grid.largest = "images to attack", 0, 56
        self.grid.on_pick(lambda i: self._soon(lambda: self.pick(i)))
        self.html = w.HTML()
        self.html.add_class("ssl-attack-rows")
        self.figure = attack_figure()
        self.chart = Chart(self.figure, toolbar=False)
        seldom = ui.more(self.method, self.steps, self.seed)
        right = [ui.row(self.strength, self.target, seldom), self.player, self.html]
        self._place(ui.two_columns([w.HTML("Pick an image:"), self.grid], right, width="240px"), self.chart)
        ui.on_change(self._controls, self._on_control)
        self._on_control()

    def _make_controls(self, strength: float, steps: int, seed: int) -> None:
        make = ui.Controls("attack")
        tip = "Gray levels of 255 by which a pixel may change"
        self.strength = make.slider("Strength", strength, (0.0, 16.0, 0.5), tip, within=(0.0, 255.0), width="300px")
        tip = "One step along the sign of the gradient, or several that stay within the strength"
        self.method = make.dropdown("Method", list(METHODS), "PGD", tip)
        self.steps = make.int_box("Steps", steps, (1, EXACT), "Steps of PGD")
        self.target = make.dropdown("Against", list(TARGETS), "its probe", "What each encoder is misled by")
        self.seed = make.seed_box(seed, "Of random starts and samples")
        self._controls = [self.strength, self.method, self.steps, self.target, self.seed]

    # what a person may call --------------------------------------------------------------------------------------
    def pick(self, index: int) -> None:
        """Attack this test image."""
        check_index(index, self.test)
        self.picked, self.grid.selected = index, index if index < PICKS else -1
        self._on_control()

    def _looking_at(self) -> dict[str, Any]:
        return {"index": self.picked}

    def _look_at(self, view: Mapping[str, Any]) -> None:
        if "index" in view:
            self.pick(view["index"])

    def wait(self) -> dict[str, Outcome]:
        """Attack and paint to the end, raise what went wrong, and return what each encoder sees of the image."""
        super().wait()
        return self.outcomes

    # the run -----------------------------------------------------------------------------------------------------
    def _total(self) -> int:
        return len(self.encoders) * (1 + len(self.strengths))

    def _records(self) -> Iterator[int | None]:
        """The picked image first, then, where they are of another attack, the curves: how many attacks are done."""
        steps = METHODS[self.method.value] or self.steps.value
        settings: dict[str, Any] = {"target": TARGETS[self.target.value], "steps": steps, "seed": self.seed.value}
        settings["depth"] = self.depth
        self.outcomes, done = {}, 0
        for name, encoder in self.encoders.items():
            if name not in self.units:
                embedded = yield from last_of(
                    embed_steps(encoder, self.test.images, depth=self.depth, batch_size=PORTION)
                )
                h = embedded.features[self.depth]
                self.units[name] = typical_distance(h)
            one = slice(self.picked, self.picked + 1)
            for seen in attack(
                encoder, self.probes[name], self.test.images[one], self.test.labels[one],
                strength=self.strength.value, **settings,
            ):  # fmt: skip
                if seen is not None:
                    self.outcomes[name] = Outcome(seen, None)
                yield None
            if name in self.painters:
                seen = self.outcomes[name].seen
                h, painter = torch.cat([seen.h, seen.attacked]), self.painters[name]
                for rows in paint_rows(encoder, painter, h, depth=self.depth, k=self.k, seed=self.seed.value):
                    self.outcomes[name] = Outcome(seen, rows)
                    yield done
            done += 1
            yield done
        if self._of != (of := tuple(settings.values())):
            self.curves, self._of = {name: [] for name in self.encoders}, of
        some, labels = self.test.images[: self.many], self.test.labels[: self.many]
        for name, encoder in self.encoders.items():
            done += len(self.curves[name])
            left = self.strengths[len(self.curves[name]) :]
            for point in attack_curve(encoder, self.probes[name], some, labels, strengths=left, **settings):
                if point is not None:
                    self.curves[name].append(point._replace(moved=point.moved / self.units[name]))
                    done += 1
                yield None if point is None else done
        yield done

    # what is seen ------------------------------------------------------------------------------------------------
    def _draw(self) -> None:
        chance = share_of_commonest(self.test.labels)
        truth = escape(self.test.classes[int(self.test.labels[self.picked])])
        rows = [
            self._row(name, outcome, color)
            for (name, outcome), (color, _) in zip(self.outcomes.items(), LOOKS, strict=False)
        ]
        below = "Each encoder is attacked through its own gradients. In the noise, gray is no change. "
        below += "Under each sample: how far its features are from those it was painted from. " if self.painters else ""
        below += f"Chance is {chance:.0%}. Distances are in units of that between two images at random."
        top = ui.paragraph(self._headline(truth), "ssl-headline")
        self.html.value = top + "".join(rows) + ui.paragraph(below)
        show_attacks(self.figure, self.curves, chance=chance, strength=self.strength.value)
        self.chart.layout.display = "" if any(self.curves.values()) else "none"
        self.chart.draw()

    def _headline(self, truth: str) -> str:
        """One sentence: what each encoder says of the attacked image."""
        if not self.outcomes:
            return f"It is: <b>{truth}</b>."
        says = [
            f"{escape(name)} {'still says' if seen.before.argmax() == seen.after.argmax() else 'now says'} "
            f"<b>{escape(class_name(self.test, int(seen.after.argmax())))}</b>"
            for name, (seen, _) in self.outcomes.items()
        ]
        return f"It is: <b>{truth}</b>. With noise of {self.strength.value:g} gray levels, {', '.join(says)}."

    def _row(self, name: str, outcome: Outcome, color: str) -> str:
        """An encoder's rows: the image, then the attacked one and the difference, each with what is painted of it."""
        seen, unit = outcome.seen, self.units[name]
        says = " → ".join(f"<b>{escape(self._says(p[0]))}</b>" for p in (seen.before, seen.after))
        title = f"{ui.word(escape(name), color)} says {says}; h moved by {seen.moved.item() / unit:.2f}"
        pictures, gain = self._pictures(outcome), f"noise × {self._gain():.0f}"
        if outcome.rows is None:
            return image_strip(pictures, ["as it is", "attacked", gain], title=title)
        rows = []
        for i, what in enumerate(("as it is", "attacked")):
            distances = [] if outcome.rows.distance is None else outcome.rows.distance[i].tolist()
            under = [what, *([f"{d / unit:.2f}" for d in distances] or [""] * self.k)]
            images = torch.cat([pictures[[i]], outcome.rows.images[i], pictures[2:][:i]])
            rows.append(
                image_strip(images, [*under, gain][: len(images)], title="" if i else title, columns=self.k + 2)
            )
        return "".join(rows)

    def _says(self, p: Tensor) -> str:
        best = int(p.argmax())
        return f"{class_name(self.test, best)} {p[best]:.0%}"

    def _pictures(self, outcome: Outcome) -> UInt8[Tensor, "3 c h w"]:
        """The image, the attacked one, and what differs, so amplified that the strength is black or white."""
        before, after = as_float(self.test.images[[self.picked]]).cpu(), outcome.seen.images.cpu()
        return as_bytes(torch.cat([before, after, 0.5 + self._gain() * (after - before)]))

    def _gain(self) -> float:
        return 127.5 / max(self.strength.value, 0.5)

    def _before_run(self) -> None:
        """Show the image as it is."""
        image, label = self.test.images[[self.picked]], self.test.classes[int(self.test.labels[self.picked])]
        self.html.value = image_strip(image, [label], title="Press Play to attack it.")
        self.chart.layout.display = "none"  # no empty axes

    def _on_control(self) -> None:
        self.steps.disabled = METHODS[self.method.value] == 1
        self.player.restart(self._before_run)

    def picture(self) -> Pixels:
        """The image, the attacked one and the difference for each encoder, or the images to choose from."""
        pictures = [self._pictures(outcome) for outcome in self.outcomes.values()]
        return tile(torch.cat(pictures), 3, 2) if pictures else tile(self.grid.images, COLUMNS, 2)
