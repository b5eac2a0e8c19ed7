// Replay of a label over the memory: how often it would have fired, by hour of the day.

import * as api from "./api.js";
import { h, setText } from "./dom.js";
import * as format from "./format.js";
import { session } from "./session.js";
import { t } from "./strings.js";

const PAUSE_MS = 350;

let enabled = null; // Promise of whether anything is remembered

function isEnabled() {
  enabled ??= api.get("memory").then((memory) => memory.enabled, () => {
    enabled = null;
    return false;
  });
  return enabled;
}

/** Replays the newest query after a pause; an older one is given up. */
export function replayer() {
  let timer = 0;
  let running = null;

  /** @param query body of `api/replay`; `answered` gets the answer, or null, and then why there is none */
  function ask(query, answered) {
    stop();
    if (!session.write) return;
    const { signal } = (running = new AbortController());
    timer = setTimeout(async () => {
      try {
        const found = (await isEnabled()) && !signal.aborted ? await api.post("replay", query, signal) : null;
        if (!signal.aborted) answered(found, t.search.disabled);
      } catch (error) {
        if (!signal.aborted) answered(null, error.message);
      }
    }, PAUSE_MS);
  }

  function stop() {
    clearTimeout(timer);
    running?.abort();
  }

  return { ask, stop };
}

/** Text: "would have fired 14 times in the last 7 days". */
export function summary(found) {
  return found.since === null ? t.replay.nothing : t.replay.fired(found.count, format.duration(found.until - found.since));
}

/** Figure: the events that would have started, in all, beside those that did, and by hour of the day. */
export function replayFigure() {
  const text = h("figcaption", { role: "status" });
  const bars = Array.from({ length: 24 }, () => h("i"));
  const chart = h("div", { class: "hours", role: "img" }, ...bars);
  const axis = h("div", { class: "axis-hours", "aria-hidden": "true" }, ...[0, 6, 12, 18, 24].map((hour) => h("span", {}, String(hour))));
  const element = h("figure", { class: "replayed", hidden: true }, text, chart, axis);
  return {
    element,
    hide() {
      element.hidden = true;
    },
    wait() {
      element.hidden = false;
      setText(text, t.replay.running);
    },
    /** @param found answer of `api/replay`; null if there is none */
    show(found, reason) {
      element.hidden = false;
      chart.hidden = axis.hidden = !found?.count;
      const did = found && found.both + found.gone ? t.replay.did(found.both + found.gone, found.new, found.gone) : "";
      setText(text, found ? [summary(found), did].filter(Boolean).join(" · ") : reason);
      if (!found) return;
      const most = Math.max(...found.hours, 1);
      bars.forEach((bar, hour) => {
        bar.style.height = `${(100 * found.hours[hour]) / most}%`;
        bar.title = t.replay.hour(hour, found.hours[hour]);
      });
      const known = found.hours.map((count, hour) => [hour, count]).filter(([, count]) => count);
      chart.setAttribute("aria-label", t.replay.byHour(known.map(([hour, count]) => t.replay.hour(hour, count)).join(", ")));
    },
  };
}
