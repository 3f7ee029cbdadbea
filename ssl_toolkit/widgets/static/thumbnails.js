// The small images of points: one sheet that travelled with them, or, of very many, those that are looked at, asked for
// by their numbers. What is read out of very many rows comes with them.
const ASKED = 64; // in one message
const KEPT = 64; // answers that are kept

function thumbnails(model, arrived) {
  let sheet = null;
  let wanted = [];
  let waiting = new Set(); // of the message that is on its way
  let sent = 0; // when it was
  const answers = []; // the last ones
  const known = new Map(); // index -> {picture, place, told}
  const size = () => {
    const [w, h] = model.get("tile");
    return { w, h };
  };

  const load = async () => {
    const raw = model.get("sheet");
    if (!raw || !raw.byteLength) return (sheet = null);
    sheet = await createImageBitmap(new Blob([raw]));
    arrived(true);
  };
  const ask = () => {
    if (waiting.size && performance.now() - sent < 3000) return; // one at a time; an answer may get lost
    wanted = wanted.filter((i) => !known.has(i));
    const some = wanted.slice(0, ASKED);
    wanted = [];
    if (!some.length) return;
    waiting = new Set(some);
    sent = performance.now();
    model.send({ type: "look", indices: some });
  };
  const answered = async (content, buffers) => {
    if (content.type !== "look") return;
    const picture = buffers && buffers.length ? await createImageBitmap(new Blob([buffers[0]])) : null;
    content.indices.forEach((i, place) => known.set(i, { picture, place, told: content.told[place], columns: content.columns }));
    answers.push(content.indices);
    if (answers.length > KEPT) answers.shift().forEach((i) => known.delete(i));
    waiting = new Set();
    arrived(false);
    ask();
  };
  model.on("change:sheet", load);
  model.on("msg:custom", answered);
  load();
  return {
    // look at these: the most important first
    want: (indices) => {
      if (!model.get("asks")) return;
      wanted = indices.filter((i) => !known.has(i) && !waiting.has(i));
      ask();
    },
    forget: () => [known.clear(), (answers.length = 0), (waiting = new Set())],
    told: (i) => known.get(i)?.told,
    any: () => size().w > 0 && (sheet !== null || model.get("asks")),
    // draw one, `across` pixels wide, and say how high it is; 0 where it is not here yet
    draw: (pen, i, x, y, across) => {
      const { w, h } = size();
      const [tw, th] = model.get("pitch");
      const one = sheet ? { picture: sheet, place: i, columns: model.get("tile")[2] } : known.get(i);
      if (!w || !one || !one.picture) return 0;
      const high = across * (h / w);
      pen.imageSmoothingEnabled = false;
      pen.drawImage(one.picture, (one.place % one.columns) * tw, Math.floor(one.place / one.columns) * th, w, h, x, y, across, high);
      return high;
    },
    shape: () => (size().w ? size().h / size().w : 1),
  };
}
