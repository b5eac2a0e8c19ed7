// Timeline view: a day, one row per label, with zoom.

import * as api from "./api.js";
import { h, setText } from "./dom.js";
import * as format from "./format.js";
import { nameOf, on } from "./state.js";
import { t } from "./strings.js";

const HOUR = 3600;
const SPANS = [24, 6, 1];
const AGAIN_MS = 30_000;
const NARROW = 720;

export function mount(root) {
  let hours = 24;
  let since = midnight(Date.now() / 1000);
  let found = null;
  let timer = 0;
  const title = h("p", { class: "quiet" });
  const state = h("p", { class: "quiet small", role: "status" });
  const chart = h("div", { class: "card chart" });
  const spans = h("div", { class: "segments", role: "group", "aria-label": t.timeline.zoom }, ...SPANS.map((each) =>
    h("button", { "data-hours": each, "aria-pressed": String(each === hours), onclick: () => zoom(each, since + (hours * HOUR) / 2) }, t.timeline.hours(each))));
  const later = h("button", { "aria-label": t.timeline.later, onclick: () => move(1) }, "→");
  root.replaceChildren(
    h("div", { class: "head" }, h("div", {}, h("h1", {}, t.timeline.title), title), spans,
      h("div", { class: "steps" }, h("button", { "aria-label": t.timeline.earlier, onclick: () => move(-1) }, "←"), later,
        h("button", { onclick: () => { since = hours === 24 ? midnight(Date.now() / 1000) : Math.floor(Date.now() / 1000 / HOUR) * HOUR - (hours - 1) * HOUR; load(); } }, t.timeline.today))),
    state, chart);

  function zoom(to, centre) {
    hours = to;
    since = to === 24 ? midnight(centre) : Math.floor((centre - (to * HOUR) / 2) / HOUR) * HOUR;
    if (to === 1) since = Math.floor(centre / HOUR) * HOUR;
    for (const button of spans.children) button.setAttribute("aria-pressed", String(Number(button.dataset.hours) === to));
    load();
  }

  function move(by) {
    since = hours === 24 ? midnight(since + by * 24 * HOUR + HOUR * 3) : since + by * hours * HOUR;
    load();
  }

  async function load() {
    clearTimeout(timer);
    timer = setTimeout(load, AGAIN_MS);
    const until = hours === 24 ? midnight(since + 27 * HOUR) : since + hours * HOUR;
    later.disabled = until > Date.now() / 1000;
    setText(title, hours === 24 ? format.date(since) : `${format.date(since)}, ${format.time(since).slice(0, 5)} – ${format.time(until).slice(0, 5)}`);
    try {
      const answer = await api.get("day", { since, until });
      if (!chart.isConnected) return;
      found = answer;
      setText(state, "");
      show();
    } catch (error) {
      setText(state, error.message);
    }
  }

  function show() {
    const levels = Object.entries(found.levels).map(([source, values]) => levelLane(source, values));
    const lanes = [...found.lanes].sort((one, other) => other.events - one.events || Math.max(...other.peaks) - Math.max(...one.peaks))
      .map((lane) => labelLane(lane));
    chart.replaceChildren(axis(), ...levels, ...lanes);
    if (!lanes.length && !levels.length) chart.replaceChildren(h("p", { class: "empty" }, t.timeline.nothing));
    for (const canvas of chart.querySelectorAll("canvas")) canvas.draw();
  }

  const place = (at) => (at - found.since) / (found.until - found.since);

  function axis() {
    const step = hours === 24 ? (innerWidth < NARROW ? 6 : 3) * HOUR : hours === 6 ? HOUR : HOUR / 4;
    const marks = [];
    for (let at = found.since; at < found.until; at += step) {
      const tick = h("span", {}, format.time(at).slice(0, 5));
      tick.style.left = `${place(at) * 100}%`;
      marks.push(tick);
    }
    return h("div", { class: "axis", "aria-hidden": "true" }, h("div", {}, ...marks));
  }

  function lane(name, detail, text, draw, href) {
    const canvas = h("canvas", { role: "img", "aria-label": text });
    canvas.draw = () => {
      const scale = devicePixelRatio || 1;
      [canvas.width, canvas.height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
      const context = canvas.getContext("2d");
      const style = getComputedStyle(canvas);
      draw(context, canvas.width, canvas.height, scale, { accent: style.color, soft: style.borderTopColor, ink: style.outlineColor });
    };
    canvas.addEventListener("click", (event) => {
      const at = found.since + (event.offsetX / canvas.clientWidth) * (found.until - found.since);
      if (hours > 1) zoom(hours === 24 ? 6 : 1, at);
    });
    const label = href ? h("a", { href }, name) : h("span", {}, name);
    return h("div", { class: "lane" }, h("div", { class: "title" }, label, h("span", { class: "quiet small" }, detail)), canvas);
  }

  function labelLane({ source, label, events, peaks }) {
    const mine = found.events.filter((event) => event.source === source && event.label === label);
    const text = t.timeline.lane(nameOf(label), source, events);
    const address = `#events/label=${encodeURIComponent(label)}&source=${encodeURIComponent(source)}&since=${found.since}&until=${found.until}`;
    return lane(nameOf(label), t.timeline.count(source, events), text, (context, width, height, scale, colors) => {
      const each = width / peaks.length;
      context.fillStyle = colors.soft;
      peaks.forEach((peak, index) => {
        if (peak > 0.02) context.fillRect(index * each, height * (1 - peak), Math.max(each, scale), height * peak);
      });
      context.fillStyle = colors.accent;
      for (const event of mine) {
        const start = place(event.started_at) * width;
        const stop = place(event.ended_at ?? event.started_at) * width;
        context.fillRect(start, 0, Math.max(stop - start, 2.5 * scale), height);
      }
    }, address);
  }

  function levelLane(source, values) {
    return lane(source, t.timeline.level, t.timeline.levelOf(source), (context, width, height, scale, colors) => {
      const each = width / values.length;
      context.fillStyle = colors.soft;
      values.forEach((value, index) => {
        const part = value === null ? 0 : Math.min(1, Math.max(0.03, (value + 80) / 80));
        context.fillRect(index * each, height * (1 - part), Math.max(each, scale), height * part);
      });
    });
  }

  const redraw = () => found && show();
  addEventListener("resize", redraw);
  addEventListener("theme", redraw);
  load();
  const stops = [
    on("hello", redraw),
    on("labels", redraw),
    on("event", () => {
      clearTimeout(timer);
      timer = setTimeout(load, 2000);
    }),
  ];
  return () => {
    stops.forEach((stop) => stop());
    clearTimeout(timer);
    removeEventListener("resize", redraw);
    removeEventListener("theme", redraw);
  };
}

function midnight(at) {
  const day = new Date(at * 1000);
  day.setHours(0, 0, 0, 0);
  return day.getTime() / 1000;
}
