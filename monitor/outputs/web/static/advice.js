// Advice on labels: which are confused, and the threshold for a desired rate of false alarms.

import * as api from "./api.js";
import { h, toast } from "./dom.js";
import * as format from "./format.js";
import { nameOf } from "./state.js";
import { change } from "./session.js";
import { t } from "./strings.js";

/** Button that asks which labels are confused, and the card with the answer. */
export function lint() {
  const list = h("ul", { class: "body" });
  const element = h("section", { class: "card listens", hidden: true },
    h("header", {}, h("div", {}, h("h2", {}, t.lint.title), h("p", { class: "quiet small" }, t.lint.hint))),
    h("div", { role: "status" }, list));
  const button = h("button", { onclick: () => change(ask) }, t.lint.ask);
  const show = (...texts) => {
    element.hidden = false;
    list.replaceChildren(...texts.map((text) => h("li", {}, text)));
  };

  async function ask() {
    button.disabled = true;
    show(t.lint.running);
    try {
      const found = await api.post("lint", {});
      const together = found.together.map((pair) => t.lint.together(pair.source, nameOf(pair.label), nameOf(pair.other), pair.both, pair.firings));
      const alike = found.alike.map((pair) => t.lint.alike(pair.source, pair.prompt, nameOf(pair.label), pair.other_prompt, nameOf(pair.other)));
      const texts = [...together, ...alike];
      show(...(texts.length ? texts : [t.lint.none]));
    } catch (error) {
      show(error.message);
    } finally {
      button.disabled = false;
    }
  }

  return { button, element };
}

/** Ask how many false alarms a label may have, show at which threshold, and keep to it if asked. */
export async function askTarget(label, changed) {
  if (!(await change(async () => {}))) return; // asks for the token
  const now = label.keys.target ?? "";
  const choices = [...new Set(["", ...Object.keys(t.target.rates), now])];
  const rate = h("select", { id: "target-rate", onchange: look },
    ...choices.map((value) => h("option", { value, selected: value === now }, value ? t.target.rates[value] ?? value : t.target.none)));
  const answer = h("ul", { class: "quiet" });
  const keep = h("button", { type: "submit", class: "primary" }, t.target.keep);
  const dialog = h("dialog", { "aria-labelledby": "target-title" },
    h("form", { method: "dialog", onsubmit: submit },
      h("h1", { id: "target-title" }, t.target.title(label.name)),
      h("p", { class: "quiet" }, t.target.why),
      h("label", { for: "target-rate" }, t.target.label), rate, h("div", { role: "status" }, answer),
      h("div", { class: "row" }, h("button", { type: "button", onclick: () => dialog.close() }, t.cancel), keep)));
  let looking = null;

  async function look() {
    looking?.abort();
    const { signal } = (looking = new AbortController());
    const show = (...texts) => answer.replaceChildren(...texts.map((text) => h("li", {}, text)));
    if (!rate.value) return show();
    show(t.target.running);
    try {
      const { rows } = await api.post(`labels/${label.id}/advice`, { target: rate.value }, signal);
      if (signal.aborted) return undefined;
      const texts = rows.map((row) => (row.threshold === null
        ? t.target.refused(row.source, row.words)
        : t.target.found(row.source, format.score(label.thresholds[row.source] ?? label.threshold), format.score(row.threshold), row.words)
          + (row.missed ? ` ${t.target.missed(row.missed, row.right)}` : "")));
      show(...(texts.length ? texts : [t.replay.nothing]));
    } catch (error) {
      if (!signal.aborted) show(error.message);
    }
    return undefined;
  }

  async function submit(event) {
    event.preventDefault();
    keep.disabled = true;
    const keys = rate.value ? { target: rate.value, threshold: null } : { target: null };
    if (await change(() => api.patch(`labels/${label.id}`, keys))) {
      toast(rate.value ? t.target.kept(label.name) : t.target.dropped(label.name));
      dialog.close();
      changed();
    }
    keep.disabled = false;
  }

  dialog.addEventListener("close", () => {
    looking?.abort();
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  look();
}
