// The same points at many moments. All of them travel, so that they are run through here, whatever the kernel does.
const UNIT = 8192; // of the numbers that travel: from the middle of a plane to its edge
const GLIDE = 150; // milliseconds from one moment to the next
const LOOP = 4000; // milliseconds for all moments
const REST = 900; // milliseconds at the last one, before they begin anew
const TELL = 120; // milliseconds that a hand rests before the kernel hears of it: what it redraws would stop the motion
const TELL_PLAYING = 500; // milliseconds between two such messages while it plays

function history({ model, el }) {
  const root = make("div", "ssl-history");
  const empty = make("div", "ssl-history-empty", model.get("empty"));
  const holder = make("div");
  const bar = make("div", "ssl-history-bar");
  const play = make("button");
  play.type = "button";
  const slider = make("input");
  slider.type = "range";
  slider.step = "any";
  slider.setAttribute("aria-label", "moment of the training");
  slider.title = "Run through the training (left and right arrows)";
  const caption = make("output");
  bar.append(play, slider, caption);
  readOutAtRest(caption);
  root.append(holder);
  el.append(root);

  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let moments = new Int16Array(0); // of all points, one moment after the other
  let now = new Float32Array(0); // where the points are drawn, in [-1, 1]
  let at = 0; // the moment that is shown: between two of them while it moves
  let aim = 0; // the moment that it moves to
  let motion = 0; // the next frame that is asked for
  let playing = false;
  let held = false; // whether a hand is on the slider
  let told = 0; // the timer of a message that is to go out
  let since = -ECHO; // when the last one went
  let drawn = 0; // frames drawn so far, for whoever measures
  let redraw = () => {};

  const last = () => model.get("captions").length - 1;
  const where = (t) => {
    const [from, part] = [Math.floor(t), t - Math.floor(t)];
    const n = moments.length / (last() + 1);
    const a = moments.subarray(from * n, (from + 1) * n);
    const b = part ? moments.subarray((from + 1) * n, (from + 2) * n) : a;
    return Float32Array.from(a, (x, i) => (x + part * (b[i] - x)) / UNIT);
  };
  // the points as they are drawn, and the way of one of them up to now
  const view = {
    get: (name) => (name === "points" ? now : model.get(name)),
    set: (name, value) => model.set(name, value),
    save_changes: () => model.save_changes(),
    send: (message) => model.send(message),
    on: (name, action) => (name === "change:points" ? (redraw = action) : model.on(name, action)),
    trail: (i, plane) => {
      const n = moments.length / (last() + 1);
      const place = 2 * i + (plane * n) / Math.max(1, model.get("titles").length);
      const way = [];
      for (let t = 0; t < at; t++) way.push([moments[t * n + place] / UNIT, moments[t * n + place + 1] / UNIT]);
      return [...way, [now[place], now[place + 1]]];
    },
  };

  const words = () => {
    const text = model.get("captions")[Math.round(at)] ?? "";
    slider.value = at;
    slider.style.setProperty("--ssl-done", `${(100 * at) / slider.max}%`);
    if (caption.textContent !== text) caption.textContent = text;
    if (!playing) slider.setAttribute("aria-valuetext", text); // it is read out
    root.dataset.moment = Math.round(at);
    root.dataset.drawn = ++drawn;
  };
  const put = (t) => {
    at = aim = Math.max(0, Math.min(last(), t));
    now = where(at);
    redraw();
    words();
  };
  const rest = () => {
    cancelAnimationFrame(motion);
    motion = 0;
  };
  const glide = (to) => {
    rest();
    aim = to;
    const goal = where(to);
    if (still.matches || goal.length !== now.length) return put(to);
    const [from, start, begun] = [now, at, performance.now()];
    const move = () => {
      const f = Math.min(1, (performance.now() - begun) / GLIDE);
      const ease = f * f * (3 - 2 * f);
      if (f === 1) return (motion = 0), put(to);
      at = start + ease * (to - start);
      now = from.map((x, i) => x + ease * (goal[i] - x));
      redraw();
      words();
      motion = requestAnimationFrame(move);
    };
    move();
  };
  const tell = () => {
    if (told && playing) return;
    clearTimeout(told);
    told = setTimeout(() => {
      told = 0;
      if (last() < 0 || model.get("value") === Math.round(aim)) return;
      since = performance.now();
      model.set("value", Math.round(aim));
      model.save_changes();
    }, playing ? TELL_PLAYING : TELL);
  };
  const show = (to) => {
    stop();
    glide(Math.max(0, Math.min(last(), to)));
    tell();
  };

  const name = () => {
    play.textContent = playing ? "❚❚" : "▶";
    play.title = playing ? "Pause (space)" : "Play the training (space)";
    play.setAttribute("aria-label", play.title);
    root.classList.toggle("ssl-playing", playing);
  };
  const stop = () => {
    if (playing) rest();
    playing = false;
    name();
    words();
  };
  const start = () => {
    playing = true;
    name();
    rest();
    let begun = performance.now() - (at < last() ? (at / last()) * LOOP : 0);
    const move = () => {
      const past = performance.now() - begun;
      if (past > LOOP + REST) begun = performance.now();
      put((Math.min(past, LOOP) / LOOP) * last());
      tell();
      motion = requestAnimationFrame(move);
    };
    move();
  };
  const toggle = () => (playing ? show(Math.round(at)) : start());

  const offer = () => {
    const some = last() >= 0;
    empty.hidden = some;
    holder.classList.toggle("ssl-nothing", !some); // no tools for it, and no stop of the keys
    slider.max = Math.max(1, last());
    slider.disabled = play.disabled = model.get("live") || last() < 1;
    if (slider.disabled) stop();
  };
  const read = () => {
    moments = numbers(model, "history", Int16Array);
    offer();
    if (last() < 0) {
      [now, at, aim] = [new Float32Array(0), 0, 0];
      redraw();
      return words();
    }
    if (!playing) glide(Math.min(model.get("value"), last()));
  };

  play.addEventListener("click", toggle);
  slider.addEventListener("pointerdown", () => (held = true));
  for (const end of ["pointerup", "pointercancel", "change"])
    slider.addEventListener(end, () => {
      if (!held) return;
      held = false;
      show(Math.round(at));
    });
  slider.addEventListener("input", () => {
    const to = Number(slider.value); // before what stops says where it was
    stop();
    rest();
    put(to);
    tell();
  });
  bar.addEventListener("keydown", (event) => {
    if (slider.disabled || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5 }[event.key];
    if (by) show(Math.round(aim) + by);
    else if (event.key === "Home" || event.key === "End") show(event.key === "Home" ? 0 : last());
    else if (event.key === " ") toggle();
    else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab's own keys must not see it
  });

  name();
  const leave = points({ model: view, el: holder });
  holder.querySelector(".ssl-planes").append(empty);
  holder.querySelector(".ssl-planes").after(bar);
  model.on("change:history", read);
  model.on("change:live", offer);
  model.on("change:value", () => {
    const to = model.get("value");
    if (playing || held || told || to > last() || to === aim) return;
    if (performance.now() - since < ECHO) tell();
    else glide(to);
  });
  read();
  return () => {
    rest();
    clearTimeout(told);
    leave();
  };
}
export default hosted({ render: history });
