// Shows widgets on a page where no kernel runs. Their state is in the page; our canvases live here as they do anywhere,
// and the controls of ipywidgets are seen as they were left. Whoever loads this adds modules, styles and plotly.js.
const sslToolkit = (() => {
  const NOTE = "No kernel runs here: gray controls rest, the pictures still answer.";
  const REF = "IPY_MODEL_";
  const parts = { modules: {}, styles: {}, plotly: "" };
  const models = new Map();
  const loaded = new Map(); // modules, by their name
  const dressed = new Set(); // styles that are on the page
  const waiting = []; // what is to be drawn once it is on the page

  const node = (tag, name = "", text = "") => {
    const e = document.createElement(tag);
    e.className = name;
    e.textContent = text;
    return e;
  };
  const unpack = async (text, packed = true) => {
    const raw = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    if (!packed || !raw.length) return new DataView(raw.buffer);
    const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new DataView(await new Response(stream).arrayBuffer());
  };

  // what anywidget gives to a module, without a kernel behind it
  const modelOf = (state) => {
    const heard = {};
    const emit = (name, ...told) => [...(heard[name] ?? [])].forEach((action) => action(...told));
    const model = {
      get: (name) => state[name],
      set: (name, value) => {
        if (state[name] === value) return;
        state[name] = value;
        emit(`change:${name}`, model, value);
        emit("change", model);
      },
      on: (names, action) => names.split(" ").forEach((name) => (heard[name] ??= new Set()).add(action)),
      off: (names, action) =>
        (names?.split(" ") ?? Object.keys(heard)).forEach((name) => (action ? heard[name]?.delete(action) : delete heard[name])),
      save_changes: () => {},
      send: async (message) => {
        if (message?.type === "plotly") emit("msg:custom", message, [await unpack(parts.plotly, false)]);
        else if (["pick", "drag"].includes(message?.type)) {
          if (state.marks?.length) model.set("marks", []); // they were of what was picked before
          model.asked?.();
        }
      },
    };
    return model;
  };

  // controls, shown as they were left -----------------------------------------------------------------------------
  const refer = (text) => models.get(String(text).slice(REF.length)) ?? { state: {} };
  const hint = (s) => s.tooltip ?? s.description_tooltip ?? ""; // of ipywidgets 8 and 7
  const labelled = (el, s, name, ...children) => {
    el.classList.add("widget-inline-hbox", name);
    if (s.description) {
      const label = node("label", "widget-label", s.description);
      const width = refer(s.style).state.description_width;
      label.style.width = width || "80px";
      children[0].setAttribute("aria-label", s.description);
      el.append(label);
    }
    el.append(...children);
  };
  const field = (tag, s, values) => {
    const e = Object.assign(node(tag), { disabled: true, title: hint(s) }, values);
    if (!s.description && hint(s)) e.setAttribute("aria-label", hint(s));
    return e;
  };
  const pressed = (s, text, on) => {
    const e = field("button", s, { type: "button", textContent: text });
    e.className = "jupyter-button widget-toggle-button";
    e.setAttribute("aria-pressed", on);
    return e;
  };
  const box = (name) => (el, s) => {
    el.classList.add("widget-box", name);
    el.append(...(s.children ?? []).map((child) => view(String(child).slice(REF.length))));
  };
  const html = (el, s) => {
    const content = node("div", "widget-html-content");
    content.innerHTML = s.value ?? "";
    labelled(el, s, "widget-html", content);
  };
  const menu = (el, s) => {
    const select = field("select", s);
    (s._options_labels ?? []).forEach((text, i) => select.append(new Option(text, i, false, i === s.index)));
    labelled(el, s, "widget-dropdown", select);
  };
  const range = (text) => (el, s) => {
    const options = s._options_labels;
    const slider = field("input", s, { type: "range", min: s.min ?? 0, max: options ? options.length - 1 : s.max, step: "any" });
    slider.value = options ? s.index : s.value;
    labelled(el, s, "widget-slider", slider, ...(s.readout === false ? [] : [node("div", "widget-readout", text(s))]));
  };
  const input = (type) => (el, s) => labelled(el, s, "widget-text", field("input", s, { type, value: s.value ?? "" }));
  const bar = (el, s) => {
    const done = node("div", `progress-bar progress-bar-${s.bar_style ?? ""}`), track = node("div", "progress");
    done.style.width = `${(100 * (s.value - (s.min ?? 0))) / (s.max - (s.min ?? 0) || 1)}%`;
    track.append(done);
    labelled(el, s, "widget-progress", track);
  };
  const unknown = (el, s, kind) => el.append(node("small", "ssl-unknown", `${kind}: not shown without a kernel`));
  const kinds = {
    Box: box("widget-box"), HBox: box("widget-hbox"), VBox: box("widget-vbox"), GridBox: box("widget-gridbox"),
    HTML: html, HTMLMath: html,
    Label: (el, s) => labelled(el, s, "widget-label", node("div", "", s.value ?? "")),
    Dropdown: menu, Select: menu,
    IntSlider: range((s) => String(s.value)), FloatSlider: range((s) => String(s.value)),
    SelectionSlider: range((s) => s._options_labels[s.index]),
    Text: input("text"), Textarea: input("text"), IntText: input("number"), BoundedIntText: input("number"),
    FloatText: input("number"), BoundedFloatText: input("number"),
    FloatProgress: bar, IntProgress: bar,
    Button: (el, s) => {
      el.append(pressed(s, s.description ?? ""));
      el.firstChild.removeAttribute("aria-pressed");
    },
    FileUpload: (el, s) => el.append(pressed(s, s.description ?? "")),
    ToggleButton: (el, s) => el.append(pressed(s, s.description ?? "", s.value)),
    ToggleButtons: (el, s) => labelled(el, s, "widget-toggle-buttons", ...s._options_labels.map((text, i) => pressed(s, text, i === s.index))),
    Checkbox: (el, s) => {
      const line = node("label", "widget-label-basic");
      line.append(field("input", s, { type: "checkbox", checked: s.value }), ` ${s.description ?? ""}`);
      el.append(line);
    },
  };

  // views ---------------------------------------------------------------------------------------------------------
  const place = (el, s) => {
    el.classList.add(...(s._dom_classes ?? []));
    for (const [name, value] of Object.entries(refer(s.layout).state))
      if (name[0] !== "_" && typeof value === "string") el.style.setProperty(name.replaceAll("_", "-"), value);
  };
  const module = (key) => {
    if (!loaded.has(key)) {
      const url = URL.createObjectURL(new Blob([parts.modules[key]], { type: "text/javascript" }));
      loaded.set(key, import(url).then(({ default: made }) => (typeof made === "function" ? made() : made)));
    }
    return loaded.get(key);
  };
  const view = (id) => {
    const el = node("div", "jupyter-widgets");
    const made = models.get(id);
    if (made === undefined) return el;
    place(el, made.state);
    if (made.css !== undefined && !dressed.has(made.css)) {
      dressed.add(made.css); // in the order of the page, as later styles win
      document.head.append(node("style", "", parts.styles[made.css]));
    }
    if (made.esm === undefined) (kinds[made.kind] ?? unknown)(el, made.state, made.kind);
    else waiting.push(async () => {
      const { initialize, render } = await module(made.esm);
      made.begun ??= Promise.resolve(initialize?.({ model: made.model }));
      await made.begun;
      made.model.asked = () => remind(el);
      await render?.({ model: made.model, el });
    });
    return el;
  };
  const remind = (el) => {
    const note = el.closest(".ssl-alone")?.querySelector(".ssl-no-kernel");
    note?.classList.remove("ssl-asked");
    requestAnimationFrame(() => note?.classList.add("ssl-asked"));
  };
  const show = (script) => {
    const root = node("div", "ssl-alone");
    root.append(view(JSON.parse(script.textContent).model_id));
    if (root.querySelector(":disabled")) {
      const note = node("p", "ssl-no-kernel", NOTE);
      const first = root.querySelector(".ssl-panel > *");
      first ? first.after(note) : root.prepend(note);
    }
    script.replaceWith(root);
  };

  // the line in a chart goes where a chain is
  const follow = (chart, { of, places }) =>
    models.get(of)?.model.on("change:value", ({ get }) => {
      const { layout, ...shown } = chart.get("shown"), x = places[get("value")];
      chart.set("shown", { ...shown, layout: { ...layout, shapes: (layout.shapes ?? []).map((line) => ({ ...line, x0: x, x1: x })) } });
    });

  const start = async () => {
    const stored = document.querySelector("script.ssl-state");
    if (!stored) return;
    await Promise.all(
      Object.entries(JSON.parse(stored.textContent)).map(async ([id, made]) => {
        for (const [name, text] of Object.entries(made.bytes ?? {})) made.state[name] = await unpack(text);
        if (made.esm !== undefined && "disabled" in made.state) made.state.disabled = true; // it is a control
        models.set(id, { ...made, model: modelOf(made.state) });
      }),
    );
    for (const { model, state } of models.values()) if (state.ssl_cursor) follow(model, state.ssl_cursor);
    document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]').forEach(show);
    await Promise.all(waiting.map((draw) => draw()));
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const name = () => (document.body.dataset.jpThemeName = dark.matches ? "dark" : "light"); // canvases draw anew
    dark.addEventListener("change", name);
    name();
    document.body.dataset.ssl = "shown";
  };
  document.addEventListener("DOMContentLoaded", start);
  return { add: ({ modules, styles, plotly }) => {
    Object.assign(parts.modules, modules);
    Object.assign(parts.styles, styles);
    parts.plotly ||= plotly ?? "";
  } };
})();
