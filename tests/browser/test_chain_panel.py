"""The chain panel as a person meets it: two samplers on one noise, scrubbed while the kernel is busy."""

import time

import labdriver
import pytest

pytestmark = pytest.mark.browser

PANEL = """
from ssl_toolkit import load_data
from ssl_toolkit.diffusion import exact_denoiser, flow_schedule
from ssl_toolkit.widgets import ChainPanel
data, flow = load_data("digits", size=16), flow_schedule()
exact = exact_denoiser(data.images / 127.5 - 1, flow)
panel = ChainPanel(exact, (1, 16, 16), schedule=flow, bank=data.images)
panel
"""
BUSY = "import time; time.sleep(12)"
STATE = labdriver.in_state(".ssl-chains")
CAPTION = "(t) => document.querySelector('.ssl-chains .ssl-chain output').textContent.startsWith(t)"
AT_WORK = "() => document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')[1].textContent.includes('*')"
CURSOR = """() => { const p = document.querySelector('.ssl-chains .js-plotly-plot');
  return p.layout.shapes && p.layout.shapes.length ? p.layout.shapes[0].x0 : -1; }"""
# the slider goes through its places as fast as the browser draws; the frames drawn in two seconds
SCRUB = """() => new Promise(done => {
  const root = document.querySelector('.ssl-chains .ssl-chain'), slider = root.querySelector('input[type=range]');
  const [began, before] = [performance.now(), Number(root.dataset.drawn)];
  let place = 0;
  const go = () => {
    slider.value = (place = (place + 1) % (Number(slider.max) + 1));
    slider.dispatchEvent(new Event('input'));
    const seconds = (performance.now() - began) / 1000;
    seconds < 2 ? requestAnimationFrame(go) : done((Number(root.dataset.drawn) - before) / seconds);
  };
  requestAnimationFrame(go);
})"""


@pytest.fixture(scope="module")
def notebook(lab, page):
    return labdriver.open_panel(page, lab, "chains.ipynb", (PANEL, BUSY), ".ssl-chains .js-plotly-plot .y2title", run=1)


def test_noise_becomes_images_at_a_press_of_play(notebook, shots, note):
    page = notebook
    labdriver.picture(page, ".ssl-chains", shots / "chains_idle.png")
    began = time.perf_counter()
    page.click(".ssl-chains .ssl-play")
    page.wait_for_function(STATE, arg="done", timeout=60_000)
    page.wait_for_function(CAPTION, arg="step 20 of 20")
    note(chain_panel_play_ms=round(1000 * (time.perf_counter() - began)))
    assert page.locator(".ssl-chains .ssl-chain canvas").count() == 6
    labdriver.picture(page, ".ssl-chains", shots / "chains_done.png")
    assert labdriver.errors(page) == []


def test_keys_step_through_the_chain_and_the_cursor_follows(notebook, shots):
    page = notebook
    page.focus(".ssl-chains .ssl-chain input[type=range]")
    page.keyboard.press("Home")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(CAPTION, arg="step 6 of 20")
    page.wait_for_function(f"() => ({CURSOR})() === 6", timeout=60_000)
    labdriver.picture(page, ".ssl-chains", shots / "chains_scrubbed.png")


def test_scrubbing_needs_no_kernel(notebook, note):
    page = notebook
    labdriver.run_cell(page, 1)
    page.wait_for_function(AT_WORK, timeout=20_000)
    rate = page.evaluate(SCRUB)
    assert page.evaluate(AT_WORK)
    note(chain_panel_scrub_frames_a_second_with_busy_kernel=round(rate))
    assert rate >= 30
    page.wait_for_function(labdriver.READY, timeout=60_000)


def test_another_sampler_makes_the_chain_anew_and_the_dark_theme_is_legible(notebook, shots):
    page = notebook
    labdriver.show(page, ".ssl-chains")
    page.locator(".ssl-chains select").nth(1).select_option("heun")
    page.wait_for_function("() => document.querySelector('.ssl-chains').innerText.includes('heun: 39')", timeout=60_000)
    with labdriver.dark(page):
        labdriver.picture(page, ".ssl-chains", shots / "chains_dark.png")
    assert page.evaluate(labdriver.NAMELESS) == []
    assert labdriver.errors(page) == []
