// Events view: search, play, review, lock and delete events.

import * as api from "./api.js";
import { h, setFlag, setText, toast } from "./dom.js";
import * as format from "./format.js";
import { exampleMarks } from "./learn.js";
import { clipPlayer, stopPlaying } from "./player.js";
import { UNUSUAL, forget, monitor, nameOf, on } from "./state.js";
import { change, onSession, session } from "./session.js";
import { t } from "./strings.js";

const PAGE = 40;
const UNWRITTEN_MS = 60_000; // the store may write an event so long after the live stream had it

/** @param {URLSearchParams} wanted filters from the address: label, source, since, until */
export function mount(root, wanted) {
  const list = h("ul", { class: "card rows", "aria-label": t.events.title });
  const more = h("button", { class: "more", hidden: true, onclick: () => load(next) }, t.events.more);
  const state = h("p", { class: "quiet small", role: "status" });
  const rows = new Map();
  const marks = exampleMarks();
  const filters = { text: "", label: wanted.get("label") ?? "", source: wanted.get("source") ?? "", review: "", since: wanted.get("since"), until: wanted.get("until") };
  let next = null;
  let requests = 0;

  async function load(after) {
    const request = (requests += 1);
    try {
      const page = await api.get("events", { ...filters, after, limit: PAGE });
      if (request !== requests) return;
      if (!after) {
        rows.clear();
        list.replaceChildren();
      }
      for (const event of page.rows) append(event);
      next = page.next;
      more.hidden = !next;
      if (!after) showUnwritten();
      setText(state, "");
      if (!rows.size) list.replaceChildren(h("li", { class: "empty" }, isFiltered() ? t.events.noneFound : t.events.none));
    } catch (error) {
      setText(state, error.message);
    }
  }

  const isFiltered = () => Object.values(filters).some(Boolean);
  const fits = (event) => !filters.text && !filters.review && !filters.until && (!filters.label || filters.label === event.label)
    && (!filters.source || filters.source === event.source);

  /** Show an event as the live stream has it, which may be newer than what the store has written. */
  function showLive(event) {
    const known = rows.get(event.event_id);
    if (known) known.update(event);
    else if (fits(event)) append({ ...event, clip: null, review: null, locked: false }, true);
  }

  function showUnwritten() {
    for (const event of [...monitor.events].reverse()) {
      if (Date.now() - event.received < UNWRITTEN_MS && !rows.get(event.event_id)?.ended) showLive(event);
    }
  }

  function append(event, first) {
    if (rows.has(event.event_id)) return;
    const row = makeRow(event, marks, () => {
      rows.delete(event.event_id);
      forget(event.event_id);
      marks.drop(event.event_id);
    });
    rows.set(event.event_id, row);
    list.querySelector(".empty")?.remove();
    if (first) list.prepend(row.element);
    else list.append(row.element);
  }

  function filter(name, value) {
    filters[name] = value;
    load();
  }

  const labels = select(t.events.label, [], "", (value) => filter("label", value));
  const sources = select(t.events.source, [], "", (value) => filter("source", value));
  /** Fill in what is known only once the live stream has begun. */
  function showNames() {
    sources.hidden = monitor.sources.length < 2;
    fill(sources, [["", t.events.allSources], ...monitor.sources.map((name) => [name, name])], filters.source);
    fill(labels, [["", t.events.allLabels], ...monitor.labels.map(({ id, name }) => [id, name]),
      ...(monitor.unusual ? [[UNUSUAL, t.unusual]] : [])], filters.label);
    rows.forEach((row) => row.show());
  }
  showNames();

  let timer = 0;
  const bar = h("div", { class: "filters", role: "search", "aria-label": t.events.filters },
    h("input", { type: "search", placeholder: t.events.search, "aria-label": t.events.search, oninput: (event) => {
      clearTimeout(timer);
      timer = setTimeout(() => filter("text", event.target.value), 250);
    } }),
    labels,
    sources,
    select(t.events.review, Object.entries(t.events.reviews), "", (value) => filter("review", value)),
    filters.since ? h("button", { onclick: () => { location.hash = "events"; } }, t.events.clear(format.when(Number(filters.since)))) : null);

  const listens = makeListens();
  root.replaceChildren(h("div", { class: "head" }, h("h1", {}, t.events.title)), bar, marks.element, state, list, h("p", { class: "foot" }, more), listens.element);
  load();

  const stops = [
    on("event", showLive),
    on("hello", showNames),
    on("labels", showNames),
    on("listener", listens.add),
    onSession(() => rows.forEach((row) => row.refresh())),
    stopPlaying,
  ];
  return () => stops.forEach((stop) => stop());
}

/** Who heard a source live, and when; nothing if nobody did. */
function makeListens() {
  const list = h("ul", { class: "body" });
  const element = h("section", { class: "card listens", hidden: true }, h("header", {}, h("h2", {}, t.listen.title)), list);
  const rows = new Map();

  async function load() {
    const stored = await api.get("listens", { limit: PAGE }).catch(() => ({ rows: [] })); // the list above says why
    for (const listen of stored.rows) if (!rows.has(listen.id)) rows.set(listen.id, listen);
    show();
  }

  /** Add the start or the end of one from the live stream, which the store may not have written yet. */
  function add(listen) {
    rows.set(listen.id, listen);
    show();
  }

  function show() {
    const newest = [...rows.values()].sort((one, other) => other.started_at - one.started_at).slice(0, PAGE);
    element.hidden = !newest.length;
    list.replaceChildren(...newest.map((listen) => h("li", {},
      h("span", {}, h("b", {}, listen.source), ` ${listen.client}`),
      h("span", { class: "quiet small" }, [
        format.when(listen.started_at),
        listen.ended_at === null ? null : format.duration(listen.ended_at - listen.started_at),
        listen.reason === null ? t.now.active : t.listen.endReasons[listen.reason] ?? listen.reason,
        listen.lost_seconds ? t.listen.lost(format.duration(listen.lost_seconds)) : null,
      ].filter(Boolean).join(" · ")))));
  }

  load();
  return { element, add };
}

function select(label, options, value, chosen) {
  const element = h("select", { "aria-label": label, onchange: () => chosen(element.value) });
  fill(element, options, value);
  return element;
}

function fill(element, options, value) {
  element.replaceChildren(...options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
}

function makeRow(event, marks, removed) {
  const facts = h("span", { class: "facts quiet" });
  const player = clipPlayer(() => event);
  const reviews = ["right", "wrong"].map((value) => h("button", {
    class: "plain", title: t.events.markHints[value], "aria-pressed": "false", onclick: () => review(value),
  }, t.events.marks[value]));
  const locked = h("button", { class: "plain", title: t.events.lockHint, "aria-pressed": "false", onclick: lock });
  const download = h("a", { class: "button plain", download: true }, t.events.download);
  const remove = h("button", { class: "plain", onclick: ask }, t.events.delete);
  const similar = h("a", { class: "button plain", href: `#search/event=${event.event_id}` }, t.search.similar);
  const name = h("b", {});
  const element = h("li", { class: "row", "data-id": event.event_id },
    player.button,
    h("div", { class: "what" }, name, facts),
    h("time", {}, format.when(event.started_at)),
    h("div", { class: "acts" }, ...reviews, marks.button(event.event_id), similar, locked, download, remove),
    player.element);

  function show() {
    setText(name, nameOf(event.label));
    const lasted = event.ended_at === null ? (event.reason === null ? t.now.active : null) : format.duration(event.ended_at - event.started_at);
    setText(facts, [event.source, t.events.score(format.score(event.peak_score)), lasted, t.events.outcomes[event.clip_outcome], event.like?.length && t.events.like(event.like)].filter(Boolean).join(" · "));
    setFlag(element, "data-on", event.ended_at === null && event.reason === null);
    player.show();
    reviews.forEach((button, index) => button.setAttribute("aria-pressed", String(event.review === ["right", "wrong"][index])));
    locked.hidden = download.hidden = !event.clip;
    locked.setAttribute("aria-pressed", String(event.locked));
    setText(locked, event.locked ? t.events.locked : t.events.lock);
    if (event.clip) download.href = `api/clips/${event.clip}?download=true`;
  }

  async function review(value) {
    const mark = event.review === value ? null : value;
    if (await change(() => api.put(`events/${event.event_id}/review`, { mark }))) event = { ...event, review: mark };
    show();
  }

  async function lock() {
    const wanted = !event.locked;
    if (await change(() => api.put(`events/${event.event_id}/lock`, { locked: wanted }))) event = { ...event, locked: wanted };
    show();
  }

  function ask() {
    const dialog = h("dialog", { "aria-labelledby": "delete-title" },
      h("form", { method: "dialog" },
        h("h1", { id: "delete-title" }, t.events.deleteTitle),
        h("p", { class: "quiet" }, t.events.deleteWhy(nameOf(event.label), format.when(event.started_at))),
        h("div", { class: "row" },
          h("button", { value: "no" }, t.cancel),
          h("button", { class: "primary", value: "yes" }, t.events.delete))));
    dialog.addEventListener("close", async () => {
      dialog.remove();
      if (dialog.returnValue !== "yes" || !(await change(() => api.remove(`events/${event.event_id}`)))) return;
      player.close();
      element.remove();
      removed();
    });
    document.body.append(dialog);
    dialog.showModal();
  }

  async function reload() {
    try {
      event = await api.get(`events/${event.event_id}`);
      show();
    } catch (error) {
      if (error.status !== 404 && error.status !== 503) toast(error.message);
    }
  }

  show();
  return {
    element,
    show,
    get ended() { return event.ended_at !== null; },
    refresh: () => setFlag(element, "data-readonly", !session.write && !session.reason),
    /** Update from the stream; the clip is known only some seconds after the end. */
    update(newer) {
      event = { ...event, ...newer, clip: event.clip };
      show();
      if (newer.ended_at !== null) [1500, 6000, 20000].forEach((delay) => setTimeout(() => element.isConnected && !event.clip && reload(), delay));
    },
  };
}
