// Thousands of points in one or two planes, the same images in each. Hovering, panning, zooming and the lasso stay in the
// browser; the thumbnails travel once, as one sheet. A pick and a selection reach Python as messages of their own.
const NEAR = 14; // pixels from a point at which it is still meant
const STILL = 4; // pixels that a click may move
const THUMB = 96; // pixels a side of the image that hovering shows, at most
const PAD = 16; // pixels around the points
const NAMED = 24; // values that have a color and a shape of their own
const PER_SHAPE = 8; // colors before the next marker shape

function points({ model, el }) {
  const root = make("div", "ssl-scatter");
  const bar = make("div", "ssl-tools");
  const planes = make("div", "ssl-planes");
  const legend = make("div", "ssl-legend");
  const readout = make("output");
  root.append(bar, planes, legend, readout);
  el.append(root);
  readOutAtRest(readout);

  let lassoing = false; // whether dragging draws a lasso, rather than moving the plane
  let only = -1; // the named value that is emphasized
  let sought = ""; // what the names in the legend are to contain
  let at = -1; // the point under the pointer or the keys
  let sheet = null; // the thumbnails
  let asked = false; // for them
  let selected = new Set();
  let panes = [];
  let stale = { base: false, top: false };

  const button = (text, title, action) => {
    const b = make("button", "", text);
    b.type = "button";
    b.title = title;
    b.setAttribute("aria-label", title);
    b.addEventListener("click", action);
    bar.append(b);
    return b;
  };
  const modes = [
    button("Move", "Dragging moves the plane", () => setLasso(false)),
    button("Lasso", "Dragging selects a group (or hold Shift)", () => setLasso(true)),
  ];
  button("+", "Zoom in", () => panes.forEach((p) => zoom(p, 1.5)));
  button("−", "Zoom out", () => panes.forEach((p) => zoom(p, 1 / 1.5)));
  button("Fit", "Show all points", () => fit());
  const clear = button("Clear", "Select nothing", () => select([]));
  const setLasso = (on) => {
    lassoing = on;
    modes.forEach((b, i) => b.setAttribute("aria-pressed", String(Boolean(i) === on)));
    root.classList.toggle("ssl-lassoing", on);
  };

  const floats = (name) => numbers(model, name, Float32Array);
  let data = {};
  const read = () => {
    data = { points: floats("points"), color: bytes(model, "color"), values: floats("values") };
    data.n = panes.length ? data.points.length / 2 / panes.length : 0;
  };

  // geometry ------------------------------------------------------------------------------------------------------
  const place = (p) => {
    // points lie in [-1, 1]; the view of a pane says which of them its canvas shows, and how large
    const half = model.get("side") / 2;
    const unit = (half - PAD) * p.zoom;
    const from = 2 * data.n * p.index;
    p.x = p.x && p.x.length === data.n ? p.x : new Float32Array(data.n);
    p.y = p.y && p.y.length === data.n ? p.y : new Float32Array(data.n);
    for (let i = 0; i < data.n; i++) {
      p.x[i] = half + (data.points[from + 2 * i] - p.cx) * unit;
      p.y[i] = half - (data.points[from + 2 * i + 1] - p.cy) * unit;
    }
  };
  const zoom = (p, by, x = model.get("side") / 2, y = x) => {
    const half = model.get("side") / 2;
    const before = (half - PAD) * p.zoom;
    p.zoom = Math.max(0.5, Math.min(200, p.zoom * by));
    const after = (half - PAD) * p.zoom;
    p.cx += (x - half) * (1 / before - 1 / after); // what is under the pointer stays there
    p.cy -= (y - half) * (1 / before - 1 / after);
    later("base");
  };
  const fit = () => {
    panes.forEach((p) => Object.assign(p, { zoom: 1, cx: 0, cy: 0 }));
    later("base");
  };
  const nearest = (p, x, y, within) => {
    let [best, least] = [-1, within * within];
    for (let i = 0; i < data.n; i++) {
      const [dx, dy] = [p.x[i] - x, p.y[i] - y];
      const d = dx * dx + dy * dy;
      if (d < least) [best, least] = [i, d];
    }
    return best;
  };
  const towards = (p, i, ux, uy) => {
    // the point that lies best in a direction: near, and not far off to the side
    let [best, least] = [i, Infinity];
    for (let k = 0; k < data.n; k++) {
      const [dx, dy] = [p.x[k] - p.x[i], p.y[k] - p.y[i]];
      const along = dx * ux + dy * uy;
      if (along <= 0.5) continue;
      const cost = (dx * dx + dy * dy) ** 1.5 / (along * along);
      if (cost < least) [best, least] = [k, cost];
    }
    return best;
  };

  // drawing -------------------------------------------------------------------------------------------------------
  const later = (layer) => {
    stale[layer] = true;
    if (layer === "base") stale.top = true;
    if (stale.waiting) return;
    stale.waiting = true;
    requestAnimationFrame(() => {
      const { base } = stale;
      stale = { base: false, top: false };
      if (base) drawBase();
      drawTop();
    });
  };
  const ink = () => getComputedStyle(root).color;
  const paper = () => getComputedStyle(root).backgroundColor;
  const colorOf = (i) => {
    const hex = model.get("palette")[i];
    return hex === undefined ? "#767676" : hex === "#000000" ? ink() : hex;
  };
  const shapeOf = (i) => i < NAMED && (model.get("legend").words || []).length ? Math.floor(i / PER_SHAPE) % 3 : 0;
  const marker = (pen, x, y, r, shape) => {
    pen.beginPath();
    if (shape === 0) pen.arc(x, y, r, 0, 2 * Math.PI);
    else if (shape === 1) pen.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
    else {
      pen.moveTo(x, y - r * 1.2);
      pen.lineTo(x + r * 1.15, y + r * 0.85);
      pen.lineTo(x - r * 1.15, y + r * 0.85);
      pen.closePath();
    }
  };
  const start = (canvas) => {
    const [side, ratio] = [model.get("side"), window.devicePixelRatio || 1];
    if (canvas.width !== Math.round(side * ratio) || canvas.height !== canvas.width) {
      canvas.width = canvas.height = Math.round(side * ratio);
      canvas.style.width = canvas.style.height = `${side}px`;
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, side, side);
    return pen;
  };
  const radius = (p) => (data.n > 4000 ? 1.8 : data.n > 1000 || model.get("side") < 300 ? 2.6 : 3.6) * Math.min(2.5, p.zoom ** 0.4);

  const drawBase = () => {
    read();
    const ratio = window.devicePixelRatio || 1;
    for (const p of panes) {
      place(p);
      const pen = start(p.base);
      const [r, side] = [radius(p), model.get("side")];
      const look = [r, ratio, ink(), model.get("palette"), (model.get("legend").words || []).length].join();
      if (p.look !== look) [p.look, p.stamps] = [look, new Map()];
      const stamps = p.stamps; // one small picture per color: a hundred times as fast as a path for each point
      const size = Math.ceil(2.6 * r * ratio) / ratio;
      const stamp = (c) => {
        if (!stamps.has(c)) {
          const picture = make("canvas");
          picture.width = picture.height = Math.ceil(size * ratio);
          const brush = picture.getContext("2d");
          brush.scale(ratio, ratio);
          brush.fillStyle = colorOf(c);
          marker(brush, size / 2, size / 2, r, shapeOf(c));
          brush.fill();
          stamps.set(c, picture);
        }
        return stamps.get(c);
      };
      const lit = (i) => (only < 0 || data.values[i] === only) && (!selected.size || selected.has(i));
      for (const pass of [false, true]) {
        pen.globalAlpha = pass ? 0.8 : 0.13;
        for (let i = 0; i < data.n; i++) {
          const [x, y] = [p.x[i], p.y[i]];
          if (x < -r || y < -r || x > side + r || y > side + r || lit(i) !== pass) continue;
          pen.drawImage(stamp(data.color[i]), x - size / 2, y - size / 2, size, size);
        }
      }
      pen.globalAlpha = 1;
    }
    root.dataset.drawn = data.n;
    if (data.n && !asked && !sheet) {
      asked = true;
      model.send({ type: "sheet" });
    }
    clear.disabled = !selected.size;
  };

  const ring = (pen, x, y, r, color, width) => {
    pen.beginPath();
    pen.arc(x, y, r, 0, 2 * Math.PI);
    pen.strokeStyle = paper();
    pen.lineWidth = width + 2.5;
    pen.stroke();
    pen.strokeStyle = color;
    pen.lineWidth = width;
    pen.stroke();
  };
  const trail = (pen, p, i) => {
    // where a point was before, the fainter the longer ago
    const half = model.get("side") / 2;
    const unit = (half - PAD) * p.zoom;
    const way = model.trail(i, p.index).map(([x, y]) => [half + (x - p.cx) * unit, half - (y - p.cy) * unit]);
    pen.lineCap = "round";
    for (const [color, width] of [[paper(), 4.5], [colorOf(data.color[i]), 2]])
      for (let k = 1; k < way.length; k++) {
        pen.globalAlpha = 0.3 + (0.7 * k) / way.length;
        pen.strokeStyle = color;
        pen.lineWidth = width;
        pen.beginPath();
        pen.moveTo(...way[k - 1]);
        pen.lineTo(...way[k]);
        pen.stroke();
      }
    pen.globalAlpha = 1;
  };
  const thumbnail = (pen, i, x, y, size) => {
    const [w, h, columns] = model.get("tile");
    if (!sheet || !w) return;
    pen.fillStyle = paper();
    pen.fillRect(x - 3, y - 3, size + 6, size * (h / w) + 6);
    pen.imageSmoothingEnabled = false;
    const [tw, th] = model.get("pitch");
    pen.drawImage(sheet, (i % columns) * tw, Math.floor(i / columns) * th, w, h, x, y, size, size * (h / w));
    pen.strokeStyle = ink();
    pen.lineWidth = 1;
    pen.strokeRect(x - 2.5, y - 2.5, size + 5, size * (h / w) + 5);
  };
  const drawTop = () => {
    const side = model.get("side");
    const [picked, marks] = [model.get("picked"), model.get("marks")];
    for (const p of panes) {
      const pen = start(p.top);
      const r = radius(p);
      pen.drawImage(p.base, 0, 0, side, side);
      for (const i of new Set([picked, at])) if (model.trail && i >= 0 && i < data.n) trail(pen, p, i);
      for (const i of marks[p.index] || []) ring(pen, p.x[i], p.y[i], r + 2.5, ink(), 1.5);
      if (picked >= 0 && picked < data.n) ring(pen, p.x[picked], p.y[picked], r + 4.5, "#D55E00", 3);
      if (p.lasso) {
        pen.beginPath();
        p.lasso.forEach(([x, y], k) => (k ? pen.lineTo(x, y) : pen.moveTo(x, y)));
        pen.closePath();
        pen.fillStyle = "rgba(86, 180, 233, 0.18)";
        pen.fill();
        pen.setLineDash([5, 4]);
        pen.strokeStyle = ink();
        pen.lineWidth = 1.2;
        pen.stroke();
        pen.setLineDash([]);
      } else if (at >= 0 && at < data.n) {
        const [x, y] = [p.x[at], p.y[at]];
        ring(pen, x, y, r + 3, ink(), 2);
        const size = Math.min(THUMB, side / 4);
        if (p.over) thumbnail(pen, at, x + 16 + size > side ? x - 16 - size : x + 16, Math.max(6, Math.min(side - size - 6, y - size / 2)), size);
      }
    }
    say();
  };
  const valueOf = (i) => {
    const { name, words } = model.get("legend");
    if (!name) return "";
    const value = data.values[i];
    if ((words || []).length && value < 0) return `${name} unknown`;
    return `${name} ${(words || [])[value] ?? (Number.isFinite(value) ? value.toPrecision(3) : "unknown")}`;
  };
  const say = () => {
    const i = at >= 0 ? at : model.get("picked");
    const one = i >= 0 && i < data.n ? model.get("told")[i] ?? `image ${i}, ${valueOf(i)}` : data.n ? model.get("hint") : "";
    const group = `${selected.size.toLocaleString("en")} of ${data.n.toLocaleString("en")} selected`;
    const text = !selected.size ? one : i >= 0 ? `${one} · ${group}` : group;
    if (readout.textContent !== text) readout.textContent = text;
  };

  const drawLegend = () => {
    const { name, words, low, high } = model.get("legend");
    legend.replaceChildren();
    if (!name) return;
    legend.append(make("span", "ssl-what", name));
    if ((words || []).length) {
      const many = words.length > NAMED;
      if (many) {
        const search = make("input");
        search.type = "search";
        search.placeholder = `find one of ${words.length.toLocaleString("en")}`;
        search.setAttribute("aria-label", `find ${name}`);
        search.value = sought;
        search.addEventListener("keydown", (event) => event.stopPropagation());
        search.addEventListener("input", () => {
          sought = search.value;
          const place = search.selectionStart;
          drawLegend();
          const again = legend.querySelector("input");
          again.focus();
          again.setSelectionRange(place, place);
        });
        legend.append(search);
      }
      let shown = 0;
      words.forEach((word, i) => {
        if (many && (shown >= NAMED || !word.toLowerCase().includes(sought.toLowerCase()))) return;
        const nth = shown++;
        const b = make("button", "", word);
        b.type = "button";
        b.title = `Emphasize ${name} ${word}`;
        b.setAttribute("aria-pressed", String(only === i));
        const swatch = make("canvas");
        swatch.width = swatch.height = 24;
        swatch.setAttribute("aria-hidden", "true");
        swatch.dataset.decoration = "";
        const pen = swatch.getContext("2d");
        pen.fillStyle = i < NAMED ? colorOf(i) : "#767676";
        marker(pen, 12, 12, 8, i < NAMED ? shapeOf(i) : 0);
        pen.fill();
        const picture = make("img");
        picture.alt = "";
        picture.src = swatch.toDataURL();
        b.prepend(picture);
        b.addEventListener("click", () => {
          only = only === i ? -1 : i;
          drawLegend();
          legend.querySelectorAll("button")[nth].focus();
          later("base");
        });
        legend.append(b);
      });
    } else {
      const strip = make("span", "ssl-strip");
      strip.style.background = `linear-gradient(to right, ${model.get("palette").join(", ")})`;
      legend.append(make("span", "", low), strip, make("span", "", high));
    }
  };

  // what a person does ----------------------------------------------------------------------------------------------
  const select = (indices) => {
    selected = new Set(indices);
    model.send({ type: "select", indices: [...selected] });
    later("base");
  };
  const pick = (i) => {
    if (i < 0 || i >= data.n) return;
    model.set("picked", i);
    model.save_changes();
    model.send({ type: "pick", index: i });
    later("top");
  };
  const inside = (p, polygon) => {
    const found = [];
    for (let i = 0; i < data.n; i++) {
      const [x, y] = [p.x[i], p.y[i]];
      let odd = false;
      for (let a = 0, b = polygon.length - 1; a < polygon.length; b = a++) {
        const [[xa, ya], [xb, yb]] = [polygon[a], polygon[b]];
        if (ya > y !== yb > y && x < ((xb - xa) * (y - ya)) / (yb - ya) + xa) odd = !odd;
      }
      if (odd) found.push(i);
    }
    return found;
  };

  const listen = (p) => {
    const canvas = p.top;
    let held = null; // what a pressed pointer does
    const fingers = new Map(); // where each is
    const pinch = () => {
      const [[x, y], [u, v]] = fingers.values();
      return { far: Math.hypot(x - u, y - v), x: (x + u) / 2, y: (y + v) / 2 };
    };
    const where = (event) => {
      const box = canvas.getBoundingClientRect();
      const scale = model.get("side") / box.width;
      return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      const [x, y] = where(event);
      fingers.set(event.pointerId, [x, y]);
      if (fingers.size === 2) {
        held = p.lasso = null; // two fingers zoom and move
        return later("top");
      }
      held = { x, y, cx: p.cx, cy: p.cy, lasso: lassoing !== event.shiftKey, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const [x, y] = where(event);
      if (fingers.size === 2 && fingers.has(event.pointerId)) {
        const before = pinch();
        fingers.set(event.pointerId, [x, y]);
        const now = pinch();
        zoom(p, now.far / Math.max(1, before.far), now.x, now.y);
        const unit = (model.get("side") / 2 - PAD) * p.zoom;
        p.cx -= (now.x - before.x) / unit;
        p.cy += (now.y - before.y) / unit;
        return later("base");
      }
      if (!held) {
        at = nearest(p, x, y, NEAR);
        panes.forEach((q) => (q.over = q === p));
        return later("top");
      }
      held.moved ||= Math.hypot(x - held.x, y - held.y) > STILL;
      if (!held.moved) return;
      at = -1;
      if (held.lasso) {
        p.lasso = p.lasso || [[held.x, held.y]];
        p.lasso.push([x, y]);
        later("top");
      } else {
        const unit = (model.get("side") / 2 - PAD) * p.zoom;
        p.cx = held.cx - (x - held.x) / unit;
        p.cy = held.cy + (y - held.y) / unit;
        later("base");
      }
    });
    canvas.addEventListener("pointerup", (event) => {
      fingers.delete(event.pointerId);
      if (!held) return;
      const [x, y] = where(event);
      if (!held.moved) pick(nearest(p, x, y, NEAR));
      else if (p.lasso) {
        const found = inside(p, p.lasso);
        select(event.ctrlKey || event.metaKey ? [...selected, ...found] : found);
      }
      held = p.lasso = null;
      later("top");
    });
    canvas.addEventListener("pointercancel", (event) => {
      fingers.delete(event.pointerId);
      held = p.lasso = null;
    });
    for (const name of ["pointerleave", "blur"])
      canvas.addEventListener(name, () => {
        if (held) return;
        at = -1;
        p.over = false;
        later("top");
      });
    canvas.addEventListener(
      "wheel",
      (event) => {
        if (document.activeElement !== canvas && !event.ctrlKey && !event.metaKey) return; // else the page scrolls
        event.preventDefault();
        event.stopPropagation();
        zoom(p, Math.exp(-event.deltaY / 400), ...where(event));
      },
      { passive: false },
    );
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const ways = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const [side, key] = [model.get("side"), event.key.toLowerCase()];
      if (event.key in ways && event.shiftKey) {
        const unit = (side / 2 - PAD) * p.zoom;
        p.cx += (ways[event.key][0] * side) / 8 / unit;
        p.cy -= (ways[event.key][1] * side) / 8 / unit;
        later("base");
      } else if (event.key in ways) {
        const from = at >= 0 ? at : model.get("picked");
        at = from >= 0 && from < data.n ? towards(p, from, ...ways[event.key]) : nearest(p, side / 2, side / 2, Infinity);
        p.over = true;
        if (p.x[at] < 0 || p.y[at] < 0 || p.x[at] > side || p.y[at] > side) {
          const unit = (side / 2 - PAD) * p.zoom; // what keys reach must be seen
          p.cx += (p.x[at] - side / 2) / unit;
          p.cy -= (p.y[at] - side / 2) / unit;
          later("base");
        }
        later("top");
      } else if (event.key === "Enter") pick(at);
      else if (event.key === " ") {
        if (at >= 0) select(selected.has(at) ? [...selected].filter((i) => i !== at) : [...selected, at]);
      } else if (event.key === "Escape") select([]);
      else if (key === "+" || key === "=") zoom(p, 1.5);
      else if (key === "-") zoom(p, 1 / 1.5);
      else if (key === "0") fit();
      else if (key === "l") setLasso(!lassoing);
      else if (key === "v") select(inside(p, [[0, 0], [side, 0], [side, side], [0, side]]));
      else {
        if (event.key.length === 1) event.stopPropagation(); // a letter would be a command of JupyterLab's
        return;
      }
      event.preventDefault();
      event.stopPropagation();
    });
  };

  const build = () => {
    const titles = model.get("titles");
    if (panes.length !== titles.length) {
      planes.replaceChildren();
      panes = titles.map((_, index) => {
        const p = { index, zoom: 1, cx: 0, cy: 0, over: false, lasso: null };
        p.frame = make("div");
        p.title = make("div", "ssl-title");
        const stack = make("div", "ssl-stack");
        p.base = make("canvas"); // the points; redrawn only where the view changes
        p.top = make("canvas");
        p.top.tabIndex = 0;
        p.top.setAttribute("role", "application");
        stack.append(p.top);
        p.frame.append(p.title, stack);
        planes.append(p.frame);
        listen(p);
        return p;
      });
    }
    titles.forEach((title, i) => {
      panes[i].title.textContent = title;
      panes[i].top.setAttribute(
        "aria-label",
        `${model.get("label")}${title ? `, ${title}` : ""}. Arrow keys go from point to point, Enter picks, ` +
          "Space selects, V selects what is in view, plus, minus and 0 zoom, Shift and arrows move, Escape clears.",
      );
    });
    later("base");
  };
  const loadSheet = async () => {
    const raw = bytes(model, "sheet");
    if (!raw.byteLength) return;
    sheet = await createImageBitmap(new Blob([raw]));
    root.dataset.sheet = "here";
    later("top");
  };

  model.on("change:titles", build);
  for (const name of ["points", "color", "side"]) model.on(`change:${name}`, () => later("base"));
  for (const name of ["picked", "marks"]) model.on(`change:${name}`, () => later("top"));
  model.on("change:told", () => later("top"));
  model.on("change:legend", () => {
    only = -1;
    sought = "";
    drawLegend();
    later("base");
  });
  model.on("change:selected", () => {
    selected = new Set(numbers(model, "selected", Uint32Array));
    later("base");
  });
  model.on("change:sheet", loadSheet);
  const leave = onTheme(() => {
    drawLegend();
    later("base");
  });
  const placed = new ResizeObserver(() => later("base")); // colors are known only once it is on the page
  placed.observe(root);
  selected = new Set(numbers(model, "selected", Uint32Array));
  setLasso(false);
  build();
  drawLegend();
  loadSheet();
  return () => {
    leave();
    placed.disconnect();
  };
}
