// A button that copies what the kernel answers; where the page may not write to the clipboard, the text stands there
// to be copied by hand.
const SHOWN = 2000; // milliseconds that "Copied" stays

function render({ model, el }) {
  const root = make("div", "ssl-link");
  const button = make("button", "", "Copy link");
  const text = make("input");
  let timer = 0;
  button.type = "button";
  button.title = "Copy a line of text that makes this panel again: stk.open_link(...)";
  text.readOnly = true;
  text.hidden = true;
  text.setAttribute("aria-label", "link to this panel");
  root.append(button, text);
  el.append(root);

  const say = (word) => {
    button.textContent = word;
    clearTimeout(timer);
    timer = setTimeout(() => (button.textContent = "Copy link"), SHOWN);
  };
  const copy = async (link) => {
    try {
      await navigator.clipboard.writeText(link);
      text.hidden = true;
      say("Copied");
    } catch {
      text.value = link;
      text.hidden = false;
      text.focus();
      text.select();
    }
  };
  button.addEventListener("click", () => model.send({ type: "link" }));
  model.on("msg:custom", (message) => message.link && copy(message.link));
  return () => clearTimeout(timer);
}
export default hosted({ render });
