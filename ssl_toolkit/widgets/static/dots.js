// All points of one plane. WebGL2 draws them where there is a graphics card, in one context for the whole page, since a
// page may have only a few; its picture is copied to the canvas of the plane. Elsewhere they are blended here, pixel by
// pixel: of 100,000 points in 0.4 of the processor time of WebGL in software, and 0.3 of that of stamps on a 2D canvas.
// A library (regl-scatterplot) would bring its own camera, lasso and keys, and one marker; what we need of it is this.
const NAMED = 24; // values that have a color and a shape of their own
const PER_SHAPE = 8; // colors before the next marker shape
const COLORS = 65; // the longest palette, and the gray of what has no color
const UNCOLORED = "#767676";
const PAGE = Symbol.for("ssl-toolkit.webgl"); // where the page keeps its one context

const VERTEX = `#version 300 es
in vec2 place; in float color; in float lit;
uniform vec2 middle; uniform float scale, size, pass; uniform bool shaped;
uniform vec3 palette[${COLORS}];
out vec3 ink; flat out int form;
void main() {
  bool mine = (lit > 0.5) == (pass > 0.5);
  gl_Position = mine ? vec4((place - middle) * scale, 0.0, 1.0) : vec4(9.0, 9.0, 9.0, 1.0);
  gl_PointSize = size;
  int i = int(color + 0.5);
  ink = palette[i < ${COLORS - 1} ? i : ${COLORS - 1}];
  form = shaped && i < ${NAMED} ? (i / ${PER_SHAPE}) % 3 : 0;
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec3 ink; flat in int form;
uniform float alpha, radius, size;
out vec4 result;
void main() {
  vec2 at = (gl_PointCoord - 0.5) * size; // pixels from the point, y down
  float out_by = form == 0 ? length(at) - radius
    : form == 1 ? max(abs(at.x), abs(at.y)) - 0.9 * radius
    : max(at.y - 0.85 * radius, (abs(at.x) * 2.05 - (at.y + 1.2 * radius) * 1.15) / 2.35);
  float share = alpha * clamp(0.5 - out_by, 0.0, 1.0);
  if (share <= 0.0) discard;
  result = vec4(ink * share, share);
}`;

const marker = (pen, x, y, r, shape) => {
  pen.beginPath();
  if (shape === 0) pen.arc(x, y, r, 0, 2 * Math.PI);
  else if (shape === 1) pen.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  else {
    pen.moveTo(x, y - r * 1.2);
    pen.lineTo(x + r * 1.15, y + r * 0.85);
    pen.lineTo(x - r * 1.15, y + r * 0.85);
    pen.closePath();
  }
};
const shapeOf = (i, named) => (named && i < NAMED ? Math.floor(i / PER_SHAPE) % 3 : 0);

// the page's context and program; null where WebGL2 is refused
const webgl = () => {
  if (window[PAGE] !== undefined && !window[PAGE]?.gl.isContextLost()) return window[PAGE];
  const canvas = document.createElement("canvas");
  const gl = canvas.getContext("webgl2", { antialias: false, depth: false });
  const card = gl && gl.getExtension("WEBGL_debug_renderer_info");
  const name = card ? gl.getParameter(card.UNMASKED_RENDERER_WEBGL) : "";
  if (!gl || /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name)) return (window[PAGE] = null);
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  ["place", "color", "lit"].forEach((name, i) => gl.bindAttribLocation(program, i, name));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return (window[PAGE] = null);
  const at = {};
  for (const name of ["middle", "scale", "size", "pass", "shaped", "palette", "alpha", "radius"])
    at[name] = gl.getUniformLocation(program, name);
  gl.useProgram(program);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  return (window[PAGE] = { canvas, gl, at });
};

// how much of each pixel a marker covers, of one whose middle lies in each of PARTS x PARTS places of a pixel
const PARTS = 4;
const outside = [
  (x, y, r) => Math.hypot(x, y) - r,
  (x, y, r) => Math.max(Math.abs(x), Math.abs(y)) - 0.9 * r,
  (x, y, r) => Math.max(y - 0.85 * r, (Math.abs(x) * 2.05 - (y + 1.2 * r) * 1.15) / 2.35),
];
const masks = (shape, radius, reach) =>
  Array.from({ length: PARTS * PARTS }, (_, part) => {
    const [u, v] = [((part % PARTS) + 0.5) / PARTS - 0.5, (Math.floor(part / PARTS) + 0.5) / PARTS - 0.5];
    return Float32Array.from({ length: (2 * reach + 1) ** 2 }, (_, k) => {
      const [x, y] = [(k % (2 * reach + 1)) - reach - u, Math.floor(k / (2 * reach + 1)) - reach - v];
      return Math.max(0, Math.min(1, 0.5 - outside[shape](x, y, radius)));
    });
  });

// a fixed order that mixes neighbors, so that the last class of sorted data does not cover the others
const mixed = (n) => {
  let step = Math.max(1, Math.round(0.618 * n));
  const divisor = (a, b) => (b ? divisor(b, a % b) : a);
  while (divisor(step, n) > 1) step++;
  return Uint32Array.from({ length: n }, (_, k) => (k * step) % n);
};

const rgb = (color) => {
  const hex = /^#(..)(..)(..)$/.exec(color);
  const parts = hex ? hex.slice(1).map((c) => parseInt(c, 16)) : (color.match(/[\d.]+/g) || [0, 0, 0]).slice(0, 3).map(Number);
  return parts.map((c) => c / 255);
};

// draw({places (2n floats), x, y (n, pixels), color, lit (n bytes), cx, cy, unit, side, ratio, radius, alpha, colors, named,
// share}) on a pen of the same size: `share` of the points. Whoever changes an array hands over another one.
function dots() {
  let page = null;
  let buffers = []; // places, colors, lit, order
  let held = []; // the arrays that they hold
  let order = new Uint32Array(0);
  let picture = null; // what is drawn without a graphics card, and the colors that it is added up from
  let sum = null;

  const upload = (i, target, array) => {
    if (held[i] === array) return;
    const { gl } = page;
    gl.bindBuffer(target, buffers[i]);
    gl.bufferData(target, array, i ? gl.STATIC_DRAW : gl.DYNAMIC_DRAW);
    held[i] = array;
  };
  const byCard = (pen, o) => {
    const { gl, canvas, at } = page;
    const size = Math.round(o.side * o.ratio);
    if (canvas.width < size) canvas.width = canvas.height = size;
    gl.viewport(0, 0, size, size);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    [o.places, o.color, o.lit].forEach((array, i) => {
      upload(i, gl.ARRAY_BUFFER, array);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers[i]);
      gl.enableVertexAttribArray(i);
      gl.vertexAttribPointer(i, i ? 1 : 2, i ? gl.UNSIGNED_BYTE : gl.FLOAT, false, 0, 0);
    });
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffers[3]);
    upload(3, gl.ELEMENT_ARRAY_BUFFER, order);
    const palette = new Float32Array(3 * COLORS);
    for (let i = 0; i < COLORS; i++) palette.set(rgb(o.colors[i] ?? UNCOLORED), 3 * i);
    const radius = o.radius * o.ratio;
    const sprite = Math.ceil(2.6 * radius + 1);
    gl.uniform3fv(at.palette, palette);
    gl.uniform2f(at.middle, o.cx, o.cy);
    gl.uniform1f(at.scale, o.unit / (o.side / 2));
    gl.uniform1f(at.size, sprite);
    gl.uniform1f(at.radius, radius);
    gl.uniform1i(at.shaped, o.named ? 1 : 0);
    for (const pass of o.dimmed ? [0, 1] : [1]) {
      gl.uniform1f(at.pass, pass);
      gl.uniform1f(at.alpha, pass ? o.alpha : 0.16 * o.alpha);
      gl.drawElements(gl.POINTS, Math.ceil(o.share * order.length), gl.UNSIGNED_INT, 0);
    }
    pen.drawImage(canvas, 0, canvas.height - size, size, size, 0, 0, o.side, o.side);
  };
  const byPixels = (pen, o) => {
    const size = Math.round(o.side * o.ratio);
    if (!picture || picture.width !== size) [picture, sum] = [new ImageData(size, size), new Float32Array(4 * size * size)];
    sum.fill(0);
    const radius = o.radius * o.ratio;
    const reach = Math.ceil(1.3 * radius + 0.5);
    const stamps = o.named ? [0, 1, 2].map((shape) => masks(shape, radius, reach)) : [masks(0, radius, reach)];
    const across = 2 * reach + 1;
    const palette = Array.from({ length: COLORS }, (_, i) => rgb(o.colors[i] ?? UNCOLORED).map((c) => 255 * c));
    const some = order.subarray(0, Math.ceil(o.share * order.length));
    for (const pass of o.dimmed ? [0, 1] : [1]) {
      const alpha = pass ? o.alpha : 0.16 * o.alpha;
      for (const i of some) {
        if (o.lit[i] !== pass) continue;
        const [x, y] = [o.x[i] * o.ratio, o.y[i] * o.ratio];
        const [left, top] = [Math.floor(x), Math.floor(y)];
        if (left < -reach || top < -reach || left >= size + reach || top >= size + reach) continue;
        const color = o.color[i] < COLORS - 1 ? o.color[i] : COLORS - 1;
        const [red, green, blue] = palette[color];
        const mask = stamps[shapeOf(o.color[i], o.named)][Math.floor((x - left) * PARTS) + PARTS * Math.floor((y - top) * PARTS)];
        for (let b = 0, k = 0; b < across; b++) {
          const row = top + b - reach;
          if (row < 0 || row >= size) {
            k += across;
            continue;
          }
          for (let a = 0, at = 4 * (row * size + left - reach); a < across; a++, k++, at += 4) {
            const share = mask[k] * alpha;
            if (share === 0 || left + a < reach || left + a - reach >= size) continue;
            const rest = 1 - share; // premultiplied: what is above covers what is below
            sum[at] = sum[at] * rest + red * share;
            sum[at + 1] = sum[at + 1] * rest + green * share;
            sum[at + 2] = sum[at + 2] * rest + blue * share;
            sum[at + 3] = sum[at + 3] * rest + share;
          }
        }
      }
    }
    const { data } = picture;
    for (let at = 0; at < sum.length; at += 4) {
      const share = sum[at + 3];
      data[at + 3] = 255 * share;
      if (share > 0) for (let c = 0; c < 3; c++) data[at + c] = sum[at + c] / share;
    }
    pen.putImageData(picture, 0, 0);
  };
  const release = () => {
    if (page && !page.gl.isContextLost()) buffers.forEach((b) => page.gl.deleteBuffer(b));
    [buffers, held] = [[], []];
  };
  return {
    // says what drew them
    draw: (pen, o) => {
      if (order.length !== o.lit.length) order = mixed(o.lit.length);
      if (!order.length) return "";
      const now = webgl();
      if (now !== page) {
        release(); // of a context that was lost
        page = now;
        if (page) buffers = [0, 1, 2, 3].map(() => page.gl.createBuffer());
      }
      (page ? byCard : byPixels)(pen, o);
      return page ? "webgl2" : "2d";
    },
    release,
  };
}
