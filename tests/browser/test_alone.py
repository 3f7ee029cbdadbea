"""Pages without a kernel, opened from a file with the network cut: what lives in the browser lives on."""

from base64 import b64encode

import labdriver
import pytest

from ssl_toolkit import ChainPanel, ImageGrid, ProbePanel, Recipe, TrainPanel, load_data, pixels, zoo
from ssl_toolkit.__main__ import notebooks
from ssl_toolkit.diffusion import exact_denoiser, flow_schedule
from ssl_toolkit.widgets import MaskCanvas
from ssl_toolkit.widgets.canvases.scatter import Scatter
from ssl_toolkit.widgets.site import build

pytestmark = pytest.mark.browser

SHOWN = "body[data-ssl=shown]"
NOTE = ".ssl-no-kernel"
OF_CANVAS = """(c) => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let t = 0;
  for (let i = 0; i < d.length; i++) t = (t * 31 + d[i]) % 1e9; return t; }"""
# a model as MyST has it: state as JSON, one name at a time, nothing that can be sent or saved
MYST = """async ([code, state]) => {
  const target = new EventTarget();
  const model = { get: (n) => state[n], on: (n, f) => target.addEventListener(n, f), off: () => {},
    set: (n, v) => { state[n] = v; target.dispatchEvent(new CustomEvent('change:' + n)); },
    save_changes: () => { throw new Error('nobody to save for'); } };
  const url = URL.createObjectURL(new Blob([code], { type: 'text/javascript' }));
  const el = document.createElement('div');
  document.body.replaceChildren(el);
  await (await import(url)).default.render({ model, el });
}"""


@pytest.fixture(scope="module")
def tab(chromium):
    """A page that is offline, and what it complains of."""
    with labdriver.browser() as page:
        page.context.set_offline(True)
        page.said = []
        page.on("console", lambda message: page.said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(("file:", "blob:")) else page.said.append(r.url[:80]))
        yield page


@pytest.fixture
def opened(tab, tmp_path):
    """Save a panel, open the file, and see at the end that nothing went wrong."""

    def opened(panel, name):
        panel.save(path := tmp_path / f"{name}.html")
        assert path.stat().st_size < 3_000_000
        tab.goto(path.as_uri())
        tab.wait_for_selector(SHOWN, timeout=30_000)
        return tab

    tab.said.clear()
    yield opened
    assert tab.said == []


def test_a_saved_chain_panel_scrubs_and_plays(opened, shots):
    digits, flow = load_data("digits", size=16), flow_schedule()
    panel = ChainPanel(exact_denoiser(digits.images / 127.5 - 1, flow), (1, 16, 16), schedule=flow, bank=digits.images)
    panel.wait()
    page = opened(panel, "chain")
    page.wait_for_selector(".js-plotly-plot .y2title", timeout=30_000)
    labdriver.picture(page, "body", shots / "alone_chain.png")
    canvas, root = page.locator(".ssl-chain canvas").first, page.locator(".ssl-chain")
    last = canvas.evaluate(OF_CANVAS)
    page.locator(".ssl-chain-slider").fill("6")
    assert root.get_attribute("data-frame") == "6"
    assert page.locator(".ssl-chain output").inner_text().startswith("step 6 of 20")
    assert canvas.evaluate(OF_CANVAS) != last
    page.wait_for_function("() => document.querySelector('.js-plotly-plot').layout.shapes[0].x0 === 6", timeout=5000)
    page.select_option(".ssl-chain select", "30")
    page.click(".ssl-chain-play")
    page.wait_for_function("() => document.querySelector('.ssl-chain').dataset.frame === '20'", timeout=10_000)
    assert canvas.evaluate(OF_CANVAS) == last
    box = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(".js-plotly-plot .hovertext", timeout=5000)


def test_what_needs_a_kernel_rests_and_one_line_says_so(opened, tab):
    digits, flow = load_data("digits", size=8, limit=30), flow_schedule()
    panel = ChainPanel(exact_denoiser(digits.images / 127.5 - 1, flow), (1, 8, 8), schedule=flow, steps=3, n=2)
    page = opened(panel, "resting")
    assert page.locator(NOTE).count() == 1
    assert "No kernel runs here" in page.locator(NOTE).inner_text()
    assert page.locator(".ssl-play button").is_disabled()
    assert page.locator(".ssl-chains-sampler-a select").is_disabled()
    assert page.locator(".ssl-chains-sampler-a select").evaluate("s => s.selectedOptions[0].text") == "ddim"
    assert page.locator(".ssl-number.ssl-disabled").count() == 2
    assert page.evaluate(labdriver.NAMELESS) == []


def test_a_saved_probe_panel_hovers_and_selects(opened, shots):
    data = load_data("shapes", split="test", limit=300)
    panel = ProbePanel({"SimCLR": zoo.load("shapes-simclr"), "pixels": pixels}, data)
    panel.wait()
    panel.pick(7)
    page = opened(panel, "probe")
    page.wait_for_selector(".ssl-scatter[data-sheet=here][data-drawn='300']", timeout=30_000)
    plane, said = page.locator(".ssl-scatter canvas").first, page.locator(".ssl-scatter output")
    before = plane.evaluate(OF_CANVAS)
    plane.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "(b) => document.querySelector('.ssl-scatter output').textContent !== b", arg="image 7, class moon"
    )
    assert plane.evaluate(OF_CANVAS) != before
    page.keyboard.press("v")
    page.wait_for_function("() => document.querySelector('.ssl-scatter output').textContent.includes('300 of 300')")
    page.keyboard.press("Escape")
    box = plane.bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.keyboard.down("Shift")
    page.mouse.down()
    for x, y in ((0.5, 0.05), (0.5, 0.95), (0.05, 0.95), (0.05, 0.05)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    page.wait_for_function("() => / of 300 selected/.test(document.querySelector('.ssl-scatter output').textContent)")
    assert not said.inner_text().startswith(("0 of", "300 of"))
    assert page.locator(".ssl-probe .ssl-grid canvas").count() == 1  # the neighbors that were on screen
    plane.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{NOTE}.ssl-asked", timeout=5000)  # its neighbors need a kernel
    labdriver.picture(page, "body", shots / "alone_probe.png")
    page.emulate_media(color_scheme="dark")
    labdriver.picture(page, "body", shots / "alone_probe_dark.png")
    page.emulate_media(color_scheme="light")


def test_the_history_of_a_saved_train_panel_runs(opened, shots):
    panel = TrainPanel(load_data("digits", size=28), Recipe(steps=40, batch_size=64, width=64), every=4)
    panel.wait()
    page = opened(panel, "train")
    page.wait_for_function("() => document.querySelectorAll('.js-plotly-plot .main-svg').length > 0", timeout=30_000)
    history, plane = page.locator(".ssl-history"), page.locator(".ssl-history .ssl-stack canvas").first
    page.wait_for_function("() => document.querySelector('.ssl-history').dataset.moment === '10'")
    last = plane.evaluate(OF_CANVAS)
    page.locator(".ssl-history-bar input").focus()
    page.keyboard.press("Home")
    page.wait_for_function("() => document.querySelector('.ssl-history').dataset.moment === '0'")
    page.wait_for_timeout(300)
    assert plane.evaluate(OF_CANVAS) != last
    page.click(".ssl-history-bar button")
    page.wait_for_function("() => document.querySelector('.ssl-history').dataset.moment === '10'", timeout=15_000)
    page.click(".ssl-history-bar button")
    assert "step 40 · kNN" in history.inner_text()
    assert page.locator(".ssl-train .ssl-status").inner_text() == "done · step 40 of 40"
    labdriver.picture(page, "body", shots / "alone_train.png")
    page.emulate_media(color_scheme="dark")
    labdriver.picture(page, "body", shots / "alone_train_dark.png")
    page.emulate_media(color_scheme="light")


def test_a_mask_is_painted_without_a_kernel(opened):
    page = opened(MaskCanvas(load_data("digits", size=16).images[0]), "mask")
    canvas = page.locator(".ssl-mask canvas")
    before, box = canvas.evaluate(OF_CANVAS), canvas.bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 60, steps=5)
    page.mouse.up()
    assert canvas.evaluate(OF_CANVAS) != before


def test_canvases_live_where_a_model_neither_sends_nor_saves(tab, tmp_path):
    tab.said.clear()
    images = load_data("digits", size=8).images[:6]
    points = Scatter(images)
    points.show((images.float().flatten(1) / 255)[:, 20:22])
    points.before_page()
    for canvas, selector in (
        (ImageGrid(images), ".ssl-grid"),
        (points, ".ssl-scatter"),
        (MaskCanvas(images[0]), ".ssl-mask"),
    ):
        state = {
            name: value if not isinstance(value, bytes | memoryview) else b64encode(value).decode()
            for name, value in canvas.get_state().items()
            if not name.startswith("_") and name not in ("layout", "tabbable", "tooltip")
        }
        tab.goto("about:blank")
        tab.evaluate(MYST, [canvas._esm, state])
        target = tab.locator(f"{selector} canvas").first
        tab.wait_for_timeout(300)
        before = target.evaluate(OF_CANVAS)
        target.focus()
        for key in ("ArrowRight", "Enter", " "):
            tab.keyboard.press(key)
        tab.wait_for_timeout(200)
        assert target.evaluate(OF_CANVAS) != before
    assert tab.said == []


@pytest.mark.notebook
def test_notebooks_become_pages_whose_panels_live(tab, tmp_path, monkeypatch, shots, note):
    monkeypatch.setenv("SSL_TOOLKIT_FAST", "1")
    names = "01_two_views", "07_diffusion_step_by_step"
    made = {page.name: page for page in build(tmp_path, [notebooks() / f"{n}.ipynb" for n in names], run=True)}
    tab.said.clear()
    tab.goto((tmp_path / "index.html").as_uri())
    assert tab.locator(".site-card").count() == 2
    tab.click(".site-card >> nth=0")
    for name in names:
        tab.wait_for_selector(SHOWN, timeout=60_000)
        assert tab.url.endswith(f"{name}.html")
        page = made[f"{name}.html"]
        assert page.alive >= 2
        assert page.size < 3_000_000
        note(**{f"page_{name}_kB": page.size // 1000})
        assert tab.locator(NOTE).count() == tab.locator(".ssl-panel").count() > 0
        blank = "() => [...document.querySelectorAll('canvas')].filter(c => c.offsetParent && !c.width).length"
        assert tab.evaluate(blank) == 0
        assert tab.evaluate(labdriver.NAMELESS) == []
        for scheme in ("light", "dark"):
            tab.emulate_media(color_scheme=scheme)
            labdriver.picture(tab, ".ssl-panel", shots / f"page_{name}_{scheme}.png")
        tab.emulate_media(color_scheme="light")
        if tab.locator(".site-next").count():
            tab.click(".site-next")
    tab.wait_for_selector(".js-plotly-plot .main-svg", timeout=30_000)
    tab.locator(".ssl-chain-slider").first.fill("0")
    tab.locator(".ssl-chain-play").first.click()
    tab.wait_for_function("() => Number(document.querySelector('.ssl-chain').dataset.frame) > 3", timeout=10_000)
    assert tab.said == []
