// What the canvases share; it stands before each of their files.
const make = (tag, name = "", text = "") => {
  const e = document.createElement(tag);
  e.className = name;
  e.textContent = text;
  return e;
};
const bytes = (model, name) => {
  const raw = model.get(name);
  if (!raw) return new Uint8Array(0); // Colab brings no bytes with the first state; they follow
  if (typeof raw === "string") return Uint8Array.from(atob(raw), (letter) => letter.charCodeAt(0)); // base64, on a page of MyST
  return new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength);
};
// a copy, since bytes may lie where numbers of this type may not begin
const numbers = (model, name, Type) => new Type(bytes(model, name).slice().buffer);
// a value that a hand has passed since may come back from the kernel this many milliseconds after it was told
const ECHO = 500;
// a plotly figure beside a canvas was measured before both were on the page
const measureAgain = () => requestAnimationFrame(() => window.dispatchEvent(new Event("resize")));
// Words that change many times a second are for the eye; a screen reader hears them when they have come to rest.
const QUIET = 700; // milliseconds without a change
const readOutAtRest = (words) => {
  const spoken = make("div", "ssl-unseen");
  spoken.setAttribute("role", "status");
  words.setAttribute("aria-live", "off"); // an output is read out by itself
  words.after(spoken);
  let timer = 0;
  const watch = new MutationObserver(() => {
    clearTimeout(timer);
    timer = setTimeout(() => (spoken.textContent = words.textContent), QUIET);
  });
  watch.observe(words, { childList: true, characterData: true, subtree: true });
  return words;
};
// a canvas that keys reach, and the words below it
const canvasWithWords = (el, name) => {
  const root = make("div", name), canvas = make("canvas"), readout = make("output");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  root.append(canvas, readout);
  el.append(root);
  readOutAtRest(readout);
  return { root, canvas, readout };
};
// A page without a kernel may give a model that sends nothing and throws where it would save, as MyST's does, or hears
// one name at a time: the canvas lives on, and nobody is told.
const hosted = (widget) => {
  const attempt = (act) => {
    try {
      act();
    } catch (error) {
      console.debug(error);
    }
  };
  const quiet = (model) => ({
    get: (name) => model.get(name),
    set: (name, value) => model.set(name, value),
    on: (names, action) => names.split(" ").forEach((name) => model.on(name, action)),
    off: (name, action) => model.off(name, action),
    send: (...told) => attempt(() => model.send(...told)),
    save_changes: () => attempt(() => model.save_changes()),
  });
  return Object.fromEntries(Object.entries(widget).map(([name, act]) => [name, ({ model, ...given }) => act({ ...given, model: quiet(model) })]));
};
// do it again where the theme, and with it every color, has become another; returns how to stop
const onTheme = (action) => {
  const themes = new MutationObserver(action);
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "class"] });
  return () => themes.disconnect();
};
