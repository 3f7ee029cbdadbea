// Pairs of points in the plane, with arrows and trails. A point follows the pointer here, in the browser; where it is
// goes to Python as a message, one at a time: the next is sent when the answer to the last has come.
const RADIUS = 9; // of a dot, in device-independent pixels
const NEAR = 16; // how far from a dot a press still takes it
const STEP = 0.05; // of the plane, for one arrow key; five times as much with Shift
const PATIENCE = 250; // milliseconds to wait for an answer

function render({ model, el }) {
  const { root, canvas, readout } = canvasWithWords(el, "ssl-plane");

  let chosen = -1; // by key or press
  let over = -1;
  let held = null; // the reach, while a point is dragged
  let moved = null; // {index, x, y}: drawn here, but not yet as Python has it
  let unsent = false;
  let waiting = 0;

  const floats = (name) => numbers(model, name, Float32Array);
  const reach = () => held ?? model.get("reach"); // the scale stands still under a hand
  const unit = () => model.get("side") / 2 / reach();
  const px = (x) => model.get("side") / 2 + x * unit();
  const py = (y) => model.get("side") / 2 - y * unit();
  const places = () => {
    const z = floats("points");
    if (moved) [z[2 * moved.index], z[2 * moved.index + 1]] = [moved.x, moved.y];
    return z;
  };

  const line = (pen, points, color, width, alpha) => {
    pen.globalAlpha = alpha;
    pen.strokeStyle = color;
    pen.lineWidth = width;
    pen.beginPath();
    points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.stroke();
    pen.globalAlpha = 1;
  };
  const disc = (pen, x, y, r, fill, stroke, width) => {
    pen.beginPath();
    pen.arc(x, y, r, 0, 2 * Math.PI);
    if (fill) (pen.fillStyle = fill), pen.fill();
    if (stroke) (pen.strokeStyle = stroke), (pen.lineWidth = width), pen.stroke();
  };
  const arrow = (pen, x, y, dx, dy, color) => {
    const length = Math.hypot(dx, dy);
    if (length < 2) return;
    const [ux, uy] = [dx / length, dy / length];
    const [x0, y0, x1, y1] = [x + ux * RADIUS, y + uy * RADIUS, x + dx + ux * RADIUS, y + dy + uy * RADIUS];
    const head = Math.min(7, length);
    line(pen, [[x0, y0], [x1 - ux * head * 0.7, y1 - uy * head * 0.7]], color, 1.6, 1);
    pen.fillStyle = color;
    pen.beginPath();
    pen.moveTo(x1, y1);
    pen.lineTo(x1 - ux * head - uy * head * 0.5, y1 - uy * head + ux * head * 0.5);
    pen.lineTo(x1 - ux * head + uy * head * 0.5, y1 - uy * head - ux * head * 0.5);
    pen.fill();
  };
  const bright = (hex) => {
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
    return 0.3 * r + 0.59 * g + 0.11 * b > 125;
  };

  const draw = () => {
    const [side, ratio] = [model.get("side"), window.devicePixelRatio || 1];
    if (canvas.width !== Math.round(side * ratio)) {
      canvas.width = canvas.height = Math.round(side * ratio);
      canvas.style.width = `${side}px`; // or less, where the place is narrow
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, side, side);
    const ink = getComputedStyle(root).color;
    const paper = getComputedStyle(root).backgroundColor;
    const z = places();
    const n = z.length / 4;
    const colors = model.get("colors").map((c) => (c === "#000000" ? ink : c));
    const color = (i) => colors[(i % n) % colors.length];

    for (let k = Math.ceil(-reach()); k <= reach(); k++) {
      line(pen, [[px(k), 0], [px(k), side]], ink, 1, k ? 0.07 : 0.2);
      line(pen, [[0, py(k)], [side, py(k)]], ink, 1, k ? 0.07 : 0.2);
    }
    pen.fillStyle = ink;
    pen.font = "11px sans-serif";
    pen.textAlign = "left";
    pen.textBaseline = "top";
    pen.globalAlpha = 0.6;
    pen.fillText("1", px(1) + 3, py(0) + 3);
    pen.globalAlpha = 1;
    if (model.get("circle")) {
      pen.globalAlpha = 0.5;
      disc(pen, px(0), py(0), unit(), null, ink, 1);
      pen.globalAlpha = 1;
      for (let i = 0; i < 2 * n; i++) {
        const [x, y] = [z[2 * i], z[2 * i + 1]];
        const r = Math.hypot(x, y) || 1;
        line(pen, [[px(0), py(0)], [px(x), py(y)]], color(i), 1, 0.35);
        disc(pen, px(x / r), py(y / r), 3, color(i));
      }
    }
    const trail = floats("trail");
    const steps = trail.length / z.length;
    for (let i = 0; i < 2 * n && steps; i++)
      for (let t = 0; t < steps; t++) {
        const [a, b] = [t * z.length + 2 * i, (t + 1) * z.length + 2 * i];
        const end = t + 1 < steps ? [trail[b], trail[b + 1]] : [z[2 * i], z[2 * i + 1]];
        line(pen, [[px(trail[a]), py(trail[a + 1])], [px(end[0]), py(end[1])]], color(i), 2, (0.6 * (t + 1)) / steps);
      }
    for (let i = 0; i < n; i++)
      line(pen, [[px(z[2 * i]), py(z[2 * i + 1])], [px(z[2 * (i + n)]), py(z[2 * (i + n) + 1])]], color(i), 1.5, 0.8);
    const arrows = floats("arrows");
    for (let i = 0; i < 2 * n; i++) {
      const [x, y] = [px(z[2 * i]), py(z[2 * i + 1])];
      arrow(pen, x, y, arrows[2 * i] * unit(), -arrows[2 * i + 1] * unit(), ink);
    }
    pen.font = "bold 11px sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    for (let k = 0; k < 2 * n; k++) {
      const i = chosen >= 0 ? (k + chosen + 1) % (2 * n) : k; // the chosen one lies on top
      const [x, y] = [px(z[2 * i]), py(z[2 * i + 1])];
      if (i === chosen || i === over) disc(pen, x, y, RADIUS + 4, null, ink, i === chosen ? 2 : 1);
      disc(pen, x, y, RADIUS - 1, i < n ? color(i) : paper, color(i), 2);
      const c = model.get("colors")[(i % n) % colors.length];
      pen.fillStyle = i >= n ? ink : c === "#000000" ? paper : bright(c) ? "#000" : "#fff";
      pen.fillText(String((i % n) + 1), x, y + 0.5);
    }
    const shown = held === null && over >= 0 ? over : chosen;
    readout.textContent =
      shown >= 0 && shown < 2 * n
        ? `image ${(shown % n) + 1}, ${shown < n ? "first" : "second"} view at (${z[2 * shown].toFixed(2)}, ${z[2 * shown + 1].toFixed(2)})`
        : "filled: first view of an image; ring: its second view. Drag one.";
    canvas.setAttribute("aria-label", `${n} images, two points each. N and P choose a point, arrow keys move it.`);
  };

  const flush = () => {
    if (!unsent || waiting) return;
    model.send({ type: "drag", ...moved });
    unsent = false;
    waiting = setTimeout(answered, PATIENCE);
  };
  const answered = () => {
    clearTimeout(waiting);
    waiting = 0;
    flush();
  };
  const clamp = (v) => Math.max(-reach(), Math.min(reach(), v));
  const move = (index, x, y) => {
    moved = { index, x: clamp(x), y: clamp(y) };
    unsent = true;
    flush();
  };

  const where = (event) => {
    const box = canvas.getBoundingClientRect();
    const scale = model.get("side") / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  };
  const nearest = (event) => {
    const [x, y] = where(event);
    const z = places();
    let [best, least] = [-1, NEAR];
    for (let i = z.length / 2 - 1; i >= 0; i--) {
      const away = Math.hypot(px(z[2 * i]) - x, py(z[2 * i + 1]) - y);
      if (away < least || (away === least && i === chosen)) [best, least] = [i, away];
    }
    return best;
  };
  canvas.addEventListener("pointerdown", (event) => {
    const index = nearest(event);
    if (index < 0) return;
    [chosen, held] = [index, model.get("reach")];
    canvas.setPointerCapture(event.pointerId);
    canvas.classList.add("ssl-held");
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (held !== null) {
      const [x, y] = where(event);
      move(chosen, (x - model.get("side") / 2) / unit(), (model.get("side") / 2 - y) / unit());
    } else {
      const now = nearest(event);
      if (now === over) return;
      over = now;
      canvas.classList.toggle("ssl-over", over >= 0);
    }
    draw();
  });
  const release = () => {
    held = null;
    canvas.classList.remove("ssl-held");
    draw();
  };
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, release);
  canvas.addEventListener("pointerleave", () => {
    over = -1;
    draw();
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const z = places();
    const m = z.length / 2;
    const moves = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const key = event.key.toLowerCase();
    if (event.key in moves) {
      if (chosen < 0) chosen = 0;
      const by = STEP * (event.shiftKey ? 5 : 1);
      move(chosen, z[2 * chosen] + by * moves[event.key][0], z[2 * chosen + 1] + by * moves[event.key][1]);
    } else if (key === "n") chosen = (chosen + 1) % m;
    else if (key === "p") chosen = (Math.max(chosen, 0) + m - 1) % m;
    else {
      if (event.key.length === 1) event.stopPropagation(); // a letter would be a command of JupyterLab's
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    draw();
  });
  model.on("change:points", () => {
    if (!unsent && held === null) moved = null;
    answered();
    draw();
  });
  for (const name of ["arrows", "trail", "circle", "reach"]) model.on(`change:${name}`, draw);
  const leave = onTheme(draw); // another theme is another ink
  const placed = new ResizeObserver(draw); // colors are known only once it is on the page
  placed.observe(canvas);
  draw();
  return () => {
    leave();
    placed.disconnect();
  };
}
export default hosted({ render });
