// A grid of small images on one canvas: drawn pixel by pixel, enlarged by the browser without smoothing.
// Hovering and moving by keys stay in the browser; a click or Enter reaches Python as a message of its own.
const GAP = 3; // device-independent pixels between two tiles, where the frames are drawn
const USUAL = 72; // pixels a side of an image where there is room; a grid may name another size
const LEAST = 16;

function render({ model, el }) {
  const { root, canvas, readout } = canvasWithWords(el, "ssl-grid");

  const labels = make("div", "ssl-rows"), sheet = make("div", "ssl-sheet");
  sheet.append(labels, canvas);
  root.prepend(sheet);
  el.style.flex = "1 1 auto"; // beside others it takes what is left
  const tile = make("canvas");
  let at = -1;

  const geometry = () => {
    const [n, channels, height, width] = model.get("shape");
    const columns = Math.max(1, Math.min(model.get("columns"), n));
    const natural = width * model.get("scale");
    const room = sheet.clientWidth && sheet.clientWidth - (labels.clientWidth && labels.clientWidth + 8);
    const most = model.get("largest") || Math.max(USUAL, natural);
    const side = room ? Math.max(LEAST, Math.min(most, Math.floor(room / columns) - 2 * GAP)) : natural;
    return { n, channels, height, width, columns, rows: Math.ceil(n / columns), w: side + 2 * GAP, h: Math.round((side * height) / width) + 2 * GAP };
  };

  const outline = (g, i, color, size) => {
    const [x, y] = [(i % g.columns) * g.w, Math.floor(i / g.columns) * g.h];
    const pen = canvas.getContext("2d");
    pen.fillStyle = color;
    for (const [a, b, w, h] of [[0, 0, g.w, size], [0, g.h - size, g.w, size], [0, 0, size, g.h], [g.w - size, 0, size, g.h]])
      pen.fillRect(x + a, y + b, w, h);
  };

  const draw = () => {
    const told = model.get("rows").join();
    if (labels.dataset.told !== told) labels.replaceChildren(...model.get("rows").map((text) => make("span", "", text)));
    labels.dataset.told = told;
    const g = geometry();
    const ratio = window.devicePixelRatio || 1;
    const pixels = bytes(model, "pixels");
    if (pixels.length !== g.n * g.channels * g.height * g.width) return; // the shape travels first
    canvas.width = Math.round(g.columns * g.w * ratio);
    canvas.height = Math.round(g.rows * g.h * ratio);
    canvas.style.width = `${g.columns * g.w}px`;
    tile.width = g.width;
    tile.height = g.height;
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.imageSmoothingEnabled = false;
    const frames = model.get("frames");
    const area = g.width * g.height;
    for (let i = 0; i < g.n; i++) {
      const picture = new ImageData(g.width, g.height);
      for (let p = 0; p < area; p++) {
        for (let c = 0; c < 3; c++)
          picture.data[4 * p + c] = pixels[i * g.channels * area + (g.channels === 3 ? c : 0) * area + p];
        picture.data[4 * p + 3] = 255;
      }
      tile.getContext("2d").putImageData(picture, 0, 0);
      pen.drawImage(tile, (i % g.columns) * g.w + GAP, Math.floor(i / g.columns) * g.h + GAP, g.w - 2 * GAP, g.h - 2 * GAP);
      if (frames[i]) outline(g, i, frames[i], GAP);
    }
    const selected = model.get("selected");
    if (selected >= 0 && selected < g.n) outline(g, selected, getComputedStyle(root).getPropertyValue("--ssl-accent"), GAP);
    if (at >= 0 && at < g.n) outline(g, at, getComputedStyle(root).color, 1);
    canvas.setAttribute("aria-label", `${model.get("label")}: ${g.n} images; arrow keys move, Enter picks`);
    const captions = model.get("captions");
    readout.textContent = captions[at >= 0 ? at : selected] ?? "";
    readout.style.display = captions.length ? "" : "none";
  };

  const move = (to) => {
    if (to === at) return;
    at = to;
    draw();
  };
  const pick = (i) => {
    const { n } = geometry();
    if (i < 0 || i >= n) return;
    model.set("selected", i);
    model.save_changes();
    model.send({ type: "pick", index: i });
    draw();
  };
  const under = (event) => {
    const g = geometry();
    const box = canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * g.columns);
    const row = Math.floor(((event.clientY - box.top) / box.height) * g.rows);
    const i = row * g.columns + column;
    return column >= 0 && column < g.columns && i < g.n ? i : -1;
  };
  canvas.addEventListener("pointermove", (event) => move(under(event)));
  canvas.addEventListener("pointerleave", () => move(-1));
  canvas.addEventListener("blur", () => move(-1));
  canvas.addEventListener("click", (event) => pick(under(event)));
  canvas.addEventListener("keydown", (event) => {
    const { n, columns } = geometry();
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    if (event.key in steps) move(Math.max(0, Math.min(n - 1, (at < 0 ? model.get("selected") : at) + steps[event.key])));
    else if (event.key === "Enter" || event.key === " ") pick(at);
    else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab's own keys must not see it
  });
  for (const name of ["pixels", "frames", "selected", "captions", "rows", "scale", "columns", "largest"]) model.on(`change:${name}`, draw);
  const leave = onTheme(draw);
  const placed = new ResizeObserver(draw); // images grow and shrink with their place
  placed.observe(root);
  draw();
  measureAgain();
  return () => {
    leave();
    placed.disconnect();
  };
}
export default hosted({ render });
