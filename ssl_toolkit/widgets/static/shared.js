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
  return new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength);
};
// a copy, since bytes may lie where numbers of this type may not begin
const numbers = (model, name, Type) => new Type(bytes(model, name).slice().buffer);
// a value that a hand has passed since may come back from the kernel this many milliseconds after it was told
const ECHO = 500;
// a plotly figure beside a canvas was measured before both were on the page
const measureAgain = () => requestAnimationFrame(() => window.dispatchEvent(new Event("resize")));
// a canvas that keys reach, and the words below it that are read out
const canvasWithWords = (el, name) => {
  const root = make("div", name), canvas = make("canvas"), readout = make("output");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  readout.setAttribute("aria-live", "polite");
  root.append(canvas, readout);
  el.append(root);
  return { root, canvas, readout };
};
