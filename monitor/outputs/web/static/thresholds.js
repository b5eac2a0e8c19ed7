// Threshold of a label: its slider, and the events that another one would have given: at once an estimate for
// the last day, then the replay over the memory.

import * as api from "./api.js";
import { replayer, summary } from "./replay.js";
import { change, session } from "./session.js";
import { slider } from "./slider.js";
import { t } from "./strings.js";

const FRESH_MS = 60_000;
const counted = new Map(); // label -> { at, events: Promise of counts at 0, 0.01 ... 1 }

/**
 * Slider of a label's threshold; shows the events of the past at each value, and sets it at every source.
 * @param figure of `replayFigure`, which shows the replay, too
 */
export function thresholdSlider(label, figure) {
  const replay = replayer();
  const control = slider({
    name: label.name,
    value: label.threshold,
    enabled: () => session.write,
    preview(to, tell) {
      whatIf(label.id, to).then(tell);
      replay.ask({ label: label.id, keys: { threshold: to } }, (found) => {
        if (!found) return;
        figure?.show(found);
        tell(summary(found));
      });
    },
    async commit(to) {
      if (!(await set(label.id, to))) control.reset();
    },
  });
  return control;
}

const set = (label, value) => change(() => api.put(`labels/${label}/threshold`, { threshold: value }));

/** Text: how many events a label would have had in the last day. */
async function whatIf(label, threshold) {
  const known = counted.get(label);
  if (!known || performance.now() - known.at > FRESH_MS) {
    counted.set(label, { at: performance.now(), events: api.get(`labels/${label}/what-if`).then((found) => found.events, () => null) });
  }
  const events = await counted.get(label).events;
  return events ? t.now.whatIf(events[Math.round(threshold * 100)]) : "";
}
