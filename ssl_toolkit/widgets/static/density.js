// Lines of equal density of points on a canvas: each encloses the densest places that hold a share of them.
const CELL = 4; // pixels
const SHARES = [0.9, 0.7, 0.5, 0.3, 0.1];
const BLUR = [3, 3, 2]; // cells to each side, of boxes one after the other: nearly a Gaussian

const blurred = (grid, m) => {
  let [from, to] = [grid, new Float32Array(m * m)];
  for (const r of BLUR)
    for (const [step, line] of [[1, m], [m, 1]]) {
      for (let a = 0; a < m; a++) {
        let sum = 0;
        for (let b = -r; b < m; b++) {
          if (b + r < m) sum += from[a * line + (b + r) * step];
          if (b - r - 1 >= 0) sum -= from[a * line + (b - r - 1) * step];
          if (b >= 0) to[a * line + b * step] = sum / (2 * r + 1);
        }
      }
      [from, to] = [to, from];
    }
  return from;
};
// the densities above which lie these shares of the points
const levelsOf = (grid) => {
  const sorted = Float32Array.from(grid).sort().reverse();
  const total = sorted.reduce((a, b) => a + b, 0);
  const levels = [];
  let [sum, k] = [0, 0];
  for (const share of [...SHARES].reverse()) {
    while (k < sorted.length && sum < share * total) sum += sorted[k++];
    levels.push(sorted[Math.max(0, k - 1)]);
  }
  return levels;
};
const drawContours = (pen, { x, y, lit }, side, color) => {
  const m = Math.ceil(side / CELL) + 2;
  let grid = new Float32Array(m * m);
  for (let i = 0; i < x.length; i++) {
    const [a, b] = [Math.floor(x[i] / CELL) + 1, Math.floor(y[i] / CELL) + 1];
    if (lit[i] && a >= 0 && b >= 0 && a < m && b < m) grid[b * m + a] += 1;
  }
  grid = blurred(grid, m);
  pen.strokeStyle = color;
  pen.lineWidth = 1;
  levelsOf(grid).forEach((level, k) => {
    if (!(level > 0)) return;
    pen.globalAlpha = 0.75 - 0.1 * k;
    pen.beginPath();
    for (let b = 0; b + 1 < m; b++)
      for (let a = 0; a + 1 < m; a++) {
        // marching squares: where the level crosses the sides of a cell, clockwise from above
        const v = [grid[b * m + a], grid[b * m + a + 1], grid[(b + 1) * m + a + 1], grid[(b + 1) * m + a]];
        const crossings = [];
        for (let s = 0; s < 4; s++) {
          const [p, q] = [v[s], v[(s + 1) % 4]];
          if (p > level === q > level) continue;
          const t = (level - p) / (q - p);
          const [u, w] = [[t, 0], [1, t], [1 - t, 1], [0, 1 - t]][s];
          crossings.push([(a + u - 0.5) * CELL, (b + w - 0.5) * CELL]);
        }
        for (let c = 0; c + 1 < crossings.length; c += 2) {
          pen.moveTo(...crossings[c]);
          pen.lineTo(...crossings[c + 1]);
        }
      }
    pen.stroke();
  });
  pen.globalAlpha = 1;
};
