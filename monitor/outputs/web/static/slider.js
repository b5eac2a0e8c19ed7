// A threshold on its track, to be dragged or moved by keys; it tells while it moves and when it is let go.

import { h, say } from "./dom.js";
import { t } from "./strings.js";
import * as format from "./format.js";

const clamp = (value) => Math.min(1, Math.max(0, Math.round(value * 100) / 100));

/**
 * @param {object} options name, value, enabled, `moving(value)` returns words to show meanwhile (or a promise of them),
 *   `chosen(value)` is called once when it is let go.
 */
export function slider({ name, value, enabled, moving, chosen }) {
  let shown = value;
  let dragging = false;
  let later = 0;
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

  async function tell(to) {
    say(output, format.score(to));
    const words = await moving?.(to);
    if (words && shown === to && output.textContent) say(output, `${format.score(to)} · ${words}`);
  }

  function let_go() {
    dragging = false;
    say(output, "");
    if (shown !== value) chosen(shown);
  }

  handle.addEventListener("pointerdown", (event) => {
    if (!enabled()) return;
    dragging = true;
    handle.setPointerCapture(event.pointerId);
    handle.focus();
    tell(shown);
  });
  handle.addEventListener("pointermove", (event) => {
    if (!dragging) return;
    const box = track.getBoundingClientRect();
    const to = clamp((event.clientX - box.left) / box.width);
    if (to === shown) return;
    place(to);
    tell(to);
  });
  handle.addEventListener("pointerup", () => dragging && let_go());
  handle.addEventListener("pointercancel", () => {
    dragging = false;
    say(output, "");
    place(value);
  });
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 0.01, ArrowUp: 0.01, ArrowLeft: -0.01, ArrowDown: -0.01, PageUp: 0.1, PageDown: -0.1 }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? 1 : step === undefined ? null : clamp(shown + step);
    if (to === null || !enabled()) return;
    event.preventDefault();
    place(to);
    tell(to);
    clearTimeout(later);
    later = setTimeout(let_go, 900);
  });

  place(value);
  return {
    track,
    /** Take another threshold, unless this one is being moved. */
    set(to) {
      value = to;
      if (!dragging && !later) place(to);
      later = 0;
    },
    /** Go back to the threshold that holds. */
    reset() {
      place(value);
    },
    /** Show a score, and the highest of late. */
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
