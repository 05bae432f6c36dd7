"use strict";
// Curves of a training run, what it estimates and what was judged; or a search and its trials.
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const { columns, candidates, stages } = data;
const curves = [];
const training = $("by-t") !== null; // else a search
const kept = history.state?.scroll;
let along = location.hash === "#steps" ? "step" : "t";

function clock(seconds) {
  const whole = Math.round(seconds);
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

const where = (place) => (along === "t" ? clock(place) : `step ${Math.round(place).toLocaleString("en")}`);
const whole = (value) => Math.round(value).toLocaleString("en");

// Round values on an axis that is as a clock's.
function timeMarks(high, count) {
  if (along !== "t") return marks(0, high, count).filter((mark) => mark === Math.round(mark));
  const steps = [1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 240, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
  const step = steps.find((one) => one * count >= high) ?? high / count;
  return Array.from({ length: Math.floor(high / step) + 1 }, (_, i) => i * step);
}

function ratioMarks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const factor of [1, 2, 5]) found.push(Number(`${factor}e${power}`));
  }
  const inside = found.filter((mark) => mark >= low && mark <= high);
  const every = Math.ceil(inside.length / 6);
  return inside.filter((_, i) => i % every === 0);
}

// One curve with its candidates. `options`: title, values, judged, format, height, named.
class Curve {
  constructor(host, options) {
    this.options = { format: short, height: 120, judged: null, ...options };
    this.values = make("span", { class: "values" });
    this.box = make("div", { class: "chart", role: "img", "aria-label": this.spoken() });
    host.replaceChildren(make("p", { class: "caption" }, make("span", { class: "title" }, this.options.title), this.values), this.box);
    this.box.addEventListener("pointermove", (event) => curves.forEach((one) => one.read(this.at(event))));
    this.box.addEventListener("pointerleave", () => curves.forEach((one) => one.read(null)));
    new ResizeObserver(() => this.layout()).observe(this.box);
    curves.push(this);
  }

  spoken() {
    const { title, values, judged, format } = this.options;
    const known = values.filter((value) => value !== null);
    const said = known.length ? [`estimate from ${format(known[0])} to ${format(known.at(-1))}`] : [];
    if (judged && data.best !== null) said.push(`best candidate ${format(judged[data.best])}`);
    return `${title}: ${said.join(", ") || "nothing yet"}`;
  }

  at(event) {
    const box = this.box.getBoundingClientRect();
    const share = (event.clientX - box.left - this.left) / (this.width - this.left - 10);
    return Math.max(0, Math.min(1, share)) * this.high;
  }

  layout() {
    const { values, judged, height, named } = this.options;
    this.width = Math.max(this.box.clientWidth, 120);
    this.left = 58;
    const [top, bottom] = [named ? 20 : 5, 20];
    this.high = Math.max(data.end[along], 1);
    const x = (place) => this.left + ((this.width - this.left - 10) * place) / this.high;
    this.x = x;
    const all = [...values, ...(judged ?? [])].filter((value) => value !== null);
    const svg = draw("svg", { width: this.width, height, viewBox: `0 0 ${this.width} ${height}`, "aria-hidden": "true" });
    this.stages(svg, top, height - bottom);
    for (const mark of timeMarks(this.high, Math.max(2, Math.floor(this.width / 110)))) {
      const end = x(mark) > this.width - 24;
      svg.append(draw("text", { class: "tick", x: x(mark), y: height - 5, "text-anchor": end ? "end" : mark ? "middle" : "start" }, along === "t" ? clock(mark) : whole(mark)));
    }
    if (all.length) this.curve(svg, all, top, height - bottom);
    else svg.append(draw("text", { class: "none", x: (this.width + this.left) / 2, y: height / 2, "text-anchor": "middle" }, "nothing yet"));
    this.line = draw("line", { class: "now", y1: top, y2: height - bottom, visibility: "hidden" });
    svg.append(this.line);
    this.box.replaceChildren(svg);
    this.read(null);
  }

  stages(svg, top, bottom) {
    stages.forEach((stage, i) => {
      const [from, to] = [this.x(stage[along]), this.x(stages[i + 1]?.[along] ?? data.end[along])];
      if (i % 2) svg.append(draw("rect", { class: "band", x: from, y: top, width: Math.max(to - from, 0), height: bottom - top }));
      svg.append(draw("line", { class: "edge", x1: from, x2: from, y1: top, y2: bottom }, draw("title", {}, stage.name)));
      const room = 6.3 * stage.name.length + 10;
      if (this.options.named && to - from > room) svg.append(draw("text", { class: "stage-name", x: from + 4, y: top - 6 }, stage.name));
    });
    for (const again of data.resumed) {
      const place = this.x(again[along]);
      svg.append(draw("line", { class: "edge again", x1: place, x2: place, y1: top, y2: bottom }));
    }
  }

  curve(svg, all, top, bottom) {
    const { values, judged } = this.options;
    let low = all.reduce((least, value) => Math.min(least, value), Infinity);
    let high = all.reduce((most, value) => Math.max(most, value), -Infinity);
    const ratio = !this.options.linear && low > 0 && high / low > 4;
    const room = ratio ? (high / low) ** 0.06 : (high - low || Math.abs(high) || 1) * 0.08;
    [low, high] = ratio ? [low / room, high * room] : [low - room, high + room];
    const to = ratio ? Math.log : (value) => value;
    const y = (value) => top + (bottom - top) * (1 - (to(value) - to(low)) / (to(high) - to(low)));
    for (const mark of ratio ? ratioMarks(low, high) : marks(low, high, 4)) {
      svg.append(draw("line", { class: "grid", x1: this.left, x2: this.width - 10, y1: y(mark), y2: y(mark) }));
      svg.append(draw("text", { class: "tick", x: this.left - 6, y: y(mark) + 3.5, "text-anchor": "end" }, short(mark)));
    }
    let path = "";
    values.forEach((value, i) => {
      if (value === null) return;
      const begins = i === 0 || values[i - 1] === null;
      path += `${begins ? "M" : "L"}${this.x(columns[along][i]).toFixed(1)} ${y(value).toFixed(1)}`;
    });
    if (path) svg.append(draw("path", { class: "curve est", d: path }));
    const order = candidates.map((_, i) => i).sort((a, b) => (a === data.best) - (b === data.best));
    for (const i of judged ? order : []) {
      const kind = i === data.best ? "judged top" : candidates[i].best_yet ? "judged" : "judged no";
      svg.append(draw("circle", { class: kind, cx: this.x(candidates[i][along]), cy: y(judged[i]), r: i === data.best ? 6 : 4.5 },
        draw("title", {}, `candidate ${candidates[i].number}: score ${candidates[i].score.toFixed(4)}, ${whole(candidates[i].bytes)} bytes`)));
    }
  }

  // The values at a place along the run; at its end for null.
  read(place) {
    const { values, judged, format } = this.options;
    const places = columns[along];
    let at = values.length - 1;
    if (place !== null) {
      at = 0;
      places.forEach((one, i) => { if (Math.abs(one - place) < Math.abs(places[at] - place)) at = i; });
    }
    const words = [];
    if (place !== null && places.length) words.push(make("span", {}, where(places[at])));
    if (at >= 0 && values[at] !== null) words.push(make("span", {}, make("i", { style: "background: var(--f0)" }), format(values[at])));
    if (judged && data.best !== null) words.push(make("span", {}, make("i", { style: "background: var(--f3)" }), format(judged[data.best])));
    this.values.replaceChildren(...words);
    if (!this.line) return;
    this.line.setAttribute("visibility", place === null || !places.length ? "hidden" : "visible");
    if (places.length) ["x1", "x2"].forEach((name) => this.line.setAttribute(name, this.x(places[at])));
  }
}

function choose(name) {
  along = name;
  if (!training) along = "t";
  $("by-t")?.setAttribute("aria-pressed", name === "t");
  $("by-step")?.setAttribute("aria-pressed", name === "step");
  // In the address, so that it outlives a reload.
  history.replaceState(history.state, "", name === "step" ? "#steps" : location.pathname);
  curves.forEach((one) => one.layout());
}

function news() {
  const quiet = Math.max(0, Date.now() / 1000 - data.updated);
  $("quiet").textContent = clock(quiet);
  if (quiet < data.stale) return;
  $("news").classList.add("stale");
  $("quiet").nextSibling.textContent = " ago: the run may have been killed; --resume goes on from its last checkpoint.";
}

// A page that is rewritten looks again, but not while nobody sees it.
function follow() {
  const again = () => {
    if (document.hidden) {
      document.addEventListener("visibilitychange", again, { once: true });
      return;
    }
    history.replaceState({ scroll: scrollY }, "");
    location.reload();
  };
  history.scrollRestoration = "manual";
  setTimeout(again, 1000 * data.reload);
}

const terms = (place) => candidates.map((one) => one.terms[place]);
new Curve($("curve-score"), { title: "Score", height: 260, named: true, values: columns.score, judged: candidates.map((one) => one.score), format: (value) => value.toFixed(3) });
new Curve($("curve-seg"), { title: "100·seg", values: columns.seg, judged: terms(0) });
new Curve($("curve-pose"), { title: "√(10·pose)", values: columns.pose, judged: terms(1) });
new Curve($("curve-rate"), { title: "25·rate", values: columns.rate, judged: terms(2) });
new Curve($("curve-bytes"), { title: "Bytes", values: columns.bytes, judged: candidates.map((one) => one.bytes), format: whole });
if (training) {
  new Curve($("curve-loss"), { title: "Loss", values: columns.loss });
  new Curve($("curve-learning"), { title: "Learning rate", linear: true, values: columns.learning });
  $("by-t").addEventListener("click", () => choose("t"));
  $("by-step").addEventListener("click", () => choose("step"));
}
choose(along);
if (kept) scrollTo(0, kept);
if ($("quiet")) {
  news();
  if (data.live) setInterval(news, 1000);
}
if (data.live) follow();
