// Page of a fleet: one row for each node, with filters; only what changed comes, and only that is drawn.

import { get } from "./api.js";
import * as format from "./format.js";
import { h, setFlag, setText } from "./dom.js";
import { refreshSession, session, unlock } from "./session.js";
import { t } from "./strings.js";

const scheme = matchMedia("(prefers-color-scheme: dark)");
document.documentElement.dataset.theme = localStorage.getItem("theme") ?? (scheme.matches ? "dark" : "light");

const columns = {
  node: (node) => node.node,
  state: state,
  last: (node) => (node.last_event ? t.fleet.lastEvent(node.last_event, format.when(node.last_event.started_at)) : ""),
  version: (node) => node.version ?? "",
  calibration: (node) => node.calibration ?? "",
  factor: (node) => node.real_time_factor?.toFixed(3) ?? "",
  clock: clock,
  watchlist: watchlist,
};

/** Return the order of a node as text: those that hear nothing first, then those with another problem. */
function order(node) {
  const rank = node.no_audio !== null ? 0 : node.problems.length || node.watchlist?.reason ? 1 : 2;
  return `${rank} ${node.node}`;
}

function state(node) {
  if (!node.online) return t.fleet.offline;
  if (node.no_audio) return t.fleet.noAudio(node.no_audio);
  if (node.problems.length) return node.problems[0];
  return node.armed === false ? t.fleet.disarmed : t.fleet.online;
}

function clock(node) {
  if (node.clock_synchronised === null) return t.fleet.clockUnknown;
  if (!node.clock_synchronised) return t.fleet.clockFree;
  return node.clock_error_seconds === null ? t.fleet.clockSet : t.fleet.clockError(node.clock_error_seconds);
}

function watchlist(node) {
  if (!node.watchlist) return "";
  if (node.watchlist.reason) return t.fleet.refused(node.watchlist.reason);
  return node.watchlist.version === null ? t.fleet.noWatchlist : String(node.watchlist.version);
}

const rows = new Map();
const places = []; // what `order` says of each, as the rows are
const body = h("tbody");
const counts = h("p", { id: "counts" });
const warning = h("p", { class: "alarm" });
const link = h("p", { class: "link" });
const shown = h("output");
const byName = h("input", { type: "search", id: "by-name", autocomplete: "off" });
const byLabel = h("input", { type: "search", id: "by-label", autocomplete: "off" });
const onlyNoAudio = h("input", { type: "checkbox", id: "only-no-audio" });

function admits(node) {
  const event = node.last_event;
  const named = node.node.toLowerCase().includes(byName.value.trim().toLowerCase());
  const words = byLabel.value.trim().toLowerCase();
  const heard = !words || (event !== null && `${event.label} ${event.label_name}`.toLowerCase().includes(words));
  return named && heard && (!onlyNoAudio.checked || node.no_audio !== null);
}

function filter() {
  let count = 0;
  for (const { element, node } of rows.values()) {
    const visible = admits(node);
    count += visible;
    setFlag(element, "hidden", !visible);
  }
  setText(shown, t.fleet.shown(count, rows.size));
}

/** Return the place of a node among the rows, or where it would be. */
function placeOf(key) {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places[middle] < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function draw(node) {
  let row = rows.get(node.node);
  if (!row) {
    const cells = Object.keys(columns).map((name) => h(name === "node" ? "th" : "td", { class: name, scope: name === "node" ? "row" : null }));
    row = { cells, element: h("tr", {}, ...cells), key: null };
    rows.set(node.node, row);
  }
  row.node = node;
  put(row, order(node));
  Object.values(columns).forEach((text, index) => setText(row.cells[index], text(node)));
  setFlag(row.element, "data-wrong", !row.key.startsWith("2"));
}

/** Put a row where it belongs; null takes it away. */
function put(row, key) {
  if (row.key === key) return;
  if (row.key !== null) {
    places.splice(placeOf(row.key), 1);
    row.element.remove();
  }
  row.key = key;
  if (key === null) return;
  const place = placeOf(key);
  body.insertBefore(row.element, body.children[place] ?? null);
  places.splice(place, 0, key);
}

function apply({ summary, nodes, gone }) {
  for (const name of gone) {
    if (!rows.has(name)) continue;
    put(rows.get(name), null);
    rows.delete(name);
  }
  nodes.forEach(draw);
  setText(counts, t.fleet.counts(summary));
  const many = summary.entities > summary.most_entities;
  setText(warning, summary.trouble ?? (many ? t.fleet.many(summary.entities - summary.most_entities) : ""));
  filter();
}

function connect() {
  const stream = new EventSource("api/fleet/live");
  const say = (name, text) => {
    link.dataset.state = name;
    setText(link, text);
  };
  say("waiting", t.waiting);
  stream.addEventListener("nodes", (event) => {
    say("live", t.live);
    apply(JSON.parse(event.data));
  });
  stream.addEventListener("error", () => say("waiting", t.waiting));
}

for (const field of [byName, byLabel, onlyNoAudio]) field.addEventListener("input", filter);

document.getElementById("main").append(
  h("div", { class: "head" }, h("h1", {}, t.fleet.title), link),
  counts, warning,
  h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
    h("label", { for: "by-name" }, t.fleet.byName, byName),
    h("label", { for: "by-label" }, t.fleet.byLabel, byLabel),
    h("label", { class: "check", for: "only-no-audio" }, onlyNoAudio, t.fleet.onlyNoAudio),
    shown),
  h("div", { class: "frame", tabindex: "0", role: "region", "aria-label": t.fleet.title },
    h("table", { class: "fleet" },
      h("thead", {}, h("tr", {}, ...Object.keys(columns).map((name) => h("th", { scope: "col" }, t.fleet.columns[name])))),
      body)));

await refreshSession();
if (!session.read) await unlock();
apply({ ...(await get("fleet")), gone: [] });
connect();
