// Now view: level, spectrogram, scores, newest events and near misses.

import * as api from "./api.js";
import { h, setFlag, setText, announce } from "./dom.js";
import * as format from "./format.js";
import { heard, heardLevel, listenButton, onHeard } from "./listen.js";
import { monitor, nameOf, on, view } from "./state.js";
import { onSession } from "./session.js";
import { Spectrogram, bytesOf } from "./spectrogram.js";
import { thresholdSlider } from "./thresholds.js";
import { t } from "./strings.js";

const PEAK_SECONDS = 10;
const REASON_SECONDS = 30;
const LISTED = 6;

// More sources than these are a list: buttons would fill the page.
const MOST_BUTTONS = 8;

let chosen = null;

/** @param {URLSearchParams} wanted from the address: first, after set-up, which asks for a sound */
export function mount(root, wanted) {
  if (!monitor.sources.includes(chosen)) chosen = monitor.sources[0] ?? null;
  const stage = makeStage();
  const scores = makeScores();
  const feeds = makeFeeds();
  const first = wanted.has("first") ? makeFirst() : null;
  const picker = h("div", { class: "segments", role: "group", "aria-label": t.now.source });
  root.replaceChildren(
    h("div", { class: "head" }, h("h1", {}, t.now.title), picker),
    first?.element ?? "",
    h("div", { class: "now" }, stage.element, scores.element, feeds.element),
  );

  const buttons = () => monitor.sources.map((name) => h("button", {
    "aria-pressed": String(name === chosen), onclick: () => choose(name),
  }, name));

  const list = () => h("select", { "aria-label": t.now.source, onchange: (change) => choose(change.target.value) },
    monitor.sources.map((name) => h("option", { value: name, selected: name === chosen }, name)));

  function choose(source) {
    chosen = source;
    view(chosen);
    picker.hidden = monitor.sources.length < 2;
    picker.classList.toggle("segments", monitor.sources.length <= MOST_BUTTONS);
    picker.replaceChildren(...(monitor.sources.length <= MOST_BUTTONS ? buttons() : [list()]));
    stage.choose(chosen);
    scores.choose(chosen);
  }
  if (chosen) choose(chosen);

  const stops = [
    on("hello", () => choose(monitor.sources.includes(chosen) ? chosen : monitor.sources[0])),
    on("labels", () => scores.choose(chosen)),
    on("scores", (data) => {
      if (data.source !== chosen) return;
      stage.show(data);
      scores.show(data);
    }),
    on("health", () => stage.health()),
    on("event", (data) => {
      feeds.show();
      first?.show(data);
      if (data.source !== chosen) return;
      scores.event();
      if (data.ended_at === null) {
        stage.mark(data.started_at, nameOf(data.label));
        announce(t.now.detected(nameOf(data.label), data.source));
      }
    }),
    on("near_miss", (data) => {
      feeds.show();
      if (data.source === chosen) scores.miss(data);
    }),
    onSession(() => scores.refresh()),
    onHeard(() => stage.hear()),
    () => stage.close(),
  ];
  return () => stops.forEach((stop) => stop());
}

function makeFirst() {
  const words = h("p", { class: "quiet", role: "status" }, t.now.firstHint);
  const element = h("section", { class: "card first" }, h("h2", {}, t.now.first), words);
  return {
    element,
    show(event) {
      setText(words, t.now.firstEvent(nameOf(event.label), event.source));
      element.dataset.on = "";
    },
  };
}

function makeStage() {
  const title = h("h2", {});
  const state = h("p", { class: "state quiet small" });
  const number = h("b", {}, "–");
  const bar = h("i");
  const canvas = h("canvas", { role: "img" });
  const listen = listenButton(() => chosen);
  let picture = null;
  let frame = 0;
  const element = h("section", { class: "card stage" },
    h("header", {}, h("div", {}, title, state), listen.element, h("p", { class: "level" }, number, h("span", { class: "quiet small" }, t.now.dbfs))),
    h("div", { class: "meter", "aria-hidden": "true" }, bar),
    h("figure", { class: "picture" }, canvas,
      h("figcaption", {}, h("span", {}, t.now.minute), h("span", {}, t.now.rightNow))));

  const recolor = () => picture?.recolor();
  addEventListener("theme", recolor);

  function showState(gated) {
    const health = monitor.health?.sources?.[chosen];
    const text = health?.offline_text ?? (gated && gated !== "unchanged" ? t.now.gated[gated] ?? gated.replaceAll("_", " ") : t.now.online);
    setText(state, text);
    state.classList.toggle("alarm", Boolean(health?.offline));
  }

  function showLevel(dbfs) {
    setText(number, format.level(dbfs));
    bar.style.transform = `scaleX(${Math.min(1, Math.max(0, ((dbfs ?? -100) + 80) / 80))})`;
  }

  /** Show the level of what is heard while it is heard, for it is a moment behind the scores. */
  function hear() {
    cancelAnimationFrame(frame);
    listen.refresh();
    bar.classList.toggle("heard", heard() === chosen);
    if (heard() !== chosen) return;
    showLevel(heardLevel());
    frame = requestAnimationFrame(hear);
  }

  return {
    element,
    hear,
    choose(source) {
      hear();
      setText(title, source);
      canvas.setAttribute("aria-label", t.now.spectrogram(source));
      picture?.close();
      picture = monitor.spectrogram ? new Spectrogram(canvas, monitor.spectrogram) : null;
      const mine = picture;
      if (mine) api.get("spectrogram", { source }).then((past) => picture === mine && mine.add(past.at, bytesOf(past.columns)), () => {});
      for (const event of monitor.events) if (event.source === source) picture?.mark(event.started_at, nameOf(event.label));
    },
    show(data) {
      if (heard() !== chosen) showLevel(data.level_dbfs);
      if (data.spectrogram) picture?.add(data.spectrogram.at, bytesOf(data.spectrogram.columns));
      showState(data.gated);
    },
    health: () => showState(monitor.newest.get(chosen)?.gated),
    mark: (at, text) => picture?.mark(at, text),
    close() {
      cancelAnimationFrame(frame);
      picture?.close();
      removeEventListener("theme", recolor);
    },
  };
}

function makeScores() {
  const list = h("ul", { class: "body" });
  const hint = h("p", { class: "quiet small" });
  const element = h("section", { class: "card scores" }, h("header", {}, h("h2", {}, t.now.scores), hint), list);
  let rows = new Map();

  function row(label) {
    const value = h("span", { class: "value" }, "–");
    const why = h("p", { class: "why" });
    const control = thresholdSlider(label);
    const item = h("li", { class: "score", "data-label": label.id },
      h("span", { class: "name", title: label.name }, label.name), control.track, value, why);
    return { item, value, why, control, history: [], reasonAt: -Infinity };
  }

  function showReason(row, text) {
    setText(row.why, text);
    row.reasonAt = performance.now();
  }

  return {
    element,
    choose(source) {
      const ids = monitor.labels.map((label) => label.id).join(" ");
      if (ids !== [...rows.keys()].join(" ")) {
        rows = new Map(monitor.labels.map((label) => [label.id, row(label)]));
        list.replaceChildren(...[...rows.values()].map((each) => each.item));
      }
      for (const label of monitor.labels) rows.get(label.id).control.set(label.thresholds?.[source] ?? label.threshold);
      this.event();
      this.refresh();
      const newest = monitor.newest.get(source);
      if (newest) this.show(newest);
    },
    show(data) {
      for (const [id, score] of Object.entries(data.scores)) {
        const each = rows.get(id);
        if (!each) continue;
        each.history = [...each.history.filter((past) => past.at > data.at - PEAK_SECONDS), { at: data.at, score }];
        setText(each.value, format.score(score));
        const highest = Math.max(...each.history.map((past) => past.score));
        each.control.show(score, highest);
        if (each.item.hasAttribute("data-on")) setText(each.why, t.now.activeNow);
        else if (performance.now() - each.reasonAt > REASON_SECONDS * 1000) setText(each.why, t.now.highest(format.score(highest)));
      }
    },
    event() {
      for (const [id, each] of rows) {
        const active = monitor.active.has(`${chosen} ${id}`);
        setFlag(each.item, "data-on", active);
      }
    },
    miss(data) {
      const each = rows.get(data.label);
      if (each) showReason(each, `${format.time(data.peak_at)}  ${reason(data)}`);
    },
    refresh() {
      setText(hint, t.now.scoresHint);
      for (const each of rows.values()) each.control.refresh();
    },
  };
}

function makeFeeds() {
  const events = h("ul", { class: "body feed" });
  const misses = h("ul", { class: "body feed" });
  const element = h("div", { class: "aside" },
    h("section", { class: "card" }, h("header", {}, h("h2", {}, t.now.events)), events),
    h("section", { class: "card" }, h("header", {}, h("div", {}, h("h2", {}, t.now.misses), h("p", { class: "quiet small" }, t.now.missesHint))), misses));

  function show() {
    const newest = monitor.events.slice(0, LISTED).map((event) => h("li", { "data-on": event.ended_at === null },
      h("b", {}, nameOf(event.label)), h("time", {}, format.when(event.started_at)),
      h("span", { class: "quiet" }, [event.source, format.score(event.peak_score),
        event.ended_at === null ? t.now.active : format.duration(event.ended_at - event.started_at)].join(" · "))));
    const near = monitor.misses.slice(0, LISTED).map((miss) => h("li", {},
      h("b", {}, nameOf(miss.label)), h("time", {}, format.when(miss.peak_at)), h("span", { class: "quiet" }, reason(miss))));
    events.replaceChildren(...(newest.length ? newest : [h("li", { class: "quiet" }, t.now.noEvents)]));
    misses.replaceChildren(...(near.length ? near : [h("li", { class: "quiet" }, t.now.noMisses)]));
  }
  show();
  return { element, show };
}

export function reason(miss) {
  const numbers = { ...miss, score: format.score(miss.peak_score), threshold: format.score(miss.threshold) };
  return t.reasons[miss.reason]?.(numbers) ?? miss.reason;
}
