// State of the monitor, from the live stream, for whichever view is shown.

import { t } from "./strings.js";

const listeners = new Map();

export const monitor = {
  state: "waiting",
  node: "",
  labels: [],
  unusual: false, // whether unusual sounds are reported
  sources: [],
  hopSeconds: 1,
  spectrogram: null,
  health: null,
  problems: [], // { what, why }
  newest: new Map(), // source -> its newest scores
  active: new Map(), // "source label" -> active event
  events: [], // newest first; `received` is when, in ms of this machine's clock
  misses: [], // newest first
  listeners: {}, // source -> how many hear it live
  listenable: false, // whether anybody may
};

const KEPT = 50;

/** Call `listener` for every message of a kind; returns a function that unsubscribes. */
export function on(kind, listener) {
  if (!listeners.has(kind)) listeners.set(kind, new Set());
  listeners.get(kind).add(listener);
  return () => listeners.get(kind).delete(listener);
}

function notify(kind, data) {
  for (const listener of listeners.get(kind) ?? []) listener(data);
}

const labelOf = (id) => monitor.labels.find((label) => label.id === id);
// No label of a user has this id while unusual sounds are reported.
export const UNUSUAL = "unusual";
export const nameOf = (id) => labelOf(id)?.name ?? (id === UNUSUAL ? t.unusual : id);

const handlers = {
  hello(data) {
    monitor.node = data.node;
    monitor.sources = data.sources;
    monitor.hopSeconds = data.hop_seconds;
    monitor.spectrogram = data.spectrogram;
    monitor.labels = data.labels;
    monitor.unusual = data.unusual;
    monitor.problems = data.problems ?? [];
    monitor.listeners = data.listeners;
    monitor.listenable = data.listen;
    monitor.active = new Map((data.active ?? []).map((event) => [`${event.source} ${event.label}`, event]));
    setState("live");
  },
  labels(data) {
    monitor.labels = data.labels;
  },
  scores(data) {
    monitor.newest.set(data.source, data);
  },
  event(data) {
    const key = `${data.source} ${data.label}`;
    if (data.ended_at === null) monitor.active.set(key, data);
    else monitor.active.delete(key);
    const event = { ...data, received: Date.now() };
    const known = monitor.events.findIndex(({ event_id }) => event_id === data.event_id);
    if (known >= 0) monitor.events[known] = event;
    else monitor.events.unshift(event);
    monitor.events.length = Math.min(monitor.events.length, KEPT);
  },
  near_miss(data) {
    monitor.misses.unshift(data);
    monitor.misses.length = Math.min(monitor.misses.length, KEPT);
  },
  listener(data) {
    monitor.listeners[data.source] = data.listeners;
  },
  health(data) {
    monitor.health = data;
    monitor.problems = data.problems ?? [];
  },
};

/** Leave out an event that was deleted. */
export function forget(id) {
  monitor.events = monitor.events.filter((event) => event.event_id !== id);
}

function setState(state) {
  monitor.state = state;
  notify("state", state);
}

let source = null;
let retry = 0;
let viewed = "";

// With so many sources, a stream with the spectrograms of all of them is costly for the monitor.
const MANY_SOURCES = 4;

/** Ask for the spectrogram of one source only, where there are many. */
export function view(name) {
  if (monitor.sources.length <= MANY_SOURCES || name === viewed) return;
  viewed = name;
  connect();
}

/** Connect to the live stream, again whenever the connection breaks. */
export function connect() {
  source?.close();
  clearTimeout(retry);
  source = new EventSource(viewed ? `api/live?view=${encodeURIComponent(viewed)}` : "api/live");
  for (const kind of Object.keys(handlers)) {
    source.addEventListener(kind, (message) => {
      const data = JSON.parse(message.data);
      handlers[kind](data);
      notify(kind, data);
    });
  }
  source.addEventListener("end", () => setState("ended"));
  source.onerror = () => {
    if (monitor.state !== "waiting") setState("waiting");
    if (source.readyState !== EventSource.CLOSED) return; // it reconnects by itself
    source.close();
    retry = setTimeout(connect, 5000);
  };
}
