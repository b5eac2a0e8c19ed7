// Slider of a threshold, moved by pointer or keys.

import { h, setText } from "./dom.js";
import { t } from "./strings.js";
import * as format from "./format.js";

const clamp = (value) => Math.min(1, Math.max(0, Math.round(value * 100) / 100));

/**
 * @param {object} options name, value, enabled; `preview(value, tell)` may tell texts to show while it moves;
 *   `commit(value)` is called once when it is released.
 */
export function slider({ name, value, enabled, preview, commit }) {
  let shown = value;
  let dragging = false;
  let timer = 0;
  const output = h("output", { "aria-hidden": "true" });
  const handle = h("span", {
    class: "handle", role: "slider", tabindex: "0", "aria-label": t.now.threshold(name),
    "aria-valuemin": "0", "aria-valuemax": "1", "aria-disabled": enabled() ? "false" : "true",
  }, output);
  const fill = h("i");
  const peak = h("span", { class: "peak" });
  const track = h("div", { class: "track" }, h("span", { class: "fill" }, fill), peak, handle);

  function place(to) {
    shown = to;
    handle.style.left = `${to * 100}%`;
    handle.setAttribute("aria-valuenow", format.score(to));
    handle.setAttribute("aria-valuetext", t.now.thresholdValue(format.score(to)));
  }

  function showValue(to) {
    setText(output, format.score(to));
    preview?.(to, (text) => {
      if (text && shown === to && output.textContent) setText(output, `${format.score(to)} · ${text}`);
    });
  }

  function release() {
    dragging = false;
    setText(output, "");
    if (shown !== value) commit(shown);
  }

  handle.addEventListener("pointerdown", (event) => {
    if (!enabled()) return;
    dragging = true;
    handle.setPointerCapture(event.pointerId);
    handle.focus();
    showValue(shown);
  });
  handle.addEventListener("pointermove", (event) => {
    if (!dragging) return;
    const box = track.getBoundingClientRect();
    const to = clamp((event.clientX - box.left) / box.width);
    if (to === shown) return;
    place(to);
    showValue(to);
  });
  handle.addEventListener("pointerup", () => dragging && release());
  handle.addEventListener("pointercancel", () => {
    dragging = false;
    setText(output, "");
    place(value);
  });
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 0.01, ArrowUp: 0.01, ArrowLeft: -0.01, ArrowDown: -0.01, PageUp: 0.1, PageDown: -0.1 }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? 1 : step === undefined ? null : clamp(shown + step);
    if (to === null || !enabled()) return;
    event.preventDefault();
    place(to);
    showValue(to);
    clearTimeout(timer);
    timer = setTimeout(release, 900);
  });

  place(value);
  return {
    track,
    /** Set the threshold, unless the user is moving it. */
    set(to) {
      value = to;
      if (!dragging && !timer) place(to);
      timer = 0;
    },
    /** Return to the threshold in force. */
    reset() {
      place(value);
    },
    /** Show a score, and the highest recent one. */
    show(score, highest) {
      fill.style.transform = `scaleX(${score})`;
      peak.style.left = `${highest * 100}%`;
      track.toggleAttribute("data-over", score >= shown);
    },
    refresh() {
      handle.setAttribute("aria-disabled", enabled() ? "false" : "true");
    },
  };
}
