// Learning by example: marks events as examples, and asks which label is to learn from them.

import * as api from "./api.js";
import { h, setText, toast } from "./dom.js";
import { monitor } from "./state.js";
import { change } from "./session.js";
import { t } from "./strings.js";

const NEWEST_SECONDS = 10;

/** Marks of events as examples, and the bar that appears with them. */
export function exampleMarks() {
  const marked = new Map();
  const count = h("span", { role: "status" });
  const element = h("div", { class: "card marks", hidden: true }, count,
    h("button", { class: "plain", onclick: clear }, t.learn.clear),
    h("button", { class: "primary", onclick: teach }, t.learn.teach));

  function show() {
    element.hidden = !marked.size;
    setText(count, t.learn.marked(marked.size));
  }

  function clear() {
    for (const button of marked.values()) button.setAttribute("aria-pressed", "false");
    marked.clear();
    show();
  }

  async function teach() {
    if (await askLabel({ events: [...marked.keys()] })) clear();
  }

  /** Make the button that marks an event. */
  function button(id) {
    const toggle = h("button", { class: "plain", "aria-pressed": "false", title: t.learn.markHint, onclick() {
      if (!marked.delete(id)) marked.set(id, toggle);
      toggle.setAttribute("aria-pressed", String(marked.has(id)));
      show();
    } }, t.learn.mark);
    return toggle;
  }

  return { element, button, drop(id) { marked.delete(id); show(); } };
}

/** Make the button that learns what was heard just now; `learned` is called if it was. */
export function learnNewest(learned) {
  return h("button", { onclick: async () => {
    if (await askLabel({ seconds: NEWEST_SECONDS })) learned();
  } }, t.learn.newest(NEWEST_SECONDS));
}

/** Ask which label learns from this, and teach it; resolves to whether it has learned. */
async function askLabel(lesson) {
  if (!(await change(async () => {}))) return false; // asks for the token
  const options = [["", t.learn.newLabel], ...monitor.labels.map(({ id, name }) => [id, name])];
  const label = h("select", { id: "learn-label", onchange: showName }, ...options.map(([value, text]) => h("option", { value }, text)));
  const name = h("input", { type: "text", id: "learn-name", maxlength: 60, required: true, autocomplete: "off" });
  const nameLabel = h("label", { for: "learn-name" }, t.learn.name);
  const source = h("select", { id: "learn-source" }, ...monitor.sources.map((each) => h("option", { value: each }, each)));
  const wrong = h("p", { class: "alarm small", role: "alert" });
  const submitButton = h("button", { type: "submit", class: "primary" }, t.learn.teachNow);
  const dialog = h("dialog", { "aria-labelledby": "learn-title" },
    h("form", { method: "dialog", onsubmit: submit },
      h("h1", { id: "learn-title" }, t.learn.title),
      h("p", { class: "quiet" }, lesson.seconds ? t.learn.whyNewest(lesson.seconds) : t.learn.why(lesson.events.length)),
      h("label", { for: "learn-label" }, t.learn.label), label, nameLabel, name,
      lesson.seconds && monitor.sources.length > 1 ? [h("label", { for: "learn-source" }, t.learn.source), source] : null,
      wrong,
      h("div", { class: "row" }, h("button", { type: "button", onclick: () => dialog.close() }, t.cancel), submitButton)));

  function showName() {
    name.hidden = nameLabel.hidden = Boolean(label.value);
    name.required = !label.value;
  }

  async function submit(event) {
    event.preventDefault();
    const id = label.value || slug(name.value);
    const keys = label.value ? {} : { name: name.value.trim() };
    submitButton.disabled = true;
    try {
      if (lesson.seconds) keys.source = source.value;
      const done = await api.post(`labels/${encodeURIComponent(id)}/learn`, { ...lesson, ...keys });
      toast(t.learn.learned(done.label.name, done.examples.origins.length));
      dialog.close("learned");
    } catch (error) {
      setText(wrong, error.message);
      submitButton.disabled = false;
    }
  }

  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "learned");
    });
  });
}

/** Identifier of a label from its name, as the monitor makes it. */
const slug = (text) => text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "").replace(/[^a-z0-9]+/g, "_")
  .replace(/^_+|_+$/g, "").slice(0, 32).replace(/_+$/, "") || "label";
