// A live figure. Python sends what changed, and points that were added are appended to those that are here.
// plotly.js travels once for a page, compressed; every chart on it draws with the same copy.
const HEIGHT = 360; // pixels of a figure that names none
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

function render({ model, el }) {
  const root = make("div", "ssl-chart");
  el.append(root);
  let asked = false, gone = false, drawn = null;

  const draw = async () => {
    if (asked) return; // several changes, one drawing
    asked = true;
    const Plotly = await plotly(model);
    await new Promise(requestAnimationFrame);
    asked = false;
    if (gone) return;
    const { count, data, layout } = model.get("shown");
    root.style.height = `${layout.height ?? HEIGHT}px`; // before it is drawn, so that nothing jumps
    const config = { displaylogo: false, displayModeBar: model.get("toolbar") ? "hover" : false, responsive: false };
    // plotly writes into what it is given
    await Plotly.react(root, structuredClone(data), { ...structuredClone(layout), datarevision: count }, config);
    drawn = Plotly;
  };
  const watch = new ResizeObserver(() => {
    if (drawn && root.clientWidth) drawn.Plots.resize(root);
  });
  watch.observe(root);
  model.on("change:shown", draw);
  draw();
  return () => {
    gone = true;
    watch.disconnect();
    model.off("change:shown", draw);
    drawn?.purge(root);
  };
}
export default hosted({ initialize, render });
