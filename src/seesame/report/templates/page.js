"use strict";
// The rest of the page: figures of the moment, timelines, worst pairs, the file in detail.
const series = (pick) =>
  files.map((file, index) => ({ name: file.file, colour: colourOf(index), values: pick(file) }));

function moment(frame) {
  const pair = pairOf(frame);
  $("moment-pair").textContent = `pair ${pair}`;
  document.querySelectorAll(".moment tbody tr").forEach((row, index) => {
    const file = files[index];
    const psnr = file.framePsnr[frame];
    const texts = [percent(file.pairs.seg[pair]), short(file.pairs.pose[pair]), psnr === null ? "equal" : psnr.toFixed(1)];
    [...row.cells].slice(1).forEach((cell, i) => { cell.textContent = texts[i]; });
    row.cells[1].title = file.pairs.seg[pair];
    row.cells[2].title = file.pairs.pose[pair];
  });
}

// ── worst moments ──────────────────────────────────────────────────────────
async function thumbnail(canvas, number, pair) {
  const context = canvas.getContext("2d");
  const [bitmap, ours, theirs] = await Promise.all([
    picture(number, 2 * pair + 1), mask(0, pair), number ? mask(number, pair) : null,
  ]);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = false;
  context.drawImage(maskPicture(theirs ?? ours, 140), 0, 0, canvas.width, canvas.height);
  if (theirs) context.drawImage(disagreementPicture(ours, theirs, [0, 0, 0, 0]), 0, 0, canvas.width, canvas.height);
}

function worstCards(index) {
  const file = files[index];
  const [height, width] = preview.picture;
  const small = Math.min(width, 200);
  const size = { width: small, height: Math.round((height * small) / width), "aria-hidden": "true" };
  const cards = file.worst.map((pair) => {
    const canvases = [make("canvas", size), make("canvas", size)];
    const button = make("button", { type: "button", "data-jump": 2 * pair + 1, "data-file": index },
      make("span", { class: "thumbs" }, ...canvases),
      make("span", { class: "when" }, `${seconds(2 * pair).toFixed(1)} s`, make("span", { class: "muted" }, ` pair ${pair}`)),
      make("span", { class: "what" }, `seg ${percent(file.pairs.seg[pair])}, pose ${short(file.pairs.pose[pair])}`));
    const look = new IntersectionObserver((seen) => {
      if (!seen.some((entry) => entry.isIntersecting)) return;
      look.disconnect();
      thumbnail(canvases[0], 0, pair);
      thumbnail(canvases[1], index + 1, pair);
    }, { rootMargin: "200px" });
    look.observe(button);
    return make("li", {}, button);
  });
  $("cards").replaceChildren(...cards);
}

// ── pose ───────────────────────────────────────────────────────────────────
function poseCharts() {
  return Array.from({ length: stack.judged }, (_, value) => {
    const host = make("div", { class: "timeline" });
    $("poses").append(host);
    return new Timeline(host, {
      title: `value ${value + 1}`, height: 84, centred: true, narrow: true,
      series: [{ name: "source", colour: "var(--ink)", plain: true, values: source.pose.map((row) => row[value]) }],
    });
  });
}
const poses = $("poses") ? poseCharts() : [];

function focus(index) {
  document.querySelectorAll("[data-focus]").forEach((button) =>
    button.setAttribute("aria-pressed", Number(button.dataset.focus) === index));
  document.querySelectorAll("[data-detail]").forEach((part) => {
    part.hidden = Number(part.dataset.detail) !== index;
  });
  document.documentElement.style.setProperty("--focus", colourOf(index));
  if ($("pose-file")) $("pose-file").textContent = files[index].file;
  poses.forEach((chart, value) => {
    chart.options.series = [
      chart.options.series[0],
      { name: files[index].file, colour: colourOf(index), values: files[index].poses.map((row) => row[value]) },
    ];
    chart.layout();
  });
  worstCards(index);
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-jump], [data-focus]");
  if (!target) return;
  if (target.dataset.focus !== undefined) {
    focus(Number(target.dataset.focus));
    return;
  }
  const number = Number(target.dataset.file) + 1;
  choose(state.left === number ? 0 : state.left, number);
  jump(Number(target.dataset.jump));
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  $("player").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
  $("stage").focus({ preventScroll: true });
});

followers.push(moment);
new Timeline($("time-seg"), { title: "Seg distortion", format: percent, mark: (value) => `${short(100 * value)} %`, series: series((file) => file.pairs.seg) });
new Timeline($("time-pose"), { title: "Pose distortion (root scale)", scale: "root", series: series((file) => file.pairs.pose) });
const sized = files.flatMap((file, index) =>
  (file.pairBytes ? [{ name: file.file, colour: colourOf(index), values: file.pairBytes }] : []));
if (sized.length) {
  $("time-bytes").hidden = false;
  new Timeline($("time-bytes"), { title: "Bytes of the stream (root scale)", scale: "root", series: sized });
}
if ($("plot")) ratePlot($("plot"));
setSplit(50);
choose(0, state.right);
focus(state.right - 1);
