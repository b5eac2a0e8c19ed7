// Thresholds: setting one, and what another one would have meant for the last day.

import * as api from "./api.js";
import { change } from "./session.js";
import { t } from "./strings.js";

const FRESH_MS = 60_000;
const counted = new Map(); // label -> { at, events: Promise of counts at 0, 0.01 ... 1 }

/** Set a threshold for a label everywhere; resolves to whether that was done. */
export const setThreshold = (label, value) => change(() => api.put(`labels/${label}/threshold`, { threshold: value }));

/** In words, how many events a label would have had in the last day. */
export async function whatIf(label, threshold) {
  const known = counted.get(label);
  if (!known || performance.now() - known.at > FRESH_MS) {
    counted.set(label, { at: performance.now(), events: api.get(`labels/${label}/what-if`).then((found) => found.events, () => null) });
  }
  const events = await counted.get(label).events;
  return events ? t.now.whatIf(events[Math.round(threshold * 100)]) : "";
}
