// Thresholds: setting one, and what another one would have meant for the last day.

import * as api from "./api.js";
import { change, session } from "./session.js";
import { slider } from "./slider.js";
import { t } from "./strings.js";

const FRESH_MS = 60_000;
const counted = new Map(); // label -> { at, events: Promise of counts at 0, 0.01 ... 1 }

/** The slider that shows a label's threshold, says what another would mean, and sets it everywhere. */
export function thresholdSlider(label) {
  const control = slider({
    name: label.name,
    value: label.threshold,
    enabled: () => session.write,
    moving: (to) => whatIf(label.id, to),
    async chosen(to) {
      if (!(await set(label.id, to))) control.reset();
    },
  });
  return control;
}

const set = (label, value) => change(() => api.put(`labels/${label}/threshold`, { threshold: value }));

/** In words, how many events a label would have had in the last day. */
async function whatIf(label, threshold) {
  const known = counted.get(label);
  if (!known || performance.now() - known.at > FRESH_MS) {
    counted.set(label, { at: performance.now(), events: api.get(`labels/${label}/what-if`).then((found) => found.events, () => null) });
  }
  const events = await counted.get(label).events;
  return events ? t.now.whatIf(events[Math.round(threshold * 100)]) : "";
}
