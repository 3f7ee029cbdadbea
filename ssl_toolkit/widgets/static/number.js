// A number: a slider with the number itself beside it, which can be typed. What Python set stays as it is, to the last
// bit, until a hand moves it; then it is a mark of the slider, and marks are decimal numbers.
function render({ model, el }) {
  const root = make("div", "ssl-number widget-inline-hbox");
  const name = make("label", "widget-label");
  const track = make("div", "ssl-number-track");
  const handle = make("div", "noUi-handle ssl-number-handle");
  const field = make("div", "widget-readout");
  handle.setAttribute("role", "slider");
  field.setAttribute("role", "textbox");
  track.append(handle);
  root.append(name, track, field);
  el.append(root);

  let value = model.get("value"); // what is shown: that of the model, but while a hand holds the handle
  let held = false;

  const [log, low, high, step] = ["log", "min", "max", "step"].map((trait) => model.get(trait));
  const place = (v) => (log ? (v > 0 ? Math.log10(v) : -Infinity) : v); // on the scale of the slider
  const mark = (k) => {
    const p = Math.max(low, Math.min(high, low + k * step));
    return log ? Number((10 ** p).toPrecision(2)) : Number(p.toFixed(10));
  };
  const at = (v) => (place(v) - low) / step; // in steps from the left
  const last = Math.round((high - low) / step);
  const inside = (v) => Math.max(model.get("least") ?? -Infinity, Math.min(model.get("most") ?? Infinity, v));

  const draw = () => {
    const text = String(value);
    name.textContent = model.get("description");
    name.title = model.get("tooltip") || "";
    name.style.width = model.get("label_width");
    handle.style.left = `${100 * Math.max(0, Math.min(1, at(value) / last))}%`;
    if (document.activeElement !== field) field.textContent = text;
    for (const part of [handle, field]) {
      part.setAttribute("aria-label", model.get("description"));
      part.setAttribute("aria-disabled", model.get("disabled"));
      part.tabIndex = model.get("disabled") ? -1 : 0;
    }
    field.title = handle.title = `${model.get("tooltip") || model.get("description")}: ${text}`;
    field.contentEditable = String(!model.get("disabled"));
    handle.setAttribute("aria-valuenow", value);
    handle.setAttribute("aria-valuetext", text);
    handle.setAttribute("aria-valuemin", mark(0));
    handle.setAttribute("aria-valuemax", mark(last));
    root.classList.toggle("ssl-disabled", model.get("disabled"));
    root.dataset.value = text;
  };
  const tell = () => {
    if (model.get("value") === value) return;
    model.set("value", value);
    model.save_changes();
  };
  const move = (to, now) => {
    value = inside(to);
    draw();
    if (now) tell();
  };

  const follow = (event) => {
    const box = track.getBoundingClientRect();
    const k = Math.round(((event.clientX - box.left) / box.width) * last);
    move(mark(Math.max(0, Math.min(last, k))), model.get("continuous_update"));
  };
  track.addEventListener("pointerdown", (event) => {
    if (event.button || model.get("disabled")) return;
    event.preventDefault(); // no text is selected on the way
    handle.focus();
    track.setPointerCapture(event.pointerId);
    held = true;
    if (event.target !== handle) follow(event);
  });
  track.addEventListener("pointermove", (event) => held && follow(event));
  for (const end of ["pointerup", "pointercancel"])
    track.addEventListener(end, () => {
      if (!held) return;
      held = false;
      tell();
    });
  handle.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5 }[event.key];
    const near = at(value); // the next mark on that side, also of a number between two of them
    const to = by === undefined ? { Home: 0, End: last }[event.key] : by > 0 ? Math.floor(near + 1e-6) + by : Math.ceil(near - 1e-6) + by;
    if (to !== undefined && !model.get("disabled")) {
      move(mark(Math.max(0, Math.min(last, to))), true);
      event.preventDefault();
    }
    if (to !== undefined || event.key.length === 1) event.stopPropagation(); // JupyterLab's own keys must not see it
  });
  const typed = () => {
    const text = field.textContent.trim().replace(",", ".");
    if (text !== "" && Number.isFinite(Number(text))) move(Number(text), true);
    field.textContent = String(value);
  };
  field.addEventListener("blur", typed);
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") field.textContent = String(value);
    if (event.key === "Enter") {
      event.preventDefault();
      typed();
    }
  });

  model.on("change:value", () => {
    if (held) return;
    value = model.get("value");
    draw();
  });
  for (const trait of ["description", "disabled", "tooltip", "label_width"]) model.on(`change:${trait}`, draw);
  draw();
}
export default hosted({ render });
