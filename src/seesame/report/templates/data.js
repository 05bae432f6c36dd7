"use strict";
// What the page knows, and its pictures as they are asked for. Chunks of base64 text lie in the
// page itself or, where the page is a folder, in scripts beside it.
const data = JSON.parse(document.getElementById("data").textContent);
const { source, stack, files, preview } = data;
const FRAMES = source.frames;
const PAIRS = Math.floor(FRAMES / 2);
const MOST_CHUNKS = 40;

function pairOf(frame) { return Math.min(Math.floor(frame / 2), PAIRS - 1); }
function seconds(frame) { return frame / source.fps; }
function nameOf(number) { return number === 0 ? "source" : files[number - 1].file; }
function colourOf(index) { return `var(--f${index % 12})`; }

function cached(limit, make) {
  const kept = new Map();
  return (...key) => {
    const name = key.join(":");
    const found = kept.get(name) ?? make(...key);
    kept.delete(name);
    kept.set(name, found);
    if (kept.size > limit) kept.delete(kept.keys().next().value);
    return found;
  };
}

const awaited = new Map();

// Called by the scripts of a folder's chunks.
function seesameChunk(name, text) {
  awaited.get(name)?.(text);
  awaited.delete(name);
}

const chunk = cached(preview.folder ? MOST_CHUNKS : Infinity, (name) => {
  if (!preview.folder) return Promise.resolve(document.getElementById(`chunk-${name}`).textContent);
  return new Promise((resolve, reject) => {
    awaited.set(name, resolve);
    const script = document.createElement("script");
    script.src = `${preview.folder}/${name}.js`;
    script.onload = () => script.remove();
    script.onerror = () => reject(new Error(`${script.src} is missing: keep the folder together`));
    document.head.append(script);
  });
});

const starts = {};
for (const [track, sizes] of Object.entries(preview.sizes)) {
  let at = 0;
  starts[track] = sizes.map((size, index) => {
    if (index % preview.perChunk === 0) at = 0;
    at += size;
    return at - size;
  });
}

async function item(track, index) {
  const text = await chunk(`${track}-${Math.floor(index / preview.perChunk)}`);
  const start = starts[track][index];
  const binary = atob(text.slice(start, start + preview.sizes[track][index]));
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i += 1) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

// A preview picture as an ImageBitmap; number 0 is the source.
const picture = cached(matchMedia("(max-width: 760px)").matches ? 48 : 120, async (number, frame) =>
  createImageBitmap(new Blob([await item(`p${number}`, frame)], { type: "image/webp" })));

// The class of every pixel of a pair's second frame.
const mask = cached(64, async (number, pair) => {
  const packed = new Blob([await item(`m${number}`, pair)]);
  const stream = packed.stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const [, width, size] = preview.mask;
  const classes = size === 1 ? new Uint8Array(buffer) : new Uint16Array(buffer);
  for (let i = width; i < classes.length; i += 1) classes[i] ^= classes[i - width];
  return classes;
});

// Mean absolute difference from the source, 0..255, at a small size.
const difference = cached(48, async (number, frame) => {
  const bytes = await item(`d${number}`, frame);
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/webp" }));
  const context = scratch(bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  const { data: pixels } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const values = new Float32Array(bitmap.width * bitmap.height);
  for (let i = 0; i < values.length; i += 1) values[i] = pixels[4 * i] ** 2 / 255;
  return values;
});

function scratch(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas.getContext("2d", { willReadFrequently: true });
}

const rgb = stack.colours.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
const DIFFERS = [255, 208, 0];

// A canvas with what `paint(index)` gives for each pixel: [r, g, b, a] or nothing.
function painted(width, height, paint) {
  const context = scratch(width, height);
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i += 1) {
    const colour = paint(i);
    if (colour) image.data.set(colour, 4 * i);
  }
  context.putImageData(image, 0, 0);
  return context.canvas;
}

function maskPicture(classes, alpha) {
  const colours = rgb.map((colour) => [...colour, alpha]);
  return painted(preview.mask[1], preview.mask[0], (i) => colours[classes[i] % colours.length]);
}

function disagreementPicture(ours, theirs, shade = [0, 0, 0, 150]) {
  const marked = [...DIFFERS, 255];
  return painted(preview.mask[1], preview.mask[0], (i) => (ours[i] === theirs[i] ? shade : marked));
}

// Black through red and yellow to white, opaque.
function differencePicture(values, gain) {
  const [height, width] = preview.difference;
  return painted(width, height, (i) => {
    const heat = Math.min(values[i] * gain, 255) * 3;
    return [Math.min(heat, 255), Math.max(0, Math.min(heat - 255, 255)), Math.max(0, heat - 510), 255];
  });
}
