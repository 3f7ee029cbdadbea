// Rows of images over many frames, which came once as one sprite: sliding and playing happen here, without the kernel.
// The frame that is seen travels back at most ten times a second; a click on an image as a message of its own.
const GAP = 3; // pixels between two images of a row

async function decode(bytes) {
  return bytes?.byteLength ? createImageBitmap(new Blob([bytes], { type: "image/png" })) : null;
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "ssl-chain";
  const rows = document.createElement("div");
  rows.className = "ssl-chain-rows";
  const bar = document.createElement("div");
  bar.className = "ssl-chain-bar";
  const play = document.createElement("button");
  play.type = "button";
  play.className = "ssl-chain-play";
  const slider = document.createElement("input");
  slider.type = "range";
  slider.min = 0;
  slider.className = "ssl-chain-slider";
  const readout = document.createElement("output");
  readout.setAttribute("aria-live", "polite");
  bar.append(play, slider, readout);
  root.append(rows, bar);
  el.append(root);

  let [sprite, marks, canvases, over] = [null, null, [], []]; // over: the image of each row that keys have reached
  let [at, timer, sent, pending] = [model.get("frame"), null, 0, null];

  const frames = () => model.get("shape")[0] ?? 0;

  const draw = () => {
    if (!sprite) return;
    const [t, n, h, w] = model.get("shape");
    const [scale, columns, count] = [model.get("scale"), model.get("columns"), model.get("names").length];
    if (sprite.width !== columns * n * w || canvases.length !== count) return; // the rest is still on its way
    const down = Math.ceil(t / columns);
    const [left, top] = [Math.floor(at / down) * n * w, (at % down) * count * h];
    canvases.forEach((canvas, row) => {
      const pen = canvas.getContext("2d");
      pen.imageSmoothingEnabled = false;
      for (const picture of [sprite, model.get("marked") ? marks : null]) {
        if (!picture) continue;
        for (let i = 0; i < n; i++)
          pen.drawImage(picture, left + i * w, top + row * h, w, h, i * (w * scale + GAP), 0, w * scale, h * scale);
      }
      if (over[row] >= 0) {
        pen.strokeStyle = "#56b4e9";
        pen.lineWidth = 2;
        pen.strokeRect(over[row] * (w * scale + GAP) + 1, 1, w * scale - 2, h * scale - 2);
      }
    });
    slider.max = t - 1;
    slider.value = at;
    slider.disabled = t < 2;
    play.disabled = t < 2;
    const caption = model.get("captions")[at] ?? `${at} of ${t - 1}`;
    readout.textContent = caption;
    slider.setAttribute("aria-valuetext", caption);
    root.dataset.frame = at;
  };

  const build = () => {
    const [, n, h, w] = model.get("shape");
    const scale = model.get("scale");
    rows.replaceChildren();
    over = model.get("names").map(() => -1);
    canvases = model.get("names").map((name, row) => {
      const line = document.createElement("figure");
      const title = document.createElement("figcaption");
      title.textContent = name;
      const canvas = document.createElement("canvas");
      canvas.width = n * (w * scale + GAP) - GAP;
      canvas.height = h * scale;
      canvas.tabIndex = 0;
      canvas.setAttribute("role", "application");
      canvas.setAttribute("aria-label", `${model.get("label")}, ${name}: ${n} images; arrow keys move, Enter picks`);
      const pick = (index) => model.send({ type: "pick", row: name, index });
      canvas.addEventListener("click", (event) => {
        const box = canvas.getBoundingClientRect();
        pick(Math.min(n - 1, Math.floor(((event.clientX - box.left) / box.width) * n)));
      });
      canvas.addEventListener("keydown", (event) => {
        const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (move) over[row] = Math.max(0, Math.min(n - 1, over[row] + move));
        else if (event.key === "Enter" && over[row] >= 0) pick(over[row]);
        else return;
        event.preventDefault();
        draw();
      });
      canvas.addEventListener("blur", () => {
        over[row] = -1;
        draw();
      });
      line.append(title, canvas);
      rows.append(line);
      return canvas;
    });
    slider.setAttribute("aria-label", `frame of ${model.get("label")}`);
  };

  const tell = () => {
    pending = null;
    sent = performance.now();
    model.set("frame", at);
    model.save_changes();
  };
  const go = (frame) => {
    at = Math.max(0, Math.min(frames() - 1, frame));
    draw();
    if (pending === null) pending = setTimeout(tell, Math.max(0, 100 - (performance.now() - sent)));
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    root.classList.remove("ssl-playing");
  };
  const start = () => {
    if (at >= frames() - 1) go(0);
    play.textContent = "Pause";
    root.classList.add("ssl-playing");
    timer = setInterval(() => (at >= frames() - 1 ? stop() : go(at + 1)), (1000 * model.get("seconds")) / Math.max(1, frames()));
  };
  play.addEventListener("click", () => (timer ? stop() : start()));
  slider.addEventListener("input", () => {
    stop();
    go(Number(slider.value));
  });
  root.addEventListener("keydown", (event) => event.stopPropagation()); // JupyterLab's own keys must not see it

  let turn = 0;
  const load = async () => {
    const mine = ++turn;
    const pictures = await Promise.all([decode(model.get("sprite")), decode(model.get("marks"))]);
    if (mine !== turn) return; // a later one has come meanwhile
    [sprite, marks] = pictures;
    at = Math.min(at, Math.max(0, frames() - 1));
    build();
    draw();
  };
  model.on("change:sprite change:marks change:scale", load);
  model.on("change:marked", draw);
  model.on("change:frame", () => {
    if (model.get("frame") === at || pending !== null) return;
    at = model.get("frame");
    draw();
  });
  stop();
  load();
  return () => {
    clearInterval(timer);
    clearTimeout(pending);
  };
}
export default { render };
