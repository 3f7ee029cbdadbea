"""The script of the map on a page of its own, without a kernel: with a graphics card and without one."""

import base64
import json

import labdriver
import numpy as np
import pytest
import torch

from ssl_toolkit.data import rng
from ssl_toolkit.widgets.canvases.scatter import Scatter, color_by

pytestmark = pytest.mark.browser

# the values of a widget, and nothing behind them
MODEL = """
const values = {}, on = {};
for (const [name, value] of Object.entries(RAW))
  values[name] = value && value.bytes !== undefined
    ? new DataView(Uint8Array.from(atob(value.bytes), (c) => c.charCodeAt(0)).buffer) : value;
window.sent = [];
window.model = {
  get: (name) => values[name], save_changes() {}, send: (message) => window.sent.push(message),
  set: (name, value) => { values[name] = value; (on['change:' + name] || []).forEach((f) => f()); },
  on: (name, action) => (on[name] = on[name] || []).push(action),
};
"""
# a page on which WebGL is not said to be software, one on which it is refused, and one that a context was lost on
CARD = """const ask = WebGL2RenderingContext.prototype.getExtension;
WebGL2RenderingContext.prototype.getExtension = function (name) {
  return name === 'WEBGL_debug_renderer_info' ? null : ask.call(this, name); };"""
REFUSED = """const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
  return kind === 'webgl2' ? null : get.call(this, kind, ...more); };"""
# mean color of blocks of ten pixels
BLOCKS = """() => {
  const d = document.querySelector('.ssl-stack canvas').getContext('2d').getImageData(0, 0, 440, 440).data;
  const out = new Array(44 * 44 * 4).fill(0);
  for (let i = 0; i < 440 * 440; i++) for (let k = 0; k < 4; k++) {
    const block = 44 * Math.floor(i / 4400) + Math.floor((i % 440) / 10);
    out[4 * block + k] += d[4 * i + k] * (k < 3 ? d[4 * i + 3] / 255 : 1) / 100;
  }
  return out; }"""
FRAMES = "() => Number(document.querySelector('.ssl-scatter').dataset.frames)"


@pytest.fixture
def scatter():
    scatter = Scatter()
    scatter.show(torch.randn(2000, 2, generator=rng(0)))
    words = [f"kind {i}" for i in range(20)]
    scatter.paint(color_by("kind", torch.arange(2000) % 21 - 1, words))  # colors, three markers, and what has none
    return scatter


def opened(page, scatter, before: str):
    state = {name: getattr(scatter, name) for name in scatter.trait_names(sync=True) if name[0] != "_"}
    raw = {
        name: {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for name, value in state.items()
        if isinstance(value, bytes | str | int | float | list | dict)
    }
    script = Scatter._esm.replace("export default", "const widget =")
    page.set_content("<!doctype html><div id=here></div>")
    page.add_script_tag(content=before)
    page.add_style_tag(content=Scatter._css)
    page.add_script_tag(
        content=f"(() => {{ const RAW = {json.dumps(raw)}; {MODEL} {script}\n"
        "window.leave = widget.render({model: window.model, el: document.getElementById('here')}); })()"
    )
    page.wait_for_function("() => document.querySelector('.ssl-scatter')?.dataset.drawn === '2000'")
    return np.array(page.evaluate(BLOCKS)).reshape(44, 44, 4)


def renderer(page) -> str:
    return page.evaluate("() => document.querySelector('.ssl-scatter').dataset.renderer")


def test_a_card_and_pixels_draw_the_same(scatter):
    scatter.select(torch.arange(0, 2000, 3))
    drawn = {}
    for before, name in ((CARD, "webgl2"), (REFUSED, "2d")):
        with labdriver.browser() as page:
            drawn[name] = opened(page, scatter, before)
            assert renderer(page) == name
    assert drawn["2d"][..., 3].max() > 100
    difference = np.abs(drawn["webgl2"] - drawn["2d"])
    assert difference.mean() < 1
    assert np.quantile(difference, 0.99) < 12


@pytest.mark.parametrize("before", [CARD, REFUSED])
def test_points_that_move_and_a_selection_are_drawn_anew(scatter, before):
    with labdriver.browser() as page:
        first = opened(page, scatter, before)
        page.evaluate("""() => { const view = window.model.get('points');
            const moved = Float32Array.from(new Float32Array(view.buffer), (x) => -x);
            window.model.set('points', new DataView(moved.buffer)); }""")
        page.wait_for_timeout(200)
        turned = np.array(page.evaluate(BLOCKS)).reshape(44, 44, 4)
        assert np.abs(first - turned[::-1, ::-1]).mean() < 1 < np.abs(first - turned).mean()
        page.evaluate("() => window.model.set('selected', new DataView(new Uint32Array([1, 2, 3]).buffer))")
        page.wait_for_timeout(200)
        few = np.array(page.evaluate(BLOCKS))
        assert few[3::4].sum() < 0.4 * turned[..., 3].sum()


def test_a_context_that_is_lost_is_made_anew(scatter):
    with labdriver.browser() as page:
        first = opened(page, scatter, CARD)
        page.evaluate(
            "() => window[Symbol.for('ssl-toolkit.webgl')].gl.getExtension('WEBGL_lose_context').loseContext()"
        )
        page.locator("button", has_text="Fit").click()
        page.wait_for_timeout(300)
        again = np.array(page.evaluate(BLOCKS)).reshape(44, 44, 4)
        assert renderer(page) == "webgl2"
        assert np.abs(first - again).mean() < 0.5
        page.evaluate("() => window.leave()")


def test_nothing_is_computed_anew_while_the_plane_moves(scatter):
    """What went to the card once stays there."""
    count = (
        CARD
        + """const fill = WebGL2RenderingContext.prototype.bufferData; window.filled = 0;
        WebGL2RenderingContext.prototype.bufferData = function (...all) {
          window.filled++; return fill.apply(this, all); };"""
    )
    with labdriver.browser() as page:
        opened(page, scatter, count)
        before = page.evaluate("() => window.filled")
        frames = page.evaluate(FRAMES)
        box = page.locator("canvas").first.bounding_box()
        page.mouse.move(box["x"] + 200, box["y"] + 200)
        page.mouse.down()
        page.mouse.move(box["x"] + 100, box["y"] + 120, steps=20)
        page.mouse.up()
        page.wait_for_timeout(200)
        assert page.evaluate(FRAMES) > frames + 3
        assert before == page.evaluate("() => window.filled") == 4
