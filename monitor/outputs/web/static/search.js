// Search view: the moments of the past that a sentence describes, or that sound like another moment.

import * as api from "./api.js";
import { h, setText } from "./dom.js";
import * as format from "./format.js";
import { clipPlayer, stopPlaying } from "./player.js";
import { monitor, nameOf, on } from "./state.js";
import { change } from "./session.js";
import { t } from "./strings.js";

const WEEK = "604800";

/** @param {URLSearchParams} wanted from the address: event, of which similar moments are searched, or text */
export function mount(root, wanted) {
  const field = h("input", { type: "search", id: "wanted", maxlength: 300, placeholder: t.search.placeholder, autocomplete: "off", required: true, value: wanted.get("text") });
  const period = h("select", { "aria-label": t.search.period },
    ...Object.entries(t.search.periods).map(([seconds, text]) => h("option", { value: seconds, selected: seconds === WEEK }, text)));
  const source = h("select", { "aria-label": t.search.source });
  const kept = h("p", { class: "quiet small" });
  const state = h("p", { class: "quiet small answered", role: "status" });
  const list = h("ul", { class: "card rows", "aria-label": t.search.results, hidden: true });
  let running = null;

  root.replaceChildren(
    h("div", { class: "head" }, h("h1", {}, t.search.title)),
    h("form", { class: "card tryout", role: "search", "aria-label": t.search.title, onsubmit: submit },
      h("label", { for: "wanted" }, t.search.ask),
      h("div", { class: "ask" }, field, h("button", { class: "primary", type: "submit" }, t.search.find)),
      h("div", { class: "filters" }, period, source),
      kept),
    state, list);

  /** Show an answer of the API; a newer search gives up an older one. */
  async function find(title, ask) {
    running?.abort();
    const { signal } = (running = new AbortController());
    setText(state, t.search.searching);
    try {
      const found = await ask(signal);
      if (!signal.aborted) show(title, found.moments);
    } catch (error) {
      if (signal.aborted) return;
      setText(state, "");
      throw error;
    }
  }

  function where() {
    const seconds = Number(period.value);
    return { since: seconds ? Date.now() / 1000 - seconds : 0, source: source.value || undefined };
  }

  function submit(event) {
    event.preventDefault();
    const text = field.value.trim();
    if (text) change(() => find("", (signal) => api.post("search", { prompts: [text], ...where() }, signal)));
  }

  function findSimilar(moment) {
    const like = { source: moment.source, started_at: moment.started_at, ended_at: moment.ended_at };
    const title = t.search.similarTo(moment.source, format.when(moment.started_at));
    change(() => find(title, (signal) => api.post("search", { like, ...where() }, signal)));
  }

  async function findLikeEvent(id) {
    try {
      const event = await api.get(`events/${encodeURIComponent(id)}`);
      const title = t.search.similarTo(nameOf(event.label), format.when(event.started_at));
      await find(title, (signal) => api.get(`events/${encodeURIComponent(id)}/similar`, where(), signal));
    } catch (error) {
      setText(state, error.message);
    }
  }

  function show(title, moments) {
    stopPlaying();
    const focused = list.contains(document.activeElement);
    list.hidden = false;
    setText(state, [title, moments.length ? t.search.count(moments.length) : ""].filter(Boolean).join(" · "));
    const best = Math.max(...moments.map(({ fit }) => fit), 1e-9);
    list.replaceChildren(...moments.map((moment) => makeRow(moment, best, findSimilar)));
    if (!moments.length) list.append(h("li", { class: "empty" }, t.search.none));
    if (focused) list.querySelector("button:enabled")?.focus();
  }

  async function showKept() {
    const memory = await api.get("memory").catch((error) => ({ error }));
    if (memory.error) return setText(kept, memory.error.message);
    const sources = memory.sources.map((each) => t.search.keptOf(each.source, format.when(each.since), format.size(each.bytes)));
    const others = memory.other_checkpoints ? ` ${t.search.others}` : "";
    if (!memory.enabled) setText(kept, t.search.disabled);
    else setText(kept, (sources.length ? t.search.kept(sources) : t.search.nothingKept) + others);
    return undefined;
  }

  function showSources() {
    const chosen = source.value;
    source.hidden = monitor.sources.length < 2;
    source.replaceChildren(...[["", t.search.allSources], ...monitor.sources.map((name) => [name, name])]
      .map(([key, text]) => h("option", { value: key, selected: key === chosen }, text)));
  }

  showSources();
  showKept();
  if (wanted.get("event")) findLikeEvent(wanted.get("event"));
  const stops = [on("hello", showSources), stopPlaying, () => running?.abort()];
  return () => stops.forEach((stop) => stop());
}

function makeRow(moment, best, findSimilar) {
  const event = moment.events.find(({ clip }) => clip) ?? moment.events[0];
  const player = clipPlayer(() => event);
  player.show();
  const names = [...new Set(moment.events.map(({ label }) => nameOf(label)))];
  const name = names.length ? h("a", { href: addressOf(event), "aria-label": t.search.event(names.join(", ")) }, names.join(", ")) : t.search.noEvent;
  const facts = [moment.source, t.search.fit(format.fit(moment.fit)), format.duration(moment.ended_at - moment.started_at), t.search.level(format.level(moment.level_dbfs))];
  return h("li", { class: "row found" },
    player.button,
    h("div", { class: "what" }, h("b", {}, name), h("span", { class: "facts quiet" }, facts.join(" · "))),
    h("time", {}, format.when(moment.started_at)),
    h("meter", { min: 0, max: best, value: Math.max(0, moment.fit), title: t.search.fitHint, "aria-label": t.search.fit(format.fit(moment.fit)) }),
    h("div", { class: "acts" }, h("button", { class: "plain", onclick: () => findSimilar(moment) }, t.search.similar)),
    player.element);
}

/** Address of the Events view with one event. */
function addressOf(event) {
  const { label, source, started_at: since } = event;
  return `#events/${new URLSearchParams({ label, source, since: since - 0.001, until: since + 0.001 })}`; // it is rounded
}
