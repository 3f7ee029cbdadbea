// One image to paint a mask on: strokes are drawn here at once, and reach Python when the pointer is lifted.
function render({ model, el }) {
  const root = make("div", "ssl-mask");
  const canvas = make("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", `${model.get("label")}: drag to paint, shift wipes; arrow keys move, space paints`);
  root.append(canvas);
  el.append(root);

  const small = make("canvas");
  let bits = new Uint8Array();
  let [held, wipes, last, cursor] = [false, false, null, null];

  const draw = () => {
    const [c, h, w] = model.get("shape");
    const [pixels, scale, area, tint] = [bytes(model, "pixels"), model.get("scale"), h * w, model.get("tint")];
    if (pixels.length !== c * area || bits.length !== area) return; // the rest is still on its way
    [small.width, small.height, canvas.width, canvas.height] = [w, h, w * scale, h * scale];
    const picture = new ImageData(w, h);
    for (let p = 0; p < area; p++) {
      for (let k = 0; k < 3; k++) picture.data[4 * p + k] = bits[p] ? tint[k] : pixels[(c === 3 ? k : 0) * area + p];
      picture.data[4 * p + 3] = 255;
    }
    small.getContext("2d").putImageData(picture, 0, 0);
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, 0, 0, w * scale, h * scale);
    if (cursor) {
      pen.strokeStyle = getComputedStyle(root).getPropertyValue("--ssl-accent");
      pen.lineWidth = 2;
      pen.strokeRect(cursor[0] * scale, cursor[1] * scale, scale, scale);
    }
  };

  const dab = ([x, y], value) => {
    const [, h, w] = model.get("shape");
    const before = Math.floor((model.get("brush") - 1) / 2);
    for (let j = 0; j < model.get("brush"); j++)
      for (let i = 0; i < model.get("brush"); i++) {
        const [a, b] = [x - before + i, y - before + j];
        if (a >= 0 && a < w && b >= 0 && b < h) bits[b * w + a] = value;
      }
  };
  const line = (from, to, value) => {
    const steps = Math.max(1, Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]));
    for (let k = 0; k <= steps; k++)
      dab([0, 1].map((axis) => Math.round(from[axis] + ((to[axis] - from[axis]) * k) / steps)), value);
    draw();
  };
  const tell = () => {
    model.set("bits", new DataView(bits.slice().buffer));
    model.set("painted", model.get("painted") + 1);
    model.save_changes();
  };
  const under = (event) => {
    const [, h, w] = model.get("shape");
    const box = canvas.getBoundingClientRect();
    return [Math.floor(((event.clientX - box.left) / box.width) * w), Math.floor(((event.clientY - box.top) / box.height) * h)];
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    [held, wipes, last, cursor] = [true, event.shiftKey, under(event), null];
    line(last, last, wipes ? 0 : 1);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) return;
    const now = under(event);
    line(last, now, wipes ? 0 : 1);
    last = now;
  });
  const lift = () => {
    if (held) tell();
    held = false;
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("keydown", (event) => {
    const [, h, w] = model.get("shape");
    const moves = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    if (event.key in moves) {
      const [x, y] = cursor ?? [w >> 1, h >> 1];
      const [dx, dy] = moves[event.key];
      cursor = [Math.max(0, Math.min(w - 1, x + dx)), Math.max(0, Math.min(h - 1, y + dy))];
      draw();
    } else if (event.key === " " && cursor) {
      line(cursor, cursor, event.shiftKey ? 0 : 1);
      tell();
    } else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab's own keys must not see it
  });
  canvas.addEventListener("blur", () => {
    cursor = null;
    draw();
  });

  const take = () => {
    if (held) return; // a stroke is not undone by what comes meanwhile
    bits = bytes(model, "bits").slice();
    draw();
  };
  model.on("change:bits change:pixels change:scale", take);
  take();
}
export default hosted({ render });
