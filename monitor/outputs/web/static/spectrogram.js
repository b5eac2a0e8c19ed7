// Rolling spectrogram: columns arrive in steps and are shown at an even pace, slightly late.

const SECONDS = 60;
const MARGIN = 4; // seconds that have arrived and are not shown yet

export class Spectrogram {
  constructor(canvas, { bins, per_second: rate }) {
    this.canvas = canvas;
    this.rate = rate;
    this.bins = bins;
    this.columns = (SECONDS + MARGIN) * rate;
    this.store = new OffscreenCanvas(this.columns, bins);
    this.paint = this.store.getContext("2d", { willReadFrequently: true });
    this.until = 0; // time at the right edge of the store
    this.shown = 0; // time at the right edge of the picture
    this.marks = [];
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.recolor();
    this.frame = this.frame.bind(this);
    this.request = requestAnimationFrame(this.frame);
  }

  close() {
    cancelAnimationFrame(this.request);
  }

  /** Read the colors of the theme; columns that are drawn keep theirs. */
  recolor() {
    const stops = ["--sunken", "--accent", "--ink"].map(channels);
    this.palette = new Uint32Array(256);
    for (let value = 0; value < 256; value += 1) {
      const place = Math.max(0, (value - 40) / 190) * 2;
      const [from, to] = place < 1 ? [stops[0], stops[1]] : [stops[1], stops[2]];
      const part = Math.min(1, place < 1 ? place : (place - 1) * 0.75);
      const [r, g, b] = from.map((channel, index) => Math.round(channel + (to[index] - channel) * part));
      this.palette[value] = (255 << 24) | (b << 16) | (g << 8) | r;
    }
    [this.ground, , this.line] = stops.map((stop) => `rgb(${stop})`);
  }

  /** Add columns; `at` is the Unix time of the first one. */
  add(at, bytes) {
    const count = bytes.length / this.bins;
    if (!count) return;
    const until = at + count / this.rate;
    const shift = Math.round((until - this.until) * this.rate);
    if (shift > 0) this.scroll(Math.min(shift, this.columns));
    if (shift > 0) this.until = until;
    const right = this.columns - Math.round((this.until - until) * this.rate);
    const image = this.paint.createImageData(count, this.bins);
    const pixels = new Uint32Array(image.data.buffer);
    for (let column = 0; column < count; column += 1) {
      for (let bin = 0; bin < this.bins; bin += 1) {
        pixels[(this.bins - 1 - bin) * count + column] = this.palette[bytes[column * this.bins + bin]];
      }
    }
    this.paint.putImageData(image, right - count, 0);
  }

  /** Mark a time with a text. */
  mark(at, text) {
    this.marks.push({ at, text });
    this.marks = this.marks.filter((mark) => mark.at > this.until - SECONDS - MARGIN);
  }

  scroll(by) {
    this.paint.globalCompositeOperation = "copy";
    this.paint.drawImage(this.store, -by, 0);
    this.paint.globalCompositeOperation = "source-over";
    this.paint.fillStyle = this.ground;
    this.paint.fillRect(this.columns - by, 0, by, this.bins);
  }

  frame(now) {
    this.request = requestAnimationFrame(this.frame);
    const passed = Math.min(0.25, (now - (this.before ?? now)) / 1000);
    if (passed < 0.03 && this.before !== undefined) return;
    this.before = now;
    const wanted = this.until - 0.7;
    if (this.still.matches || Math.abs(this.shown - wanted) > 2) this.shown = wanted;
    else if (this.shown < this.until) this.shown += passed * (1 + (wanted - this.shown) * 0.2);
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const scale = devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d", { alpha: false });
    context.fillStyle = this.ground;
    context.fillRect(0, 0, width, height);
    const first = this.columns - (this.until - this.shown + SECONDS) * this.rate;
    context.imageSmoothingEnabled = true;
    context.drawImage(this.store, first, 0, SECONDS * this.rate, this.bins, 0, 0, width, height);
    context.fillStyle = this.line;
    context.font = `500 ${11 * scale}px ${getComputedStyle(document.body).fontFamily}`;
    const ends = []; // of the texts in each row: one that would run into another goes below it
    for (const { at, text } of this.marks) {
      const x = width * (1 - (this.shown - at) / SECONDS);
      if (x > width) continue;
      context.globalAlpha = 0.8;
      context.fillRect(x, 0, scale, height);
      context.globalAlpha = 1;
      const free = ends.findIndex((end) => end < x);
      const row = free < 0 ? ends.length : free;
      const left = x + 5 * scale;
      context.fillText(text, left, (14 + 14 * row) * scale);
      ends[row] = left + context.measureText(text).width;
    }
  }
}

/** Red, green and blue of a color of the style sheet. */
function channels(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color.match(/\d+/g).slice(0, 3).map(Number);
  probe.remove();
  return found;
}

/** Decode base64. */
export function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
