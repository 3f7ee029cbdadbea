// A table whose rows can be chosen. Moving by keys stays in the browser; a choice reaches Python as a message.
function render({ model, el }) {
  const root = make("div", "ssl-choice");
  const table = make("table");
  table.setAttribute("role", "grid");
  root.append(table);
  el.append(root);
  let lines = [];
  let at = 0; // the row that keys start from

  const draw = () => {
    const [columns, rows, colors, selected] = ["columns", "rows", "colors", "selected"].map((name) => model.get(name));
    const focused = lines.indexOf(document.activeElement);
    table.setAttribute("aria-label", `${model.get("label")}: arrow keys move, Enter chooses`);
    const heads = make("tr");
    for (const text of columns) {
      const head = make("th", "", text);
      head.scope = "col";
      heads.append(head);
    }
    at = Math.max(0, Math.min(selected < 0 ? at : selected, rows.length - 1));
    lines = rows.map((row, i) => {
      const line = make("tr");
      line.setAttribute("aria-selected", i === selected);
      line.addEventListener("click", () => choose(i));
      line.addEventListener("focus", () => move(i));
      row.forEach((text, c) => {
        const place = make("td", "", text);
        place.setAttribute("role", "gridcell");
        if (c === 0 && colors[i]) {
          const dot = make("span", "ssl-dot");
          dot.style.background = colors[i];
          place.prepend(dot);
        }
        line.append(place);
      });
      return line;
    });
    table.replaceChildren(heads, ...lines);
    move(at);
    if (focused >= 0 && lines[at]) lines[at].focus();
  };
  const move = (to) => {
    at = to;
    lines.forEach((line, i) => (line.tabIndex = i === at ? 0 : -1));
  };
  const choose = (i) => {
    model.set("selected", i);
    model.save_changes();
    model.send({ type: "pick", index: i });
  };
  table.addEventListener("keydown", (event) => {
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: lines.length - 1 }[event.key];
    if (to !== undefined) {
      if (lines[to]) lines[to].focus();
    } else if (event.key === "Enter" || event.key === " ") choose(at);
    else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab's own keys must not see it
  });
  for (const name of ["columns", "rows", "colors", "selected"]) model.on(`change:${name}`, draw);
  draw();
  measureAgain();
}
export default hosted({ render });
