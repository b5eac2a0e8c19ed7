// Now: how loud, the newest seconds as a picture, and how much it sounds like each label.

import * as api from "./api.js";
import { h, mark, say, announce } from "./dom.js";
import * as format from "./format.js";
import { house, nameOf, on } from "./state.js";
import { onSession } from "./session.js";
import { Spectrogram, bytesOf } from "./spectrogram.js";
import { thresholdSlider } from "./thresholds.js";
import { t } from "./strings.js";

const PEAK_SECONDS = 10;
const REASON_SECONDS = 30;
const LISTED = 6;

let chosen = null;

export function mount(root) {
  if (!house.sources.includes(chosen)) chosen = house.sources[0] ?? null;
  const stage = makeStage();
  const scores = makeScores();
  const feeds = makeFeeds();
  const picker = h("div", { class: "segments", role: "group", "aria-label": t.now.source });
  root.replaceChildren(
    h("div", { class: "head" }, h("h1", {}, t.now.title), picker),
    h("div", { class: "now" }, stage.element, scores.element, feeds.element),
  );

  function choose(source) {
    chosen = source;
    picker.hidden = house.sources.length < 2;
    picker.replaceChildren(...house.sources.map((name) => h("button", {
      "aria-pressed": String(name === chosen), onclick: () => choose(name),
    }, name)));
    stage.choose(chosen);
    scores.choose(chosen);
  }
  if (chosen) choose(chosen);

  const stops = [
    on("hello", () => choose(house.sources.includes(chosen) ? chosen : house.sources[0])),
    on("labels", () => scores.choose(chosen)),
    on("scores", (data) => {
      if (data.source !== chosen) return;
      stage.show(data);
      scores.show(data);
    }),
    on("health", () => stage.health()),
    on("event", (data) => {
      feeds.show();
      if (data.source !== chosen) return;
      scores.event();
      if (data.ended_at === null) {
        stage.mark(data.started_at, nameOf(data.label));
        announce(t.now.heard(nameOf(data.label), data.source));
      }
    }),
    on("near_miss", (data) => {
      feeds.show();
      if (data.source === chosen) scores.miss(data);
    }),
    onSession(() => scores.refresh()),
    () => stage.close(),
  ];
  return () => stops.forEach((stop) => stop());
}

function makeStage() {
  const title = h("h2", {});
  const state = h("p", { class: "state quiet small" });
  const number = h("b", {}, "–");
  const bar = h("i");
  const canvas = h("canvas", { role: "img" });
  let picture = null;
  const element = h("section", { class: "card stage" },
    h("header", {}, h("div", {}, title, state), h("p", { class: "level" }, number, h("span", { class: "quiet small" }, t.now.dbfs))),
    h("div", { class: "meter", "aria-hidden": "true" }, bar),
    h("figure", { class: "picture" }, canvas,
      h("figcaption", {}, h("span", {}, t.now.minute), h("span", {}, t.now.rightNow))));

  const recolour = () => picture?.recolour();
  addEventListener("theme", recolour);

  function tell(gated) {
    const health = house.health?.sources?.[chosen];
    const words = health?.offline_text ?? (gated ? t.now.gated[gated] ?? gated.replaceAll("_", " ") : t.now.hears);
    say(state, words);
    state.classList.toggle("alarm", Boolean(health?.offline));
  }

  return {
    element,
    choose(source) {
      say(title, source);
      canvas.setAttribute("aria-label", t.now.spectrogram(source));
      picture?.close();
      picture = house.spectrogram ? new Spectrogram(canvas, house.spectrogram) : null;
      const mine = picture;
      if (mine) api.get("spectrogram", { source }).then((past) => picture === mine && mine.add(past.at, bytesOf(past.columns)), () => {});
      for (const event of house.events) if (event.source === source) picture?.mark(event.started_at, nameOf(event.label));
    },
    show(data) {
      say(number, format.level(data.level_dbfs));
      bar.style.transform = `scaleX(${Math.min(1, Math.max(0, ((data.level_dbfs ?? -100) + 80) / 80))})`;
      if (data.spectrogram) picture?.add(data.spectrogram.at, bytesOf(data.spectrogram.columns));
      tell(data.gated);
    },
    health: () => tell(house.newest.get(chosen)?.gated),
    mark: (at, text) => picture?.mark(at, text),
    close() {
      picture?.close();
      removeEventListener("theme", recolour);
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
    return { item, value, why, control, history: [], said: -Infinity };
  }

  function words(each, text) {
    say(each.why, text);
    each.said = performance.now();
  }

  return {
    element,
    choose(source) {
      const ids = house.labels.map((label) => label.id).join(" ");
      if (ids !== [...rows.keys()].join(" ")) {
        rows = new Map(house.labels.map((label) => [label.id, row(label)]));
        list.replaceChildren(...[...rows.values()].map((each) => each.item));
      }
      for (const label of house.labels) rows.get(label.id).control.set(label.thresholds?.[source] ?? label.threshold);
      this.event();
      this.refresh();
      const newest = house.newest.get(source);
      if (newest) this.show(newest);
    },
    show(data) {
      for (const [id, score] of Object.entries(data.scores)) {
        const each = rows.get(id);
        if (!each) continue;
        each.history = [...each.history.filter((past) => past.at > data.at - PEAK_SECONDS), { at: data.at, score }];
        say(each.value, format.score(score));
        const highest = Math.max(...each.history.map((past) => past.score));
        each.control.show(score, highest);
        if (each.item.hasAttribute("data-on")) say(each.why, t.now.lasting_);
        else if (performance.now() - each.said > REASON_SECONDS * 1000) say(each.why, t.now.highest(format.score(highest)));
      }
    },
    event() {
      for (const [id, each] of rows) {
        const on_ = house.active.has(`${chosen} ${id}`);
        mark(each.item, "data-on", on_);
      }
    },
    miss(data) {
      const each = rows.get(data.label);
      if (each) words(each, `${format.time(data.at)}  ${reason(data)}`);
    },
    refresh() {
      say(hint, t.now.scoresHint);
      for (const each of rows.values()) each.control.refresh();
    },
  };
}

function makeFeeds() {
  const events = h("ul", { class: "body feed" });
  const misses = h("ul", { class: "body feed" });
  const element = h("div", { class: "aside" },
    h("section", { class: "card" }, h("header", {}, h("h2", {}, t.now.events)), events),
    h("section", { class: "card" }, h("header", {}, h("h2", {}, t.now.misses)), misses));

  function show() {
    const heard = house.events.slice(0, LISTED).map((event) => h("li", { "data-on": event.ended_at === null },
      h("b", {}, nameOf(event.label)), h("time", {}, format.when(event.started_at)),
      h("span", { class: "quiet" }, [event.source, format.score(event.peak_score),
        event.ended_at === null ? t.now.lasting : format.duration(event.ended_at - event.started_at)].join(" · "))));
    const near = house.misses.slice(0, LISTED).map((miss) => h("li", {},
      h("b", {}, nameOf(miss.label)), h("time", {}, format.when(miss.peak_at)), h("span", { class: "quiet" }, reason(miss))));
    events.replaceChildren(...(heard.length ? heard : [h("li", { class: "quiet" }, t.now.noEvents)]));
    misses.replaceChildren(...(near.length ? near : [h("li", { class: "quiet" }, t.now.noMisses)]));
  }
  show();
  return { element, show };
}

export function reason(miss) {
  const numbers = { ...miss, score: format.score(miss.peak_score), threshold: format.score(miss.threshold) };
  return t.reasons[miss.reason]?.(numbers) ?? miss.reason;
}
