// What the page knows of the monitor: the stream of news, kept as the newest state, for whichever view is shown.

const listeners = new Map();

export const house = {
  state: "waiting",
  node: "",
  labels: [],
  sources: [],
  hopSeconds: 1,
  spectrogram: null,
  health: null,
  problems: [], // what is wrong: { what, why }
  newest: new Map(), // source -> newest scores
  active: new Map(), // "source label" -> event that lasts
  events: [], // newest first
  misses: [], // newest first
};

const KEPT = 50;

/** Call `listener` at every piece of news of a kind; returns how to stop that. */
export function on(kind, listener) {
  if (!listeners.has(kind)) listeners.set(kind, new Set());
  listeners.get(kind).add(listener);
  return () => listeners.get(kind).delete(listener);
}

function tell(kind, data) {
  for (const listener of listeners.get(kind) ?? []) listener(data);
}

export const labelOf = (id) => house.labels.find((label) => label.id === id);
export const nameOf = (id) => labelOf(id)?.name ?? id;

const take = {
  hello(data) {
    house.node = data.node;
    house.sources = data.sources;
    house.hopSeconds = data.hop_seconds;
    house.spectrogram = data.spectrogram;
    house.labels = data.labels;
    house.problems = data.problems ?? [];
    house.active = new Map((data.active ?? []).map((event) => [`${event.source} ${event.label}`, event]));
    setState("live");
  },
  labels(data) {
    house.labels = data.labels;
  },
  scores(data) {
    house.newest.set(data.source, data);
  },
  event(data) {
    const key = `${data.source} ${data.label}`;
    if (data.ended_at === null) house.active.set(key, data);
    else house.active.delete(key);
    const known = house.events.findIndex((event) => event.event_id === data.event_id);
    if (known >= 0) house.events[known] = data;
    else house.events.unshift(data);
    house.events.length = Math.min(house.events.length, KEPT);
  },
  near_miss(data) {
    house.misses.unshift(data);
    house.misses.length = Math.min(house.misses.length, KEPT);
  },
  health(data) {
    house.health = data;
    house.problems = data.problems ?? [];
  },
};

function setState(state) {
  house.state = state;
  tell("state", state);
}

let source = null;
let retry = 0;

/** Begin to follow the news, again and again if the connection breaks. */
export function follow() {
  source?.close();
  clearTimeout(retry);
  source = new EventSource("api/live");
  for (const kind of Object.keys(take)) {
    source.addEventListener(kind, (message) => {
      const data = JSON.parse(message.data);
      take[kind](data);
      tell(kind, data);
    });
  }
  source.addEventListener("end", () => setState("ended"));
  source.onerror = () => {
    if (house.state !== "waiting") setState("waiting");
    if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
    source.close();
    retry = setTimeout(follow, 5000);
  };
}
