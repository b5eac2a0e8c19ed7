// Labels view: the labels, and the preview of a prompt.

import * as api from "./api.js";
import { h, setFlag, setText } from "./dom.js";
import * as format from "./format.js";
import { askTarget, lint } from "./advice.js";
import { learnNewest } from "./learn.js";
import { replayer, replayFigure } from "./replay.js";
import { monitor, nameOf, on } from "./state.js";
import { change, onSession } from "./session.js";
import { thresholdSlider } from "./thresholds.js";
import { t } from "./strings.js";

const AGAIN_MS = 2000;
const PAUSE_MS = 350;

export function mount(root) {
  const armed = h("button", { class: "switch", role: "switch", "aria-checked": "true", onclick: arm }, t.labels.armed);
  const preview = makePreview(() => load());
  const list = h("ul", { class: "card rows", "aria-label": t.labels.title });
  const confused = lint();
  let rows = new Map();

  root.replaceChildren(
    h("div", { class: "head" }, h("h1", {}, t.labels.title), confused.button, learnNewest(() => load()), armed),
    preview.element, list, confused.element);

  async function load() {
    try {
      const found = await api.get("labels");
      armed.setAttribute("aria-checked", String(found.armed));
      const known = rows;
      rows = new Map(found.rows.map((label) => [label.id, known.get(label.id) ?? makeRow(label, load)]));
      for (const label of found.rows) rows.get(label.id).set(label);
      const wanted = [...rows.values()].map((row) => row.element);
      if (wanted.some((element, index) => list.children[index] !== element) || list.children.length !== wanted.length) list.replaceChildren(...wanted);
      for (const data of monitor.newest.values()) showScores(data);
    } catch (error) {
      list.replaceChildren(h("li", { class: "empty" }, error.message));
    }
  }

  async function arm() {
    const wanted = armed.getAttribute("aria-checked") !== "true";
    if (await change(() => api.put("armed", { armed: wanted }))) armed.setAttribute("aria-checked", String(wanted));
  }

  function showScores(data) {
    for (const [id, score] of Object.entries(data.scores)) rows.get(id)?.show(score, data.source);
  }

  load();
  const stops = [
    on("labels", load),
    on("hello", load),
    on("scores", showScores),
    onSession(() => rows.forEach((row) => row.refresh())),
    () => preview.close(),
  ];
  return () => stops.forEach((stop) => stop());
}

function makePreview(added) {
  const field = h("input", { type: "text", id: "sentence", maxlength: 300, placeholder: t.labels.placeholder, autocomplete: "off", oninput: schedule });
  const number = h("b", {}, "–");
  const hint = h("p", { class: "quiet small" }, t.labels.tryHint);
  const curve = h("canvas", { role: "img", "aria-label": t.labels.curve });
  const near = h("ul", { class: "near" });
  const past = replayFigure();
  const replay = replayer();
  const add = h("button", { class: "primary", type: "submit", disabled: true }, t.labels.add);
  const answer = h("div", { class: "answer", hidden: true });
  const element = h("form", { class: "card tryout", onsubmit: addLabel },
    h("label", { for: "sentence" }, t.labels.try),
    h("div", { class: "ask" }, field, add),
    answer,
    hint);
  answer.append(
      h("div", { class: "now-score" }, number, h("span", { class: "quiet small" }, t.labels.scoreNow)),
      h("figure", {}, curve, h("figcaption", { class: "quiet small" }, t.labels.lastMinute)),
      h("div", {}, h("h2", {}, t.labels.near), near),
      past.element);
  let timer = 0;
  let requests = 0;
  let refused = false;

  function schedule() {
    refused = false;
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE_MS);
    const prompt = field.value.trim();
    answer.hidden = add.disabled = !prompt;
    past.hide();
    replay.stop();
    if (prompt) replay.ask({ keys: { prompts: [prompt] } }, past.show);
  }

  async function ask() {
    const prompt = field.value.trim();
    const request = (requests += 1);
    clearTimeout(timer);
    if (!prompt || refused) return show(null);
    try {
      const found = await api.post("try", { prompts: [prompt] });
      if (request !== requests || !element.isConnected) return undefined;
      show(found);
      timer = setTimeout(ask, AGAIN_MS);
    } catch (error) {
      setText(hint, error.message);
      refused = [401, 403].includes(error.status);
    }
    return undefined;
  }

  function show(found) {
    const heard = Object.values(found?.heard ?? {});
    const newest = heard.map((each) => each.scores.at(-1)).filter((score) => score !== undefined);
    setText(number, newest.length ? format.score(Math.max(...newest)) : "–");
    setText(hint, found ? (newest.length ? "" : t.labels.notScored) : t.labels.tryHint);
    near.replaceChildren(...(found?.near ?? []).map((each) => h("li", {},
      h("span", {}, each.text),
      h("span", { class: "quiet" }, each.label ? nameOf(each.label) : t.labels.background),
      h("meter", { min: 0, max: 1, value: each.likeness, "aria-label": t.labels.likeness(each.text) }))));
    draw(curve, heard);
  }

  async function addLabel(event) {
    event.preventDefault();
    const prompt = field.value.trim();
    if (!prompt || !(await change(() => api.post("labels", { prompts: [prompt], name: prompt })))) return;
    field.value = "";
    requests += 1;
    clearTimeout(timer);
    answer.hidden = add.disabled = true;
    replay.stop();
    show(null);
    setText(hint, t.labels.added(prompt));
    added();
  }

  const stop = onSession(() => field.value && schedule());
  return {
    element,
    close() {
      stop();
      clearTimeout(timer);
      replay.stop();
      requests += 1;
    },
  };
}

/** Draw the scores of the last minute, one line per source, and the default threshold. */
function draw(canvas, heard) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  context.strokeStyle = style.borderTopColor;
  context.lineWidth = scale;
  context.setLineDash([4 * scale, 4 * scale]);
  context.beginPath();
  context.moveTo(0, height / 2);
  context.lineTo(width, height / 2);
  context.stroke();
  context.setLineDash([]);
  context.strokeStyle = style.color;
  context.lineWidth = 1.5 * scale;
  const newest = Math.max(...heard.flatMap((each) => each.at));
  for (const { at, scores } of heard) {
    context.beginPath();
    at.forEach((moment, index) => context.lineTo(width * (1 - (newest - moment) / 60), (height - 2) * (1 - scores[index]) + 1));
    context.stroke();
  }
}

function makeRow(label, changed) {
  const name = h("b", {});
  const prompts = h("span", { class: "facts quiet" });
  const value = h("span", { class: "value" }, "–");
  const enabled = h("button", { class: "switch", role: "switch", onclick: toggle });
  const remove = h("button", { class: "plain", onclick: ask }, t.labels.remove);
  const replayNow = h("button", { class: "plain", onclick: showPast }, t.replay.lastWeek);
  const target = h("button", { class: "plain", onclick: () => askTarget(label, changed) }, t.target.open);
  const newest = new Map();
  const past = replayFigure();
  const replay = replayer();
  const control = thresholdSlider(label, past);
  const element = h("li", { class: "row label", "data-label": label.id },
    h("div", { class: "what" }, name, prompts), control.track, value, h("div", { class: "acts" }, enabled, replayNow, target, remove), past.element);

  function showPast() {
    if (!past.element.hidden) return past.hide();
    return change(async () => {
      past.wait();
      replay.ask({ label: label.id }, past.show);
    });
  }

  async function toggle() {
    if (await change(() => api.put(`labels/${label.id}/enabled`, { enabled: !label.enabled }))) changed();
  }

  function ask() {
    const dialog = h("dialog", { "aria-labelledby": "remove-title" },
      h("form", { method: "dialog" },
        h("h1", { id: "remove-title" }, t.labels.removeTitle(label.name)),
        h("p", { class: "quiet" }, t.labels.removeWhy),
        h("div", { class: "row" }, h("button", { value: "no" }, t.cancel), h("button", { class: "primary", value: "yes" }, t.labels.remove))));
    dialog.addEventListener("close", async () => {
      dialog.remove();
      if (dialog.returnValue === "yes" && (await change(() => api.remove(`labels/${label.id}`)))) changed();
    });
    document.body.append(dialog);
    dialog.showModal();
  }

  return {
    element,
    set(to) {
      label = to;
      setText(name, label.name);
      const others = label.against.length ? ` · ${t.labels.against(label.against.join(", "))}` : "";
      setText(prompts, [...label.prompts, ...(label.examples ? [t.learn.examples] : [])].join(" · ") + others);
      prompts.title = prompts.textContent;
      setText(enabled, label.enabled ? t.labels.on : t.labels.off);
      enabled.setAttribute("aria-checked", String(label.enabled));
      enabled.setAttribute("aria-label", t.labels.detect(label.name));
      replayNow.setAttribute("aria-label", t.replay.ask(label.name));
      target.setAttribute("aria-label", t.target.ask(label.name));
      target.setAttribute("aria-pressed", String(Boolean(label.keys.target)));
      remove.setAttribute("aria-label", t.labels.removeTitle(label.name));
      setFlag(element, "data-off", !label.enabled);
      control.set(label.threshold);
      control.refresh();
    },
    show(score, source) {
      newest.set(source, score);
      const highest = Math.max(...newest.values());
      setText(value, format.score(highest));
      control.show(highest, highest);
    },
    refresh: () => control.refresh(),
  };
}
