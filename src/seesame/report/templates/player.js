"use strict";
// The two pictures in step, their layers, and the way through the frames.
const $ = (id) => document.getElementById(id);
const state = {
  left: 0, right: Number($("right").value), beside: false, split: 50,
  masks: [false, false], disagreement: false, difference: false, opacity: 55, gain: 6,
  playing: false, speed: 1,
};
const screens = [$("canvas-left"), $("canvas-right")].map((canvas) => canvas.getContext("2d"));
const followers = [];
let wanted = 0;
let drawn = -1;
let version = 0;
let busy = false;

function needs(side, frame) {
  const number = side === 0 ? state.left : state.right;
  const pair = pairOf(frame);
  const disagree = state.disagreement && number > 0;
  return Promise.all([
    number,
    picture(number, frame),
    state.masks[side] || disagree ? mask(number, pair) : null,
    disagree ? mask(0, pair) : null,
    state.difference && number > 0 ? difference(number, frame) : null,
  ]);
}

function paint(side, [number, bitmap, classes, ours, values]) {
  const context = screens[side];
  const { width, height } = context.canvas;
  const over = (layer, smooth) => {
    context.imageSmoothingEnabled = smooth;
    context.drawImage(layer, 0, 0, width, height);
  };
  over(bitmap, true);
  if (values) over(differencePicture(values, state.gain), true);
  if (state.masks[side]) over(maskPicture(classes, Math.round(2.55 * state.opacity)), false);
  if (ours) over(disagreementPicture(ours, classes), false);
  context.canvas.setAttribute("aria-label", `${side ? "Right" : "Left"} picture: ${nameOf(number)}`);
}

// Draws the frame that is wanted; the last wish wins, and both sides change together.
async function show(frame) {
  wanted = Math.max(0, Math.min(FRAMES - 1, Math.round(frame)));
  if (busy) return;
  busy = true;
  try {
    let asked;
    do {
      asked = version;
      const now = wanted;
      const both = await Promise.all([needs(0, now), needs(1, now)]);
      both.forEach((needed, side) => paint(side, needed));
      drawn = now;
      $("stage").dataset.version = asked;
      tell();
    } while (drawn !== wanted || asked !== version);
  } finally {
    busy = false;
  }
}

function redraw() {
  version += 1;
  return show(wanted);
}

function tell() {
  $("stage").dataset.frame = drawn;
  $("frame-number").textContent = drawn;
  $("frame-time").textContent = `${seconds(drawn).toFixed(2)} s`;
  $("scrub").value = drawn;
  $("scrub").setAttribute("aria-valuetext", `frame ${drawn}, ${seconds(drawn).toFixed(2)} seconds`);
  for (const follow of followers) follow(drawn);
}

function jump(frame) {
  pause();
  return show(frame);
}

// ── playing ────────────────────────────────────────────────────────────────
let clock = null;

function play() {
  if (state.playing) return;
  state.playing = true;
  clock = { frame: wanted >= FRAMES - 1 ? 0 : wanted, time: performance.now() };
  dress();
  requestAnimationFrame(tick);
}

function pause() {
  state.playing = false;
  dress();
}

function tick(time) {
  if (!state.playing) return;
  const frame = Math.floor(clock.frame + ((time - clock.time) / 1000) * source.fps * state.speed);
  if (frame >= FRAMES) {
    clock = { frame: 0, time };
  } else if (!busy && frame !== wanted) {
    for (let ahead = 1; ahead <= 6 && frame + ahead < FRAMES; ahead += 1) {
      picture(state.left, frame + ahead);
      picture(state.right, frame + ahead);
    }
    show(frame);
  }
  requestAnimationFrame(tick);
}

function dress() {
  $("play").setAttribute("aria-pressed", state.playing);
  $("play").setAttribute("aria-label", state.playing ? "Pause" : "Play");
  $("play-icon").setAttribute("d", state.playing ? "M4 3h3v10H4zM9 3h3v10H9z" : "M4 2.5v11l9-5.5z");
  $("play-word").textContent = state.playing ? "Pause" : "Play";
}

$("play").addEventListener("click", () => (state.playing ? pause() : play()));
$("first").addEventListener("click", () => jump(0));
$("last").addEventListener("click", () => jump(FRAMES - 1));
$("back").addEventListener("click", () => jump(wanted - 1));
$("next").addEventListener("click", () => jump(wanted + 1));
$("scrub").addEventListener("input", (event) => jump(Number(event.target.value)));
$("speed").addEventListener("change", (event) => {
  state.speed = Number(event.target.value);
  clock = { frame: wanted, time: performance.now() };
});

// Arrows step wherever they mean nothing else; space, home and end only where the player has focus.
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
  const place = event.target instanceof Element ? event.target : document.body;
  if (place.matches("select, summary, #opacity, #gain, .scroll")) return;
  const inside = place.closest("#player") !== null;
  const step = event.shiftKey ? 10 : 1;
  const actions = {
    ArrowLeft: () => jump(wanted - step),
    ArrowRight: () => jump(wanted + step),
  };
  if (inside) {
    actions.Home = () => jump(0);
    actions.End = () => jump(FRAMES - 1);
    if (!place.matches("button")) actions[" "] = () => (state.playing ? pause() : play());
  }
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

// ── what is shown ──────────────────────────────────────────────────────────
function setSplit(share) {
  state.split = Math.max(0, Math.min(100, share));
  $("stage").style.setProperty("--split", `${state.split}%`);
  $("handle").setAttribute("aria-valuenow", Math.round(state.split));
}

function setView(beside) {
  state.beside = beside;
  $("stage").className = beside ? "beside" : "divider";
  $("view-beside").setAttribute("aria-pressed", beside);
  $("view-divider").setAttribute("aria-pressed", !beside);
}

function choose(left, right) {
  state.left = left;
  state.right = right;
  $("left").value = left;
  $("right").value = right;
  $("tag-left").textContent = nameOf(left);
  $("tag-right").textContent = nameOf(right);
  redraw();
}

function dragTo(event) {
  const box = $("stage").getBoundingClientRect();
  setSplit((100 * (event.clientX - box.left)) / box.width);
}

$("handle").addEventListener("pointerdown", (event) => {
  $("handle").setPointerCapture(event.pointerId);
  event.preventDefault();
  $("handle").focus();
});
$("handle").addEventListener("pointermove", (event) => {
  if ($("handle").hasPointerCapture(event.pointerId)) dragTo(event);
});
$("handle").addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: -2, ArrowRight: 2, ArrowDown: -2, ArrowUp: 2, PageDown: -10, PageUp: 10 };
  const ends = { Home: 0, End: 100 };
  const to = event.key in ends ? ends[event.key] : state.split + moves[event.key];
  if (Number.isNaN(to)) return;
  event.preventDefault();
  setSplit(to);
});
$("view-divider").addEventListener("click", () => setView(false));
$("view-beside").addEventListener("click", () => setView(true));
$("left").addEventListener("change", () => choose(Number($("left").value), state.right));
$("right").addEventListener("change", () => choose(state.left, Number($("right").value)));

function toggle(id, flip) {
  $(id).addEventListener("click", () => {
    $(id).setAttribute("aria-pressed", flip());
    redraw();
  });
}
toggle("mask-left", () => (state.masks[0] = !state.masks[0]));
toggle("mask-right", () => (state.masks[1] = !state.masks[1]));
toggle("disagreement", () => (state.disagreement = !state.disagreement));
toggle("difference", () => (state.difference = !state.difference));

function dial(id, text) {
  $(id).addEventListener("input", () => {
    state[id] = Number($(id).value);
    $(id).parentElement.querySelector("output").textContent = text(state[id]);
    redraw();
  });
}
dial("opacity", (value) => `${value} %`);
dial("gain", (value) => `×${value}`);

// ── what lies under the pointer ────────────────────────────────────────────
$("stage").addEventListener("pointermove", async (event) => {
  const canvas = state.beside && event.target instanceof HTMLCanvasElement ? event.target : $("canvas-left");
  const box = canvas.getBoundingClientRect();
  const [height, width] = preview.mask;
  const column = Math.floor((width * (event.clientX - box.left)) / box.width);
  const row = Math.floor((height * (event.clientY - box.top)) / box.height);
  if (column < 0 || row < 0 || column >= width || row >= height || drawn < 0) return;
  const numbers = [...new Set([0, state.left, state.right])];
  const maps = await Promise.all(numbers.map((number) => mask(number, pairOf(drawn))));
  const words = numbers.map((n, i) => `${nameOf(n)}: ${stack.classes[maps[i][row * width + column]]}`);
  $("pointer").textContent = words.join(" · ");
});
