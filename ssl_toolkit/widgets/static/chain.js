// Chains of images that travel once, as bytes, and are played, scrubbed and stepped here, whatever the kernel does.
const GAP = 1; // pixels of a picture between two pictures
const NAMES = 128; // pixels beside the images
const TELL = 100; // milliseconds between two messages that say which frame is shown

function render({ model, el }) {
  const root = make("div", "ssl-chain");
  const rows = make("div", "ssl-chain-rows");
  const bar = make("div", "ssl-chain-bar");
  const button = (text, label) => {
    const b = make("button", "", text);
    b.type = "button";
    b.setAttribute("aria-label", label);
    b.title = label;
    return b;
  };
  const back = button("‹", "One step back (left arrow)");
  const play = button("▶", "Play (space)");
  play.className = "ssl-chain-play";
  const on = button("›", "One step on (right arrow)");
  const slider = make("input");
  slider.type = "range";
  slider.className = "ssl-chain-slider";
  slider.min = 0;
  slider.setAttribute("aria-label", "step of the chain");
  const speed = make("select");
  speed.setAttribute("aria-label", "steps per second");
  speed.title = "Steps per second";
  for (const n of [2, 5, 10, 30]) speed.append(new Option(`${n}/s`, n, n === 10, n === 10));
  const readout = make("output");
  bar.append(back, play, on, slider, speed);
  root.append(rows, bar, readout);
  el.append(root);
  readOutAtRest(readout);

  let canvases = [];
  let at = -1; // the image that keys have moved to
  let frame = 0;
  let timer = 0;
  let told = 0; // the timer of a message that is to go out
  let since = -ECHO; // when the last one went
  let drawn = 0; // frames drawn so far, for whoever measures

  const geometry = () => {
    const [count, frames, n, channels, height, width] = model.get("shape");
    const columns = Math.max(1, Math.min(model.get("columns"), n));
    return { count, frames, n, channels, height, width, columns, lines: Math.ceil(n / columns) };
  };

  const build = () => {
    const g = geometry();
    const scale = model.get("scale");
    rows.replaceChildren();
    canvases = model.get("names").map((name) => {
      const canvas = make("canvas");
      canvas.width = g.columns * (g.width + GAP) - GAP;
      canvas.height = g.lines * (g.height + GAP) - GAP;
      canvas.style.maxWidth = `${canvas.width * scale}px`; // else as wide as its place
      canvas.setAttribute("role", model.get("pickable") ? "application" : "img");
      canvas.setAttribute("aria-label", `${model.get("label")}: ${name}${model.get("pickable") ? "; arrow keys move, Enter picks" : ""}`);
      canvas.classList.toggle("ssl-pickable", model.get("pickable"));
      if (model.get("pickable")) pickable(canvas);
      rows.append(make("span", "ssl-chain-name", name), canvas);
      return canvas;
    });
    // the bar is no longer than the images and their names
    root.style.maxWidth = `${(g.columns * (g.width + GAP) - GAP) * scale + NAMES}px`;
    slider.max = Math.max(0, g.frames - 1);
    bar.style.visibility = g.frames > 1 ? "visible" : "hidden";
    frame = Math.max(0, Math.min(model.get("value"), g.frames - 1));
    draw();
  };

  const pick = (canvas, index) => {
    if (index >= 0 && index < geometry().n) model.send({ type: "pick", row: canvases.indexOf(canvas), index });
  };
  const pickable = (canvas) => {
    canvas.tabIndex = 0;
    canvas.addEventListener("click", (event) => {
      const g = geometry();
      const box = canvas.getBoundingClientRect();
      const column = Math.floor(((event.clientX - box.left) / box.width) * g.columns);
      pick(canvas, Math.floor(((event.clientY - box.top) / box.height) * g.lines) * g.columns + column);
    });
    canvas.addEventListener("blur", () => ((at = -1), draw()));
    canvas.addEventListener("keydown", (event) => {
      const { n, columns } = geometry();
      const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
      if (event.key in steps) at = Math.max(0, Math.min(n - 1, at + steps[event.key]));
      else if (event.key === "Enter") pick(canvas, at);
      else return;
      draw();
      event.preventDefault();
      event.stopPropagation(); // they step the chain elsewhere
    });
  };

  const draw = () => {
    const g = geometry();
    const [pixels, marks] = [bytes(model, "pixels"), model.get("marked") ? bytes(model, "marks") : []];
    const area = g.height * g.width;
    if (pixels.length !== g.count * g.frames * g.n * g.channels * area || canvases.length !== g.count) return;
    const tint = model.get("tint");
    canvases.forEach((canvas, r) => {
      const pen = canvas.getContext("2d");
      const sheet = pen.createImageData(canvas.width, canvas.height); // the gaps stay transparent
      for (let i = 0; i < g.n; i++) {
        const image = (r * g.frames + frame) * g.n + i;
        const [x0, y0] = [(i % g.columns) * (g.width + GAP), Math.floor(i / g.columns) * (g.height + GAP)];
        for (let p = 0; p < area; p++) {
          const to = 4 * ((y0 + Math.floor(p / g.width)) * canvas.width + x0 + (p % g.width));
          const share = marks.length && marks[image * area + p] ? 0.5 : 0;
          for (let c = 0; c < 3; c++) {
            const value = pixels[image * g.channels * area + (g.channels === 3 ? c : 0) * area + p];
            sheet.data[to + c] = value * (1 - share) + tint[c] * share;
          }
          sheet.data[to + 3] = 255;
        }
      }
      pen.putImageData(sheet, 0, 0);
      if (at >= 0 && canvas === document.activeElement) {
        pen.strokeStyle = getComputedStyle(root).getPropertyValue("--ssl-accent");
        pen.strokeRect((at % g.columns) * (g.width + GAP) + 0.5, Math.floor(at / g.columns) * (g.height + GAP) + 0.5, g.width - 1, g.height - 1);
      }
    });
    slider.value = frame;
    const captions = model.get("captions");
    readout.textContent = captions[frame] ?? (g.frames > 1 ? `step ${frame} of ${g.frames - 1}` : "");
    if (!timer) slider.setAttribute("aria-valuetext", readout.textContent); // it is read out
    root.dataset.frame = frame;
    root.dataset.drawn = ++drawn;
  };

  const tell = () => {
    told = 0;
    if (model.get("value") === frame) return;
    since = performance.now();
    model.set("value", frame);
    model.save_changes();
  };
  const show = (to) => {
    const last = geometry().frames - 1;
    frame = Math.max(0, Math.min(last, to));
    draw();
    if (!told) told = setTimeout(tell, TELL);
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    slider.setAttribute("aria-valuetext", readout.textContent);
    root.classList.remove("ssl-playing");
    play.textContent = "▶";
    play.title = "Play (space)";
    play.setAttribute("aria-label", play.title);
  };
  const start = () => {
    if (frame >= geometry().frames - 1) show(0);
    root.classList.add("ssl-playing");
    play.textContent = "❚❚";
    play.title = "Pause (space)";
    play.setAttribute("aria-label", play.title);
    timer = setInterval(() => {
      show(frame + 1);
      if (frame >= geometry().frames - 1) stop();
    }, 1000 / Number(speed.value));
  };
  play.addEventListener("click", () => (timer ? stop() : start()));
  back.addEventListener("click", () => (stop(), show(frame - 1)));
  on.addEventListener("click", () => (stop(), show(frame + 1)));
  slider.addEventListener("input", () => (stop(), show(Number(slider.value))));
  speed.addEventListener("change", () => timer && (stop(), start()));
  root.addEventListener("keydown", (event) => {
    if (event.target === speed) return;
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") stop(), show(frame + (event.key === "ArrowRight" ? 1 : -1));
    else if (event.key === "Home" || event.key === "End") stop(), show(event.key === "Home" ? 0 : geometry().frames - 1);
    else if (event.key === " ") timer ? stop() : start();
    else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab's own keys must not see it
  });
  for (const name of ["shape", "names", "columns", "scale", "pickable"]) model.on(`change:${name}`, build);
  for (const name of ["pixels", "marks", "marked", "captions"]) model.on(`change:${name}`, draw);
  model.on("change:value", () => {
    if (timer || told || model.get("value") === frame) return;
    if (performance.now() - since < ECHO) return tell();
    frame = model.get("value");
    draw();
  });
  build();
  measureAgain();
  return () => (stop(), clearTimeout(told));
}
export default hosted({ render });
