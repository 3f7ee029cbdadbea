"""Every panel for everyone: no barrier that axe-core knows, at any width, by touch, with less motion, read out."""

import gallery
import labdriver
import pytest

pytestmark = pytest.mark.browser

CASES = tuple(case for case in gallery.CASES if case.name not in ("rcdm", "attack"))  # their own tests look at these
NAMES = [gallery.named(case) for case in CASES]
OPEN = "(s) => document.querySelectorAll(s + ' .ssl-more-button[aria-expanded=false]').forEach(b => b.click())"
# what lies beyond the card's edge, but for what can be scrolled to
BEYOND = """(s) => { const card = document.querySelector(s), end = card.getBoundingClientRect().right + 1;
  return [...card.querySelectorAll('button, select, input, canvas, img, .ssl-number, .js-plotly-plot')]
    .filter(e => e.offsetParent && e.getBoundingClientRect().right > end && !e.closest('.ssl-scroll, .ssl-heat'))
    .map(e => e.outerHTML.slice(0, 120)); }"""
SPOKEN = """() => { window.spoken = []; new MutationObserver(all => all.forEach(m => {
    const place = m.target.nodeType === 1 ? m.target : m.target.parentElement;
    const live = place.closest('[role=status], [aria-live=polite], output:not([aria-live])');
    if (live && live.textContent.trim()) window.spoken.push(live.textContent.trim());
  })).observe(document.querySelector('.t-chains'), {childList: true, characterData: true, subtree: true}); }"""
INK = """(s) => { const c = document.querySelector(s);
  const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let t = 0;
  for (let i = 3; i < d.length; i += 4) t = (t * 31 + d[i]) % 1e9; return t; }"""


@pytest.fixture(scope="module")
def notebook(lab, page):
    gallery.open_gallery(page, lab, CASES)
    return page


def found(page) -> list[str]:
    """What axe-core finds in all panels, with all of their controls shown."""
    said = []
    for name in NAMES:
        page.evaluate(OPEN, f".t-{name}")
        labdriver.show(page, f".t-{name}")
        said += [f"{name}: {barrier}" for barrier in labdriver.barriers(page, f".t-{name}")]
    return said


def test_axe_finds_no_barrier_before_a_run(notebook):
    assert found(notebook) == []


def test_a_chain_that_is_played_is_read_out_when_it_has_come_to_rest(notebook):
    page = notebook
    i = NAMES.index("chains")
    labdriver.show(page, ".t-chains")
    page.evaluate(SPOKEN)
    gallery.run_case(page, CASES, i)
    page.wait_for_function("() => window.spoken.includes('done')", timeout=20_000)
    page.evaluate("() => (window.spoken = [])")
    page.focus(".t-chains .ssl-chain-slider")
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    page.wait_for_function("() => window.spoken.some(text => text.startsWith('step 20 of 20'))", timeout=20_000)
    assert len(page.evaluate("() => window.spoken")) <= 3  # of 21 frames


def test_axe_finds_no_barrier_after_the_runs_in_either_theme(notebook):
    page = notebook
    for i, case in enumerate(CASES):
        if case.run and case.name != "chains":
            gallery.run_case(page, CASES, i)
    assert labdriver.errors(page) == []
    light = found(page)
    with labdriver.dark(page):
        assert (light, found(page)) == ([], [])


@pytest.mark.parametrize("width", [480, 900, 1600])
def test_no_part_of_a_panel_is_cut_off(notebook, width):
    gallery.set_width(notebook, width, ".t-train")
    notebook.wait_for_timeout(1500)
    assert {name: cut for name in NAMES if (cut := notebook.evaluate(BEYOND, f".t-{name}"))} == {}


def test_images_grow_with_the_page(notebook):
    sides = []
    for width in (480, 900, 1600):
        gallery.set_width(notebook, width, ".t-views")
        notebook.wait_for_timeout(500)
        sides.append(notebook.locator(".t-views .ssl-grid canvas").nth(1).bounding_box()["width"] / 6)
    assert sides[0] >= 60
    assert sides[2] > 1.3 * sides[1]


def test_two_fingers_zoom_a_map_and_a_tap_picks(notebook):
    page = notebook
    gallery.set_width(page, 900, ".t-probe")
    labdriver.show(page, ".t-probe .ssl-scatter")
    canvas = ".t-probe .ssl-scatter .ssl-stack canvas"
    box = page.locator(canvas).first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    hand = page.context.new_cdp_session(page)

    def fingers(kind: str, *apart: float) -> None:
        points = [{"x": x + side * a, "y": y, "id": i} for a in apart for i, side in enumerate((-1, 1))]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.wait_for_timeout(60)

    before = page.evaluate(INK, canvas)
    fingers("touchStart", 30)
    for apart in (50, 80, 110):
        fingers("touchMove", apart)
    fingers("touchEnd")
    assert page.evaluate(INK, canvas) != before
    page.locator(".t-probe .ssl-tools button", has_text="Fit").click()
    words = page.locator(".t-probe .ssl-probe-words")
    old = words.inner_text()
    x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.12 * box["height"]
    for i in range(12):  # somewhere on the way there is a point
        hand.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y + 8 * i}]})
        hand.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_timeout(150)
        if words.inner_text() != old:
            break
    assert "nearest" in words.inner_text()


def test_with_less_motion_nothing_moves_by_itself_and_forced_colors_keep_what_is_chosen(notebook, shots):
    page = notebook
    moves = """() => [...document.querySelectorAll('.ssl-panel button')]
      .filter(b => getComputedStyle(b).transitionDuration.split(', ').some(t => parseFloat(t) > 0)).length"""
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moves) == 0
    page.emulate_media(reduced_motion="no-preference", forced_colors="active")
    labdriver.show(page, ".t-views")
    labdriver.picture(page, ".t-views", shots / "forced_colors.png")
    play = "getComputedStyle(document.querySelector('.t-train .ssl-play'))"
    assert page.evaluate(f"() => {play}.backgroundColor !== {play}.color")
    page.emulate_media(forced_colors="none")


def test_more_answers_while_the_kernel_is_busy(notebook):
    page = notebook
    button = page.locator(".t-views .ssl-more-button").first
    page.evaluate("""() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
      .requestExecute({code: 'import time; time.sleep(5)'}); return null; }""")
    was = button.get_attribute("aria-expanded") == "true"
    seed = page.locator(".t-views .ssl-views-seed input")
    assert seed.is_visible() == was
    button.click()
    page.wait_for_timeout(200)
    assert seed.is_visible() != was
    page.wait_for_function(labdriver.READY, timeout=60_000)
