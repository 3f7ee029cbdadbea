// A live figure. Python sends what changed, and points that were added are appended to those that are here.
// plotly.js travels once for a page, compressed; every chart on it draws with the same copy.
const HEIGHT = 360; // pixels of a figure that names none
const CELL = 250; // pixels that a plot of a row needs; with less it goes to a row of its own
const BETWEEN = 48; // pixels between two plots of a row, for the numbers of an axis
const BELOW = 64; // and between two rows, for the title of an axis and that of a plot
const LETTER = 6.5; // pixels, about
const NAME = 15; // pixels from one name to the next
const SHARED = Symbol.for("ssl-toolkit plotly");

const compile = async (packed) => {
  const text = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  // a page may have a loader of modules, or a Plotly of its own: this one sees and touches neither
  const whole = `const before = window.Plotly, module = { exports: {} };\n${text}\nwindow.Plotly = before;\nexport default module.exports;`;
  const url = URL.createObjectURL(new Blob([whole], { type: "text/javascript" }));
  try {
    return (await import(url)).default;
  } finally {
    URL.revokeObjectURL(url);
  }
};

// the first chart of a page asks for plotly.js, the others wait for its answer
const plotly = (model) => {
  globalThis[SHARED] ??= new Promise((resolve, reject) => {
    const take = (message, buffers) => {
      if (message.type !== "plotly") return;
      model.off("msg:custom", take);
      const { buffer, byteOffset, byteLength } = buffers[0];
      compile(new Uint8Array(buffer ?? buffers[0], byteOffset, byteLength)).then(resolve, reject);
    };
    model.on("msg:custom", take);
    model.send({ type: "plotly" });
  });
  return globalThis[SHARED];
};

const changed = (trace, { added, set }) => {
  const whole = { ...trace, ...set };
  for (const [name, values] of Object.entries(added ?? {})) whole[name] = [...trace[name], ...values];
  return whole;
};

// once for each model, however many views there are
function initialize({ model }) {
  model.on("msg:custom", (message) => {
    if (message.type === "whole") return model.set("shown", message.shown);
    if (message.type !== "change") return;
    const { count, data, layout } = model.get("shown");
    if (message.count <= count) return; // what the page got when it was loaded has it already
    if (message.count > count + 1) return model.send({ type: "whole" });
    const traces = data.map((trace, i) => (i in message.traces ? changed(trace, message.traces[i]) : trace));
    model.set("shown", { count: message.count, data: traces, layout: { ...layout, ...message.layout } });
  });
}

// The lines that have names, which stand at their ends in place of a legend; none where something else is in the legend.
const namedLines = (data, layout) => {
  const shown = data.filter((t) => t.name && t.showlegend !== false && Array.isArray(t.y) && t.y.length && layout.showlegend !== false);
  const lines = shown.filter((t) => (t.type ?? "scatter") === "scatter" && (t.mode ?? "lines").includes("lines"));
  return lines.length === shown.length ? lines : [];
};
const axesOf = (layout) =>
  Object.keys(layout).filter((name) => /^xaxis\d*$/.test(name)).map((name) => name.slice(5)).sort((a, b) => a - b);

// The layout for so many pixels: plots of a row go below one another where it is narrow, and names have room.
const arranged = (data, given, width, quiet) => {
  const layout = structuredClone(given);
  layout.font = { ...layout.font, color: quiet };
  if (!width || layout.width) return layout;
  layout.width = width;
  const lines = namedLines(data, layout);
  const room = (axis) => {
    const here = lines.filter((t) => (t.xaxis ?? "x") === `x${axis}`).map((t) => t.name.length);
    return here.length ? Math.min(0.3 * width, 18 + LETTER * Math.max(...here)) : 0;
  };
  const margin = { l: 48, r: 8, t: 26, b: 44, ...layout.margin };
  const all = axesOf(layout), height = layout.height ?? HEIGHT;
  if (lines.length) {
    layout.showlegend = false;
    layout.height = height - Math.max(0, margin.b - 48);
    margin.b = Math.min(margin.b, 48);
  }
  layout.margin = margin;
  const inARow = all.length > 1 && all.every((i) => String(layout[`yaxis${i}`]?.domain ?? [0, 1]) === "0,1");
  const W = width - margin.l - margin.r;
  if (!inARow) {
    const most = Math.max(0, ...all.map(room));
    for (const i of all) {
      const [from, to] = layout[`xaxis${i}`].domain ?? [0, 1];
      layout[`xaxis${i}`].domain = [from, to - most / W];
    }
    return layout;
  }
  const columns = Math.max(1, Math.min(all.length, Math.floor(width / CELL)));
  const rows = Math.ceil(all.length / columns);
  const H = (layout.height ?? height) - margin.t - margin.b; // of one plot
  const whole = rows * H + (rows - 1) * BELOW;
  layout.height = whole + margin.t + margin.b;
  const words = (i) => {
    const bars = data.filter((t) => t.orientation === "h" && (t.xaxis ?? "x") === `x${i}`).flatMap((t) => t.y ?? []);
    return Math.max(margin.l, BETWEEN, ...bars.map((word) => 10 + LETTER * String(word).length));
  };
  all.forEach((i, k) => {
    const [row, column] = [Math.floor(k / columns), k % columns];
    const cell = (W + margin.l) / Math.min(columns, all.length - row * columns); // the last row may have fewer
    const left = column * cell - margin.l + words(i);
    const right = (column + 1) * cell - margin.l - 8 - room(i);
    const [x, y] = [layout[`xaxis${i}`], layout[`yaxis${i}`]];
    x.domain = [left / W, Math.min(1, right / W)];
    const top = 1 - (row * (H + BELOW)) / whole;
    y.domain = [Math.max(0, top - H / whole), top];
    const title = layout.annotations?.[k];
    if (title?.xref === "paper" && title?.yref === "paper") [title.x, title.y] = [(x.domain[0] + x.domain[1]) / 2, top];
  });
  return layout;
};

function render({ model, el }) {
  const root = make("div", "ssl-chart");
  el.append(root);
  let asked = false, gone = false, drawn = null;
  let width = 0; // that it was drawn for

  // the names of lines, each where its line ends, and none over another
  const write = () => {
    root.querySelectorAll(".ssl-line-name").forEach((name) => name.remove());
    const full = root._fullLayout, { data, layout } = model.get("shown");
    if (!full || !root.clientWidth || layout.width) return;
    const ends = new Map();
    for (const line of namedLines(data, layout)) {
      const i = (line.xaxis ?? "x").slice(1), [x, y] = [full[`xaxis${i}`], full[`yaxis${i}`]];
      const value = line.y.findLast((v) => v !== null);
      if (!x?._length || !Number.isFinite(value)) continue;
      const place = Math.max(0, Math.min(y._length, y.d2p(value)));
      if (!ends.has(i)) ends.set(i, []);
      ends.get(i).push({ line, left: x._offset + x._length + 5, top: y._offset + place, last: y._offset + y._length });
    }
    for (const [i, names] of ends) {
      names.sort((a, b) => a.top - b.top);
      names.forEach((name, k) => k && (name.top = Math.max(name.top, names[k - 1].top + NAME)));
      for (let k = names.length - 1, limit = names[k].last - NAME / 2; k >= 0; k--, limit -= NAME)
        names[k].top = Math.min(names[k].top, limit);
      const next = axesOf(full).map((j) => full[`xaxis${j}`]._offset).filter((left) => left > names[0].left);
      const end = Math.min(root.clientWidth, ...next.map((left) => left - 30));
      for (const { line, left, top } of names) {
        const name = make("span", "ssl-line-name", line.name.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&"));
        name.style.cssText = `left: ${left}px; top: ${top - NAME / 2}px; max-width: ${Math.max(20, end - left)}px`;
        name.style.setProperty("--ssl-mark", line.line?.color ?? "currentColor");
        name.style.setProperty("--ssl-dash", (line.line?.dash ?? "solid") === "solid" ? "solid" : "dotted");
        root.append(name);
      }
    }
  };

  const draw = async () => {
    if (asked) return; // several changes, one drawing
    asked = true;
    const Plotly = await plotly(model);
    await new Promise(requestAnimationFrame);
    asked = false;
    if (gone) return;
    const { count, data, layout } = model.get("shown");
    const quiet = getComputedStyle(root).getPropertyValue("--ssl-quiet").trim();
    const fitted = arranged(data, layout, (width = root.clientWidth), quiet);
    root.style.height = `${fitted.height ?? HEIGHT}px`; // before it is drawn, so that nothing jumps
    const bar = model.get("toolbar") && matchMedia("(hover: hover)").matches ? "hover" : false; // else it never goes
    const config = { displaylogo: false, displayModeBar: bar, responsive: false };
    await Plotly.react(root, structuredClone(data), { ...fitted, datarevision: count }, config); // it writes into both
    if (gone) return;
    if (!drawn) root.on("plotly_relayout", write);
    drawn = Plotly;
    write();
  };
  const watch = new ResizeObserver(() => {
    if (root.clientWidth && root.clientWidth !== width) draw();
  });
  watch.observe(root);
  const leave = onTheme(draw);
  model.on("change:shown", draw);
  draw();
  return () => {
    gone = true;
    watch.disconnect();
    leave();
    model.off("change:shown", draw);
    drawn?.purge(root);
  };
}
export default hosted({ initialize, render });
