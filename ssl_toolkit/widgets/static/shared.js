// What the canvases share; it stands before each of their files.
const make = (tag, name = "", text = "") => {
  const e = document.createElement(tag);
  e.className = name;
  e.textContent = text;
  return e;
};
const bytes = (model, name) => {
  const raw = model.get(name);
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
// do it again where the theme, and with it every color, has become another; returns how to stop
const onTheme = (action) => {
  const themes = new MutationObserver(action);
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "class"] });
  return () => themes.disconnect();
};
