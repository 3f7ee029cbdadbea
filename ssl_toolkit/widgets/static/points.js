// A hundred thousand points in one or two planes, the same images in each. Hovering, panning, zooming and the lasso stay
// in the browser. A pick, a selection and a search reach Python as messages of their own.
const NEAR = 14; // pixels from a point at which it is still meant
const STILL = 4; // pixels that a click may move
const THUMB = 96; // pixels a side of the image that hovering shows, at most
const PAD = 16; // pixels around the points
const CLOSE = 4; // zoom from which images stand in place of dots
const ROOM = 44; // pixels a side that such an image has, at least
const LARGEST = 64; // pixels a side of it
const FULL = 0.6; // of the plane that is covered by dots: from here on, contours say where most of them are
const UNDONE = 50; // selections that can be brought back
const BUDGET = 20; // milliseconds that the dots of one frame may take while a hand moves the plane: some of them, if need be
const SETTLE = 200; // milliseconds after which it is at rest, and all of them are drawn
const WAIT = 150; // milliseconds that the pointer rests before images around it are asked for

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
  let asked = false; // for the thumbnails
  let selected = new Set();
  let past = []; // selections before this one, and those that were undone
  let future = [];
  let lit = new Uint8Array(0); // which points are brought out
  let dimmed = false; // whether some are not
  let closeUps = null; // images in place of dots: as the zoom has it, or as a person said
  let contours = null; // in the same way: as crowded as the plane is, or as said
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
  const undo = button("Undo", "The selection before (Control+Z; Control+Shift+Z redoes)", () => step(past, future));
  const clear = button("Clear", "Select nothing", () => select([]));
  const toggles = [
    button("Images", "Images in place of dots (I); by itself from a zoom of four", () => show("closeUps")),
    button("Contours", "Lines around the densest places (C); by themselves where dots cover the plane", () => show("contours")),
  ];
  const search = make("input", "ssl-find");
  search.type = "search";
  search.placeholder = "find";
  search.title = "Select what is called so: a class or a name (Enter)";
  search.setAttribute("aria-label", search.title);
  bar.append(search);
  const setLasso = (on) => {
    lassoing = on;
    modes.forEach((b, i) => b.setAttribute("aria-pressed", String(Boolean(i) === on)));
    root.classList.toggle("ssl-lassoing", on);
  };

  const floats = (name) => numbers(model, name, Float32Array);
  const pictures = thumbnails(model, (whole) => {
    if (whole) root.dataset.sheet = "here";
    later("base");
  });
  let data = { n: 0, raw: {} };
  const read = () => {
    // what has not changed stays the same array, which the graphics card has already
    const raw = Object.fromEntries(["points", "color", "values"].map((name) => [name, model.get(name)]));
    const old = data;
    const same = (name) => old.raw[name] === raw[name];
    data = { raw };
    data.points = same("points") && old.planes?.length === panes.length ? old.points : floats("points");
    data.n = panes.length ? Math.floor(data.points.length / 2 / panes.length) : 0;
    data.planes =
      data.points === old.points ? old.planes : panes.map((_, k) => data.points.subarray(2 * data.n * k, 2 * data.n * (k + 1)));
    const fitting = (array, kept) => (array.length === data.n ? array : kept(array));
    data.color = same("color") && old.n === data.n ? old.color : fitting(bytes(model, "color").slice(), () => new Uint8Array(data.n));
    data.values = same("values") && old.n === data.n ? old.values : fitting(floats("values"), () => new Float32Array(data.n));
    if (data.values !== old.values) light();
  };
  const light = () => {
    lit = new Uint8Array(data.n);
    let count = 0;
    for (let i = 0; i < data.n; i++)
      if ((only < 0 || data.values?.[i] === only) && (!selected.size || selected.has(i))) count += lit[i] = 1;
    dimmed = count < data.n;
  };

  // whether a hand moves the plane; when it rests, all is drawn
  let movingUntil = 0;
  let settling = 0;
  const moved = () => {
    movingUntil = performance.now() + SETTLE;
    clearTimeout(settling);
    settling = setTimeout(() => later("base"), SETTLE + 10);
    later("base");
  };

  // geometry ------------------------------------------------------------------------------------------------------
  const place = (p) => {
    // points lie in [-1, 1]; the view of a pane says which of them its canvas shows, and how large
    const half = model.get("side") / 2;
    const unit = (half - PAD) * p.zoom;
    const from = 2 * data.n * p.index;
    p.x = p.x && p.x.length === data.n ? p.x : new Float32Array(data.n);
    p.y = p.y && p.y.length === data.n ? p.y : new Float32Array(data.n);
    p.seen = 0;
    for (let i = 0; i < data.n; i++) {
      const x = (p.x[i] = half + (data.points[from + 2 * i] - p.cx) * unit);
      const y = (p.y[i] = half - (data.points[from + 2 * i + 1] - p.cy) * unit);
      if (lit[i] && x > 0 && y > 0 && x < 2 * half && y < 2 * half) p.seen++;
    }
  };
  const zoom = (p, by, x = model.get("side") / 2, y = x) => {
    const half = model.get("side") / 2;
    const before = (half - PAD) * p.zoom;
    p.zoom = Math.max(0.5, Math.min(200, p.zoom * by));
    const after = (half - PAD) * p.zoom;
    p.cx += (x - half) * (1 / before - 1 / after); // what is under the pointer stays there
    p.cy -= (y - half) * (1 / before - 1 / after);
    moved();
  };
  const fit = () => {
    panes.forEach((p) => Object.assign(p, { zoom: 1, cx: 0, cy: 0 }));
    closeUps = contours = null;
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
    return hex === undefined ? UNCOLORED : hex === "#000000" ? ink() : hex;
  };
  const named = () => (model.get("legend").words || []).length > 0;
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
  const radius = (p) =>
    (data.n > 20000 ? 1.3 : data.n > 4000 ? 1.8 : data.n > 1000 || model.get("side") < 300 ? 2.6 : 3.6) * Math.min(2.5, p.zoom ** 0.4);
  const covered = (p) => (p.seen * Math.PI * radius(p) ** 2) / model.get("side") ** 2;
  const imagesIn = (p) => (closeUps ?? p.zoom >= CLOSE) && pictures.any();
  const contoursIn = (p) => contours ?? covered(p) > FULL;

  const drawBase = () => {
    read();
    const ratio = window.devicePixelRatio || 1;
    const colors = model.get("palette").map((_, i) => colorOf(i));
    for (const p of panes) {
      place(p);
      const pen = start(p.base);
      const side = model.get("side");
      const share = performance.now() < movingUntil ? Math.min(1, BUDGET / Math.max(1, p.cost || 0)) : 1;
      // where dots lie upon dots, all are seen through
      const alpha = Math.max(0.25, Math.min(0.8, 0.8 / (share * covered(p))));
      const look = { x: p.x, y: p.y, cx: p.cx, cy: p.cy, unit: (side / 2 - PAD) * p.zoom, side, ratio };
      const what = { places: data.planes[p.index], color: data.color, lit, dimmed, colors, named: named() };
      const began = performance.now();
      root.dataset.renderer = p.dots.draw(pen, { ...look, ...what, radius: radius(p), alpha, share });
      p.cost = (performance.now() - began) / share;
      root.dataset.share = share;
      if (contoursIn(p)) drawContours(pen, { x: p.x, y: p.y, lit }, side, ink());
      if (imagesIn(p)) drawImages(pen, p);
    }
    root.dataset.drawn = data.n;
    root.dataset.frames = Number(root.dataset.frames || 0) + 1; // for whoever measures
    if (data.n && !asked && !pictures.any()) {
      asked = true;
      model.send({ type: "sheet" });
    }
    clear.disabled = !selected.size;
    undo.disabled = !past.length;
    const on = [panes.some(imagesIn), panes.some(contoursIn)];
    toggles.forEach((b, i) => b.setAttribute("aria-pressed", String(on[i])));
    toggles[0].style.display = pictures.any() ? "" : "none";
    search.style.display = model.get("findable") || told().length ? "" : "none";
  };
  // one image for each square of a grid that moves with the points, of the point in its middle
  const drawImages = (pen, p) => {
    const [side, half] = [model.get("side"), model.get("side") / 2];
    const unit = (half - PAD) * p.zoom;
    const room = ROOM * 2 ** (Math.log2(p.zoom) - Math.floor(Math.log2(p.zoom))); // from one doubling to the next
    const [left, top] = [Math.floor((p.cx * unit - half) / room), Math.floor((-p.cy * unit - half) / room)];
    const m = Math.ceil(side / room) + 2;
    const [best, least] = [new Int32Array(m * m).fill(-1), new Float32Array(m * m).fill(Infinity)];
    const [dx, dy] = [p.cx * unit - half - left * room, -p.cy * unit - half - top * room];
    for (let i = 0; i < data.n; i++) {
      if (!lit[i]) continue;
      const [u, v] = [(p.x[i] + dx) / room, (p.y[i] + dy) / room];
      const [a, b] = [Math.floor(u), Math.floor(v)];
      if (a < 0 || b < 0 || a >= m || b >= m) continue;
      const away = (u - a - 0.5) ** 2 + (v - b - 0.5) ** 2;
      if (away < least[b * m + a]) [best[b * m + a], least[b * m + a]] = [i, away];
    }
    const shown = [...best].filter((i) => i >= 0 && p.x[i] > 0 && p.y[i] > 0 && p.x[i] < side && p.y[i] < side);
    const size = Math.min(LARGEST, 0.82 * room) / Math.max(1, pictures.shape());
    const high = size * pictures.shape();
    p.images = 0;
    for (const i of shown) {
      const [x, y] = [p.x[i] - size / 2, p.y[i] - high / 2];
      pen.fillStyle = colorOf(data.color[i]);
      pen.fillRect(x - 2, y - 2, size + 4, high + 4);
      if (pictures.draw(pen, i, x, y, size)) p.images++;
      else pen.clearRect(x, y, size, high);
    }
    root.dataset.images = p.images;
    pictures.want(shown);
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
    const high = size * pictures.shape();
    if (!pictures.any() || !pictures.draw(pen, i, x, y, size)) return;
    pen.fillStyle = paper();
    pen.fillRect(x - 3, y - 3, size + 6, high + 6);
    pictures.draw(pen, i, x, y, size);
    pen.strokeStyle = ink();
    pen.lineWidth = 1;
    pen.strokeRect(x - 2.5, y - 2.5, size + 5, high + 5);
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
  const told = () => model.get("told") || [];
  const valueOf = (i) => {
    const { name, words } = model.get("legend");
    if (!name) return "";
    const value = data.values[i];
    if ((words || []).length && value < 0) return `${name} unknown`;
    return `${name} ${(words || [])[value] ?? (Number.isFinite(value) ? value.toPrecision(3) : "unknown")}`;
  };
  const say = () => {
    const i = at >= 0 ? at : model.get("picked");
    const one = i >= 0 && i < data.n ? told()[i] ?? pictures.told(i) ?? `image ${i}, ${valueOf(i)}` : data.n ? model.get("hint") : "";
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
        pen.fillStyle = i < NAMED ? colorOf(i) : UNCOLORED;
        marker(pen, 12, 12, 8, shapeOf(i, true));
        pen.fill();
        const picture = make("img");
        picture.alt = "";
        picture.src = swatch.toDataURL();
        b.prepend(picture);
        b.addEventListener("click", () => {
          only = only === i ? -1 : i;
          light();
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
  const take = (indices) => {
    selected = new Set(indices);
    light();
    later("base");
  };
  // what was told from here comes back, perhaps when it is no longer what is selected
  let echoes = [];
  const sign = (indices) => {
    let [sum, mix] = [0, 0];
    for (const i of indices) [sum, mix] = [sum + i, mix ^ Math.imul(i + 1, 0x9e3779b1)];
    return `${indices.length} ${sum} ${mix}`;
  };
  const tell = () => {
    const indices = [...selected];
    echoes = [...echoes.slice(-UNDONE), sign(indices)];
    model.send({ type: "select", indices });
  };
  const remember = () => {
    past = [...past.slice(1 - UNDONE), [...selected]];
    future = [];
  };
  const select = (indices) => {
    remember();
    take(indices);
    tell();
  };
  // the selection before, or after, which changes places with this one
  const step = (from, to) => {
    if (!from.length) return;
    to.push([...selected]);
    take(from.pop());
    tell();
  };
  // what a lasso does to the selection: Shift adds, Alt takes away
  const combined = (found, how) => {
    const all = new Set(how ? selected : []);
    for (const i of found) how === "less" ? all.delete(i) : all.add(i);
    return all;
  };
  const show = (what) => {
    if (what === "closeUps") closeUps = !panes.some(imagesIn);
    else contours = !panes.some(contoursIn);
    later("base");
  };
  const find = (text) => {
    const sought = text.trim().toLowerCase();
    if (!sought) return select([]);
    const words = told();
    if (model.get("findable") || words.length < data.n) model.send({ type: "find", text: sought });
    else select(words.flatMap((word, i) => (word.toLowerCase().includes(sought) ? [i] : [])));
  };
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") find(search.value);
    event.stopPropagation();
  });
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

  // the point that is looked at and, when the pointer rests, those around it
  let resting = 0;
  const lookAround = (p) => {
    clearTimeout(resting);
    if (at < 0 || !model.get("asks")) return;
    pictures.want([at]);
    resting = setTimeout(() => {
      if (at < 0 || at >= data.n) return;
      const near = [];
      for (let i = 0; i < data.n && near.length < 32; i++)
        if (Math.abs(p.x[i] - p.x[at]) < 3 * NEAR && Math.abs(p.y[i] - p.y[at]) < 3 * NEAR) near.push(i);
      pictures.want([at, ...near]);
    }, WAIT);
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
      const how = event.shiftKey ? "add" : event.altKey ? "less" : "";
      held = { x, y, cx: p.cx, cy: p.cy, lasso: lassoing || how !== "", how, moved: false };
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
        lookAround(p);
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
        moved();
      }
    });
    canvas.addEventListener("pointerup", (event) => {
      fingers.delete(event.pointerId);
      if (!held) return;
      const [x, y] = where(event);
      if (!held.moved) pick(nearest(p, x, y, NEAR));
      else if (p.lasso) {
        select(combined(inside(p, p.lasso), held.how));
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
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
        event.shiftKey ? step(future, past) : step(past, future);
        event.preventDefault();
        return event.stopPropagation();
      }
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
        lookAround(p);
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
      else if (key === "i") show("closeUps");
      else if (key === "c") show("contours");
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
      panes.forEach((p) => p.dots.release());
      panes = titles.map((_, index) => {
        const p = { index, zoom: 1, cx: 0, cy: 0, over: false, lasso: null, seen: 0, dots: dots() };
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
          "Space selects, V selects what is in view, plus, minus and 0 zoom, Shift and arrows move, I shows images, " +
          "C contours, Control and Z undoes, Escape clears.",
      );
    });
    later("base");
  };
  model.on("change:titles", build);
  for (const name of ["points", "color", "side"]) model.on(`change:${name}`, () => later("base"));
  for (const name of ["picked", "marks"]) model.on(`change:${name}`, () => later("top"));
  model.on("change:told", () => later("base"));
  for (const name of ["asks", "findable"]) model.on(`change:${name}`, () => (pictures.forget(), later("base")));
  model.on("change:legend", () => {
    only = -1;
    sought = "";
    light();
    drawLegend();
    later("base");
  });
  model.on("change:selected", () => {
    const indices = [...numbers(model, "selected", Uint32Array)];
    const echo = echoes.indexOf(sign(indices));
    echoes = echoes.slice(echo + 1);
    if (echo >= 0 || sign(indices) === sign([...selected])) return;
    remember();
    take(indices);
  });
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
  return () => {
    clearTimeout(resting);
    clearTimeout(settling);
    panes.forEach((p) => p.dots.release());
    leave();
    placed.disconnect();
  };
}
