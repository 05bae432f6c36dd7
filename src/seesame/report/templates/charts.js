"use strict";
// Small plots in SVG: lines over the pairs that one can jump from, and the rate-distortion plot.
function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Three significant digits, never in powers of ten for what a page holds.
function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  if (size < 1e-6) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

function percent(value) { return `${(100 * value).toFixed(2)}\u00a0%`; }

// Round values inside a range, about `count` of them.
function marks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-9); i += 1) found.push(i * step);
  return found;
}

const scales = {
  linear: { to: (value) => value, marks: (low, high) => marks(low, high, 4) },
  root: {
    to: (value) => Math.sqrt(Math.max(value, 0)),
    marks: (low, high) => {
      const found = [0, high / 8, high / 2.5, high / 1.1].map((value) => Number(value.toPrecision(1)));
      return [...new Set(found)].filter((value) => value <= high);
    },
  },
};

// Lines over the pairs. `options`: title, series [{name, colour, values, plain}], scale, format, height.
class Timeline {
  constructor(host, options) {
    this.options = { scale: "linear", format: short, height: 92, ...options };
    this.pair = 0;
    this.host = host;
    this.title = make("span", { class: "title" }, this.options.title);
    this.values = make("span", { class: "values" });
    this.box = make("div", {
      class: "chart", tabindex: "0", role: "slider", "aria-label": `${this.options.title}, by pair`,
      "aria-valuemin": "0", "aria-valuemax": String(PAIRS - 1), "aria-valuenow": "0",
    });
    host.replaceChildren(make("p", { class: "caption" }, this.title, this.values), this.box);
    this.listen();
    new ResizeObserver(() => this.layout()).observe(this.box);
    followers.push((frame) => this.follow(pairOf(frame)));
  }

  listen() {
    const at = (event) => {
      const box = this.box.getBoundingClientRect();
      const share = (event.clientX - box.left - this.left) / (this.width - this.left - 6);
      return Math.max(0, Math.min(PAIRS - 1, Math.round(share * (PAIRS - 1))));
    };
    let down = false;
    this.box.addEventListener("pointerdown", (event) => {
      down = true;
      this.box.setPointerCapture(event.pointerId);
      jump(2 * at(event) + 1);
    });
    this.box.addEventListener("pointerup", () => { down = false; });
    this.box.addEventListener("pointercancel", () => { down = false; });
    this.box.addEventListener("pointermove", (event) => {
      if (down) jump(2 * at(event) + 1);
      else this.read(at(event));
    });
    this.box.addEventListener("pointerleave", () => this.read(this.pair));
    this.box.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 10 : 1;
      const to = {
        ArrowLeft: this.pair - step, ArrowRight: this.pair + step, ArrowDown: this.pair - step,
        ArrowUp: this.pair + step, PageDown: this.pair - 10, PageUp: this.pair + 10, Home: 0,
        End: PAIRS - 1,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      jump(2 * Math.max(0, Math.min(PAIRS - 1, to)) + 1);
    });
  }

  layout() {
    const { series, height, format } = this.options;
    const scale = scales[this.options.scale];
    this.width = Math.max(this.box.clientWidth, 120);
    const all = series.flatMap((one) => one.values);
    const top = all.reduce((most, value) => Math.max(most, value), this.options.centred ? -Infinity : 0);
    const floor = this.options.centred ? all.reduce((least, v) => Math.min(least, v), Infinity) : 0;
    const room = (top - floor || 1) * 0.06;
    const [low, high] = this.options.centred ? [floor - room, top + room] : [0, top || 1];
    this.left = this.options.narrow ? 34 : 46;
    const x = (pair) => this.left + ((this.width - this.left - 6) * pair) / Math.max(PAIRS - 1, 1);
    const y = (value) => {
      const [a, b] = [scale.to(low), scale.to(high)];
      return 4 + (height - 10) * (1 - (scale.to(value) - a) / (b - a));
    };
    this.x = x;
    const svg = draw("svg", { width: this.width, height, viewBox: `0 0 ${this.width} ${height}`, "aria-hidden": "true" });
    for (const mark of scale.marks(low, high)) {
      svg.append(draw("line", { class: "grid", x1: this.left, x2: this.width - 6, y1: y(mark), y2: y(mark) }));
      svg.append(draw("text", { class: "tick", x: this.left - 6, y: y(mark) + 3.5, "text-anchor": "end" }, (this.options.mark ?? short)(mark)));
    }
    for (const one of series) {
      const points = one.values.map((value, pair) => `${x(pair).toFixed(1)} ${y(value).toFixed(1)}`);
      svg.append(draw("path", { class: one.plain ? "curve plain" : "curve", d: `M${points.join("L")}`, style: `stroke: ${one.colour}` }));
    }
    this.line = draw("line", { class: "now", y1: 0, y2: height });
    svg.append(this.line);
    this.box.replaceChildren(svg);
    this.follow(this.pair);
  }

  follow(pair) {
    this.pair = pair;
    this.box.setAttribute("aria-valuenow", pair);
    if (!this.line) return;
    this.line.setAttribute("x1", this.x(pair));
    this.line.setAttribute("x2", this.x(pair));
    this.read(pair);
  }

  read(pair) {
    const { series, format } = this.options;
    const words = series.map((one) =>
      make("span", {}, make("i", { style: `background: ${one.colour}` }), format(one.values[pair])));
    this.values.replaceChildren(`pair ${pair}`, ...words);
    const spoken = series.map((one) => `${one.name} ${format(one.values[pair])}`).join(", ");
    this.box.setAttribute("aria-valuetext", `pair ${pair}: ${spoken}`);
  }
}

// Files by their bytes and their distortion, with the Pareto front and lines of equal score.
function ratePlot(host) {
  const layout = () => {
    const width = Math.max(host.clientWidth, 240);
    const height = Math.max(240, Math.min(380, width * 0.5));
    const [left, right, top, bottom] = [46, 16, 12, 38];
    const bytes = files.map((file) => file.compressed_bytes);
    const wide = data.tried.length ? 3 : 1.5;
    const [low, high] = [Math.min(...bytes) / wide, Math.max(...bytes) * wide];
    const most = (data.tried.length ? 1.5 : 1.15) * Math.max(...files.map((file) => file.distortion)) || 1;
    const inside = ([size, distortion]) => size >= low && size <= high && distortion <= most;
    const x = (value) => left + ((width - left - right) * Math.log(value / low)) / Math.log(high / low);
    const y = (value) => top + (height - top - bottom) * (1 - value / most);
    const svg = draw("svg", {
      width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `Bytes and distortion: ${files.map((f) => `${f.file} ${f.compressed_bytes} bytes, ${short(f.distortion)}`).join("; ")}`,
    });
    for (const mark of marks(0, most, 4)) {
      svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: y(mark), y2: y(mark) }));
      svg.append(draw("text", { class: "tick", x: left - 8, y: y(mark) + 4, "text-anchor": "end" }, short(mark)));
    }
    let free = -Infinity;
    for (let power = 0; power < 12; power += 1) {
      for (const factor of [1, 1.5, 2, 3, 5, 7]) {
        const value = factor * 10 ** power;
        if (value < low || value > high || x(value) < free) continue;
        free = x(value) + 62;
        svg.append(draw("text", { class: "tick", x: x(value), y: height - bottom + 18, "text-anchor": "middle" }, value.toLocaleString("en")));
        svg.append(draw("line", { class: "grid", x1: x(value), x2: x(value), y1: top, y2: height - bottom }));
      }
    }
    svg.append(draw("text", { class: "tick", x: width - right, y: height - 4, "text-anchor": "end" }, "bytes"));
    equalScores(svg, { x, y, low, high, most, left, bottom: height - bottom });
    for (const [size, distortion] of data.tried.filter(inside)) {
      svg.append(draw("circle", { class: "tried", cx: x(size), cy: y(distortion), r: 2.2 }));
    }
    const points = data.front.filter(inside).map(([size, distortion]) => `${x(size)} ${y(distortion)}`);
    if (points.length) svg.append(draw("path", { class: "pareto", d: `M${points.join("L")}` }));
    files.forEach((file, index) => {
      const [px, py] = [x(file.compressed_bytes), y(file.distortion)];
      svg.append(draw("circle", { class: "dot", cx: px, cy: py, r: 6, style: `fill: ${colourOf(index)}` },
        draw("title", {}, `${file.file}: ${file.compressed_bytes.toLocaleString("en")} bytes, distortion ${file.distortion}, score ${file.score}`)));
      const end = px > width * 0.62;
      const name = file.file.length > 28 ? `${file.file.slice(0, 27)}…` : file.file;
      svg.append(draw("text", { class: "label", x: px + (end ? -11 : 11), y: py - 8, "text-anchor": end ? "end" : "start" }, name));
    });
    host.replaceChildren(svg);
  };
  new ResizeObserver(layout).observe(host);
}

function equalScores(svg, { x, y, low, high, most, left, bottom }) {
  const step = marks(0, most, 5)[1] || 1;
  for (let score = step; score < most + (25 * high) / source.bytes; score += step) {
    const points = [];
    for (let i = 0; i <= 80; i += 1) {
      const value = low * (high / low) ** (i / 80);
      const distortion = score - (25 * value) / source.bytes;
      if (distortion >= 0 && distortion <= most) points.push(`${x(value).toFixed(1)} ${y(distortion).toFixed(1)}`);
    }
    if (points.length > 1) svg.append(draw("path", { class: "equal", d: `M${points.join("L")}` }));
    const start = score - (25 * low) / source.bytes;
    if (start > 0.04 * most && start < most && y(start) < bottom - 6) {
      svg.append(draw("text", { class: "tick soft", x: left + 5, y: y(start) - 3 }, `score ${short(score)}`));
    }
  }
}
