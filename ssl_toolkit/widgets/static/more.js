// A button that shows and hides what stands after it, by a rule of card.css. No kernel is asked, so it answers while one is busy.
function render({ model, el }) {
  const button = make("button", "ssl-more-button");
  button.type = "button";
  el.append(button);
  const draw = () => {
    button.textContent = model.get("text");
    button.setAttribute("aria-expanded", model.get("opened"));
    measureAgain(); // a plot that was hidden has no size
  };
  button.addEventListener("click", () => {
    model.set("opened", !model.get("opened"));
    model.save_changes();
  });
  for (const name of ["opened", "text"]) model.on(`change:${name}`, draw);
  draw();
}
export default { render };
