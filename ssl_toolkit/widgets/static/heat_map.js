// A table of numbers in color. It draws what Python computed; hovering and moving by keys stay in the browser, and a
// pick reaches Python as a message of its own.
function render({ model, el }) {
  const root = make("div", "ssl-heat");
  const table = make("table");
  table.setAttribute("role", "grid");
  const scale = make("div", "ssl-scale");
  const readout = make("output");
  root.append(table, scale, readout);
  el.append(root);
  readOutAtRest(readout);

  let places = [];
  let shape = "";
  let at = 0; // the place that keys start from
  let told = -1; // the one that is read out

  const say = (i) => {
    told = i;
    readout.textContent = (model.get("tiles")[i >= 0 ? i : model.get("selected")] || {}).caption || "";
  };

  const build = () => {
    const [rows, columns, names] = ["rows", "columns", "names"].map((name) => model.get(name));
    if (shape === JSON.stringify([rows, columns, names])) return;
    shape = JSON.stringify([rows, columns, names]);
    places = [];
    at = 0;
    const top = make("tr");
    const title = make("th", "ssl-name", names[1]);
    title.colSpan = columns.length || 1;
    top.append(make("td", "ssl-corner"), title);
    top.firstChild.style.cssText = "cursor: default; min-width: 0; height: 0; padding: 0";
    const heads = make("tr");
    heads.append(make("th", "ssl-name", names[0]));
    for (const text of columns) {
      const head = make("th", "", text);
      head.scope = "col";
      heads.append(head);
    }
    table.replaceChildren(top, heads);
    rows.forEach((text, r) => {
      const row = make("tr");
      const head = make("th", "", text);
      head.scope = "row";
      row.append(head);
      columns.forEach((_, c) => {
        const place = make("td");
        const i = r * columns.length + c;
        place.setAttribute("role", "gridcell");
        place.addEventListener("pointerenter", () => say(i));
        place.addEventListener("pointerleave", () => say(-1));
        place.addEventListener("focus", () => (move(i), say(i)));
        place.addEventListener("blur", () => say(-1));
        place.addEventListener("click", () => pick(i));
        places.push(place);
        row.append(place);
      });
      table.append(row);
    });
    measureAgain(); // and where the table had another width
  };

  const draw = () => {
    build();
    const [tiles, best, selected, bar] = ["tiles", "best", "selected", "scale"].map((name) => model.get(name));
    if (tiles.length !== places.length) return; // the names travel first
    table.setAttribute("aria-label", `${model.get("label")}: arrow keys move, Enter picks`);
    places.forEach((place, i) => {
      const { text, color, ink, state, caption } = tiles[i];
      place.textContent = text;
      place.className = `ssl-tile-${state}${i === best ? " ssl-best" : ""}`;
      place.style.backgroundColor = color;
      place.style.color = ink;
      place.tabIndex = i === at ? 0 : -1;
      place.setAttribute("aria-selected", i === selected);
      place.setAttribute("aria-label", caption);
    });
    scale.replaceChildren();
    scale.style.display = (bar.colors || []).length ? "" : "none";
    if (scale.style.display === "") {
      const strip = make("div", "ssl-bar");
      strip.style.background = `linear-gradient(to right, ${bar.colors.join(", ")})`;
      scale.append(make("span", "", bar.low), strip, make("span", "", bar.high));
      if (bar.chance !== null) {
        const tick = make("div", "ssl-chance");
        tick.style.left = `${100 * bar.chance}%`;
        strip.append(tick);
        scale.append(make("span"), make("span", "ssl-words", bar.words));
      }
    }
    say(told);
  };

  const pick = (i) => {
    const columns = model.get("columns").length;
    const chosen = i === model.get("selected") ? -1 : i;
    move(Math.max(0, i));
    model.set("selected", chosen);
    model.save_changes();
    model.send({ type: "pick", row: chosen < 0 ? -1 : Math.floor(chosen / columns), column: chosen < 0 ? -1 : chosen % columns });
    draw();
  };
  const move = (to) => {
    at = to;
    places.forEach((place, i) => (place.tabIndex = i === at ? 0 : -1));
  };
  table.addEventListener("keydown", (event) => {
    const columns = model.get("columns").length;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    if (event.key in steps) {
      const to = at + steps[event.key];
      if (to >= 0 && to < places.length) move(to);
      places[at].focus();
    } else if (event.key === "Enter" || event.key === " ") pick(at);
    else if (event.key === "Escape") pick(model.get("selected"));
    else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab's own keys must not see it
  });
  for (const name of ["rows", "columns", "names", "tiles", "best", "selected", "scale"]) model.on(`change:${name}`, draw);
  draw();
}
export default hosted({ render });
