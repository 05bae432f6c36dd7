"use strict";
// The table of a fleet's clips, which can be searched and sorted, and the histograms beside it.
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const { columns, rows, throughput } = data;
const at = Object.fromEntries(columns.map((name, i) => [name, i]));
const STEP = 100;
const BINS = 28;
const whole = (value) => Math.round(value).toLocaleString("en");
const fixed = (digits) => (value) => value.toFixed(digits);
const work = (value) => (value < 90 ? `${Math.round(value)} s` : value < 5400 ? `${Math.round(value / 60)} min` : `${(value / 3600).toFixed(1)} h`);

const shown = [
  { name: "out", title: "Clip", text: String, up: true },
  { name: "status", title: "Status", text: String, up: true },
  { name: "before", title: "Before", text: whole, number: true },
  { name: "after", title: "After", text: whole, number: true },
  { name: "share", title: "Share", text: percent, number: true },
  { name: "seg", title: "Seg", text: fixed(5), number: true },
  { name: "pose", title: "Pose", text: fixed(5), number: true },
  { name: "score", title: "Score", text: fixed(3), number: true },
  { name: "seconds", title: "Work", text: work, number: true },
];
const searched = ["out", "uri", "group", "codec", "why"].map((name) => at[name]);
const texts = rows.map((row) => searched.map((i) => row[i] ?? "").join("\n").toLowerCase());
const state = { sort: "score", down: true, count: STEP, reason: null, range: null };
const histograms = [];
let found = [];

function matches(row, index, words) {
  if ($("status").value && row[at.status] !== $("status").value) return false;
  if ($("group")?.value && row[at.group] !== $("group").value) return false;
  if (state.reason !== null && row[at.reason] !== state.reason) return false;
  if (state.range) {
    const value = row[at[state.range.name]];
    if (value === null || value < state.range.low || value >= state.range.high) return false;
  }
  return words.every((word) => texts[index].includes(word));
}

// Clips without the figure come last in either order.
function ordered(indices) {
  const column = at[state.sort];
  const sign = state.down ? -1 : 1;
  return indices.sort((a, b) => {
    const [one, two] = [rows[a][column], rows[b][column]];
    if (one === null || two === null) return (one === null) - (two === null) || a - b;
    const order = typeof one === "string" ? one.localeCompare(two, "en", { numeric: true }) : one - two;
    return sign * order || a - b;
  });
}

function update() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  found = ordered(rows.map((_, i) => i).filter((i) => matches(rows[i], i, words)));
  state.count = STEP;
  const ranged = state.range ? `, ${state.range.title} from ${state.range.words}` : "";
  const why = state.reason === null ? "" : `, failed with “${data.reasons[state.reason]}”`;
  $("shown").textContent = `${whole(found.length)} of ${whole(rows.length)} clips${ranged}${why}.`;
  $("clear").hidden = found.length === rows.length;
  for (const head of $("heads").children) {
    if (head.dataset.name === state.sort) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
    head.querySelector("i").textContent = head.dataset.name === state.sort ? (state.down ? " ↓" : " ↑") : "";
  }
  $("sort").value = state.sort;
  $("turn").textContent = state.down ? "↓" : "↑";
  fill();
  histograms.forEach((one) => one.layout());
}

function fill() {
  $("rows").replaceChildren(...found.slice(0, state.count).map((i) => line(rows[i])));
  const left = found.length - state.count;
  $("more").hidden = left <= 0;
  $("more").textContent = `Show ${whole(Math.min(left, STEP))} more of ${whole(left)}`;
}

function line(row) {
  const element = make("tr", { role: "row" });
  for (const column of shown) {
    const value = row[at[column.name]];
    if (column.name === "out") {
      element.append(nameCell(row));
    } else {
      const text = value === null ? "–" : column.text(value);
      const cell = make("td", { role: "cell", "data-label": column.title, class: column.number ? "number" : "" }, text);
      if (column.number && value !== null) cell.title = value;
      element.append(cell);
    }
  }
  return element;
}

function nameCell(row) {
  const out = row[at.out];
  const linked = data.base !== null && row[at.after] !== null && !out.split("/").includes("..") && !out.startsWith("/");
  const name = linked
    ? make("a", { href: data.base + out.split("/").map(encodeURIComponent).join("/") }, out)
    : out;
  const cell = make("th", { role: "rowheader", scope: "row", class: "name" }, name);
  if (row[at.why]) cell.append(make("small", { class: "why" }, row[at.why]));
  else cell.append(make("small", {}, row[at.uri]));
  return cell;
}

// How many clips have a figure in each of some equal steps; the steps hold for all clips, the dark
// part of a bar for those in the table.
class Histogram {
  constructor(host, name, title, format) {
    Object.assign(this, { name, title, format });
    const values = rows.map((row) => row[at[name]]).filter((value) => value !== null);
    this.box = make("div", { class: "chart", role: "img", "aria-label": this.spoken(values) });
    host.replaceChildren(make("p", { class: "caption" }, make("span", { class: "title" }, title), this.middle(values)), this.box);
    if (!values.length) {
      this.box.append(make("p", { class: "muted small" }, "no clip has this figure"));
      return;
    }
    const sorted = [...values].sort((a, b) => a - b);
    const high = sorted.at(-1);
    const most = sorted[Math.floor(0.98 * (sorted.length - 1))];
    this.high = high > 2 * most && most > 0 ? 1.25 * most : high || 1;
    this.beyond = this.high < high;
    this.all = this.counted(values);
    this.left = 40;
    histograms.push(this);
    new ResizeObserver(() => this.layout()).observe(this.box);
  }

  middle(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const text = sorted.length ? `half below ${this.format(sorted[Math.floor((sorted.length - 1) / 2)])}` : "";
    return make("span", { class: "values" }, text);
  }

  spoken(values) {
    if (!values.length) return `${this.title}: no clip has this figure`;
    const [least, most] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    return `${this.title} of ${values.length} clips, from ${this.format(least)} to ${this.format(most)}`;
  }

  counted(values) {
    const counts = new Array(BINS).fill(0);
    for (const value of values) counts[Math.max(0, Math.min(BINS - 1, Math.floor((value / this.high) * BINS)))] += 1;
    return counts;
  }

  layout() {
    const width = Math.max(this.box.clientWidth, 160);
    const [height, bottom] = [132, 20];
    const some = this.counted(found.map((i) => rows[i][at[this.name]]).filter((value) => value !== null));
    const top = this.all.reduce((a, b) => Math.max(a, b), 1);
    const x = (bin) => this.left + ((width - this.left - 8) * bin) / BINS;
    const y = (count) => 8 + (height - bottom - 8) * (1 - count / top);
    const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    for (const mark of marks(0, top, 3).filter((one) => one === Math.round(one))) {
      svg.append(draw("line", { class: "grid", x1: this.left, x2: width - 8, y1: y(mark), y2: y(mark) }));
      svg.append(draw("text", { class: "tick", x: this.left - 6, y: y(mark) + 4, "text-anchor": "end" }, whole(mark)));
    }
    for (const mark of marks(0, this.high, Math.max(2, Math.floor(width / 90)))) {
      const place = this.left + ((width - this.left - 8) * mark) / this.high;
      const end = place > width - 26;
      svg.append(draw("text", { class: "tick", x: end ? width - 2 : place, y: height - 4, "text-anchor": end ? "end" : "middle" }, this.format(mark)));
    }
    this.all.forEach((count, bin) => this.bar(svg, bin, [x, y], [count, some[bin]], height - bottom));
    this.box.replaceChildren(svg);
  }

  bar(svg, bin, [x, y], [all, some], floor) {
    const [from, to] = [(bin * this.high) / BINS, bin === BINS - 1 ? Infinity : ((bin + 1) * this.high) / BINS];
    const wide = Math.max(x(bin + 1) - x(bin) - 1, 1);
    svg.append(draw("rect", { class: "bar", x: x(bin), y: y(all), width: wide, height: floor - y(all) }));
    svg.append(draw("rect", { class: "bar some", x: x(bin), y: y(some), width: wide, height: floor - y(some) }));
    const words = bin === BINS - 1 && this.beyond ? `${this.format(from)} on` : `${this.format(from)} to ${this.format((bin + 1) * this.high / BINS)}`;
    const hit = draw("rect", { class: "hit", x: x(bin), y: 4, width: wide + 1, height: floor - 4 }, draw("title", {}, `${words}: ${whole(all)} clips`));
    hit.addEventListener("click", () => {
      state.range = { name: this.name, title: this.title.toLowerCase(), low: bin ? from : -Infinity, high: to, words };
      update();
    });
    svg.append(hit);
  }
}

// Bars over the time of work. `values` are rates, one a bin.
function flow(host, title, values, format, summary) {
  const box = make("div", { class: "chart", role: "img", "aria-label": `${title}: ${summary}` });
  host.replaceChildren(make("p", { class: "caption" }, make("span", { class: "title" }, title), make("span", { class: "values" }, summary)), box);
  const length = throughput.bin_s * values.length;
  const layout = () => {
    const width = Math.max(box.clientWidth, 160);
    const [height, bottom, left] = [132, 20, 46];
    const top = values.reduce((a, b) => Math.max(a, b), 0) || 1;
    const x = (seconds) => left + ((width - left - 8) * seconds) / length;
    const y = (value) => 8 + (height - bottom - 8) * (1 - value / top);
    const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    for (const mark of marks(0, top, 3)) {
      svg.append(draw("line", { class: "grid", x1: left, x2: width - 8, y1: y(mark), y2: y(mark) }));
      svg.append(draw("text", { class: "tick", x: left - 6, y: y(mark) + 4, "text-anchor": "end" }, short(mark)));
    }
    values.forEach((value, bin) => {
      const [from, to] = [bin * throughput.bin_s, (bin + 1) * throughput.bin_s];
      svg.append(draw("rect", { class: "bar flow", x: x(from), y: y(value), width: Math.max(x(to) - x(from) - 1, 1), height: height - bottom - y(value) },
        draw("title", {}, `${work(from)} to ${work(to)}: ${format(value)}`)));
    });
    for (const start of throughput.starts) {
      svg.append(draw("line", { class: "begun", x1: x(start), x2: x(start), y1: 4, y2: height - bottom }));
    }
    svg.append(draw("text", { class: "tick", x: left, y: height - 4, "text-anchor": "middle" }, "0"));
    svg.append(draw("text", { class: "tick", x: width - 8, y: height - 4, "text-anchor": "end" }, work(length)));
    box.replaceChildren(svg);
  };
  new ResizeObserver(layout).observe(box);
}

function sortBy(name) {
  const column = shown.find((one) => one.name === name);
  state.down = state.sort === name ? !state.down : !column.up;
  state.sort = name;
  update();
}

for (const column of shown) {
  const button = make("button", { type: "button" }, column.title, make("i", { "aria-hidden": "true" }));
  button.addEventListener("click", () => sortBy(column.name));
  $("heads").append(make("th", { role: "columnheader", scope: "col", class: column.number ? "number" : "", "data-name": column.name }, button));
  $("sort").append(make("option", { value: column.name }, column.title));
}
$("search").addEventListener("input", update);
$("status").addEventListener("change", update);
$("group")?.addEventListener("change", update);
$("sort").addEventListener("change", () => sortBy($("sort").value));
$("turn").addEventListener("click", () => sortBy(state.sort));
$("more").addEventListener("click", () => { state.count += STEP; fill(); });
$("clear").addEventListener("click", () => {
  Object.assign(state, { reason: null, range: null });
  for (const id of ["search", "status", "group"]) if ($(id)) $(id).value = "";
  update();
});
document.querySelectorAll("[data-reason]").forEach((button) => button.addEventListener("click", () => {
  Object.assign(state, { reason: Number(button.dataset.reason), range: null });
  update();
  $("clips").scrollIntoView({ block: "start" });
}));

new Histogram($("hist-score"), "score", "Score", short);
new Histogram($("hist-seg"), "seg", "Seg distortion", (value) => short(value));
new Histogram($("hist-share"), "share", "Bytes, of the source", (value) => `${short(100 * value)} %`);
if (throughput) {
  const seconds = throughput.bin_s * throughput.clips.length;
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const perHour = (count) => `${short((3600 * count) / seconds)} an hour on average`;
  flow($("rate-clips"), "Clips an hour", throughput.clips.map((n) => (3600 * n) / throughput.bin_s), (v) => `${short(v)} clips an hour`, perHour(sum(throughput.clips)));
  flow($("rate-video"), "Hours of video an hour", throughput.video_s.map((s) => s / throughput.bin_s), (v) => `${short(v)} hours an hour`, `${short(sum(throughput.video_s) / seconds)} on average`);
}
update();
