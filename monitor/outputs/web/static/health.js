// Health view: problems, figures, and the sources.

import * as api from "./api.js";
import { h, setText } from "./dom.js";
import * as format from "./format.js";
import { monitor, on } from "./state.js";
import { t } from "./strings.js";

export function mount(root) {
  const verdict = h("p", { role: "status" });
  const list = h("ul", { class: "troubles" });
  const figures = h("dl", { class: "figures" });
  const sources = h("div", { class: "sources" });
  root.replaceChildren(
    h("div", { class: "head" }, h("div", {}, h("h1", {}, t.health.title), verdict),
      h("a", { class: "button", href: "setup" }, t.health.setUp)), list, figures, sources);

  function show(status) {
    const { problems } = status;
    setText(verdict, problems.length ? t.health.wrong(problems.length) : t.health.well);
    verdict.classList.toggle("alarm", problems.length > 0);
    list.replaceChildren(...problems.map(({ what, why }) => h("li", { class: "card alarm" }, h("b", {}, what), ` ${why}`)));
    figures.replaceChildren(...figuresOf(status).map(([name, value, note]) => h("div", { class: "card" }, h("dt", {}, name), h("dd", {}, value), h("dd", { class: "quiet small" }, note ?? ""))));
    sources.replaceChildren(...Object.entries(status.sources).map(([name, source]) => sourceCard(name, source, status.unusual?.[name])));
  }

  async function load() {
    try {
      show(await api.get("status"));
    } catch (error) {
      setText(verdict, error.message);
      verdict.classList.add("alarm");
    }
  }

  if (monitor.health) show(monitor.health);
  load();
  const timer = setInterval(load, 5000);
  const stops = [() => clearInterval(timer), on("state", (state) => state === "live" && load())];
  return () => stops.forEach((stop) => stop());
}

function figuresOf(status) {
  const { mqtt, store, memory, clips, web = {} } = status;
  const dropped = Object.values(status.sources).reduce((sum, source) => sum + source.dropped_seconds, 0);
  return [
    [t.health.lag, format.duration(status.lag_seconds), t.health.lagNote],
    [t.health.factor, `${(100 * status.real_time_factor).toFixed(1)} %`, t.health.factorNote],
    [t.health.late, String(status.windows.late), t.health.lateNote],
    [t.health.dropped, format.duration(dropped), t.health.droppedNote],
    [t.health.broker, mqtt ? (mqtt.connected ? t.health.connected : t.health.away) : t.health.none, mqtt ? t.health.waiting(mqtt.waiting) : t.health.noBroker],
    [t.health.store, store ? (store.trouble ? t.health.failing : t.health.works) : t.health.none, store ? t.health.waiting(store.waiting) : ""],
    [t.health.memory, memory ? (memory.trouble ? t.health.failing : format.size(memory.bytes)) : t.health.none, memory ? t.health.waiting(memory.waiting) : ""],
    [t.health.disk, clips ? format.size(clips.bytes) : t.health.none, t.health.free(format.size(Math.min(...Object.values(status.disk_free_bytes))))],
    [t.health.events, String(status.events), t.health.since(format.duration(status.uptime_seconds))],
    [t.health.watchers, String(web.watchers ?? 0), t.health.droppedWatchers(web.dropped ?? 0)],
    [t.health.refused, String(web.refused ?? 0), t.health.cutOff((web.turned_away ?? 0) + (web.expired ?? 0), web.faults ?? 0)],
    [t.health.model, status.model.name, t.health.runs(t.health.engines[status.model.engine], status.model)],
    [t.health.calibration, t.health.calibrated[status.model.calibration.source], t.health.auroc(status.model.calibration)],
  ].filter(Boolean);
}

function sourceCard(name, source, unusual) {
  const rows = [
    [t.health.state, source.offline_text ?? (source.ended ? t.ended : t.now.online)],
    [t.now.level, source.level_dbfs === null ? t.now.silent : `${format.level(source.level_dbfs)} dB`],
    [t.health.captured, format.duration(source.captured_seconds)],
    [t.health.lag, format.duration(source.lag_seconds)],
    [t.health.scored, t.health.share(source.windows.scored, source.windows.gated.unchanged ?? 0)],
    [t.health.late, String(source.windows.late)],
    ...Object.entries(source.windows.gated).map(([reason, count]) => [t.now.gated[reason] ?? reason.replaceAll("_", " "), String(count)]),
    [t.health.gaps, `${source.gaps} / ${source.overflows} / ${source.reopened}`],
    ...(unusual ? [[t.unusual, unusual.words]] : []),
  ];
  return h("section", { class: "card" }, h("header", {}, h("h2", {}, name)),
    h("table", { class: "body" }, h("tbody", {}, ...rows.map(([key, value]) => h("tr", {}, h("th", { scope: "row" }, key), h("td", {}, value))))));
}
