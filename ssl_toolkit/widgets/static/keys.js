// What every panel has and nobody sees. It says aloud what Python asks it to, names the sliders of ipywidgets, and keeps
// the keys that are pressed inside: JupyterLab must not take B for a new cell. What is pressed with Control or the like,
// Escape, Tab and Shift+Enter stay JupyterLab's.
function render({ model, el }) {
  el.classList.add("ssl-unseen");
  el.setAttribute("role", "status");
  const say = () => (el.textContent = model.get("said"));
  model.on("change:said", say);
  say();

  let panel = null;
  let asked = false;
  const keep = (event) => {
    const others = event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key === "Enter");
    if (!others && !["Escape", "Tab"].includes(event.key)) event.stopPropagation();
  };
  const name = () => {
    asked = false;
    for (const handle of panel.querySelectorAll(".noUi-handle:not([aria-label])")) {
      const text = handle.closest(".widget-inline-hbox")?.querySelector("label")?.innerText;
      if (text) handle.setAttribute("aria-label", text);
    }
  };
  const later = () => {
    if (!asked) requestAnimationFrame(name);
    asked = true;
  };
  const made = new MutationObserver(later); // panels show other controls now and then
  const seek = () => {
    panel = el.closest(".ssl-panel") || el.closest(".ssl-player");
    if (!panel) return (frame = requestAnimationFrame(seek)); // not on the page yet
    panel.addEventListener("keydown", keep);
    made.observe(panel, { childList: true, subtree: true });
    later();
  };
  let frame = requestAnimationFrame(seek);
  return () => {
    cancelAnimationFrame(frame);
    made.disconnect();
    if (panel) panel.removeEventListener("keydown", keep);
  };
}
export default hosted({ render });
