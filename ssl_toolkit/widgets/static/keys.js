// Keys that are pressed inside a panel are meant for it: JupyterLab must not take B for a new cell. What is pressed with
// Control or the like, Escape, Tab and Shift+Enter stay JupyterLab's.
function render({ el }) {
  el.style.display = "none";
  let panel = null;
  const keep = (event) => {
    const others = event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key === "Enter");
    if (!others && !["Escape", "Tab"].includes(event.key)) event.stopPropagation();
  };
  const seek = () => {
    panel = el.closest(".ssl-panel") || el.closest(".ssl-player");
    if (panel) panel.addEventListener("keydown", keep);
    else frame = requestAnimationFrame(seek); // not on the page yet
  };
  let frame = requestAnimationFrame(seek);
  return () => {
    cancelAnimationFrame(frame);
    if (panel) panel.removeEventListener("keydown", keep);
  };
}
export default hosted({ render });
