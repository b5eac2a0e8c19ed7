// Set-up, step 5: shows what is written, writes it, and waits for the monitor.

import * as api from "./api.js";
import { h, setText, toast } from "./dom.js";
import { t } from "./strings.js";

const EVERY_MS = 1000;
const SLOW_MS = 60_000;
const NOW = "./#now/first=1";

export function writeStep(choices) {
  const hint = h("p", { class: "quiet" });
  const text = h("pre", { tabindex: "0" });
  const files = h("ul", { class: "quiet small" });
  const state = h("p", { role: "status" });
  const button = h("button", { type: "button", class: "primary", hidden: true }, t.setup.start);
  let shown = null;
  let startedAt = null;
  let timer = 0;

  async function enter(_ends, wrong) {
    button.hidden = true;
    try {
      shown = await api.post("setup/preview", choices);
    } catch (error) {
      setText(wrong, error.message);
      return;
    }
    setText(text, shown.text);
    const { path, secrets, backup, hand_written: byHand } = shown;
    const status = await api.get("status").catch(() => null);
    const waits = status?.state === "setup";
    startedAt = status?.started_at;
    setText(hint, byHand ? (waits ? t.setup.paste(path) : t.setup.pasteLater(path)) : t.setup.writeHint(path));
    files.replaceChildren(...secrets.map((each) => h("li", {}, byHand ? t.setup.pasteSecret(each) : t.setup.secretFile(each))),
      backup && !byHand ? h("li", {}, t.setup.backup(backup)) : "");
    setText(button, byHand ? t.setup.copy : t.setup.start);
    button.hidden = false;
    button.onclick = byHand ? copy : () => write(wrong);
    if (byHand && waits) waitForMonitor();
  }

  async function copy() {
    if (!navigator.clipboard) { // a browser has none for a page without encryption from another machine
      getSelection().selectAllChildren(text);
      return;
    }
    await navigator.clipboard.writeText(shown.text);
    toast(t.setup.copied);
  }

  async function write(wrong) {
    button.disabled = true;
    setText(wrong, "");
    try {
      await api.post("setup/apply", { choices, revision: shown.revision });
    } catch (error) {
      setText(wrong, error.message);
      button.disabled = false;
      return;
    }
    setText(state, t.setup.waiting);
    waitForMonitor(Date.now() + SLOW_MS);
  }

  /** Go to the Now view as soon as there is something to show. */
  async function waitForMonitor(slowAt = Infinity) {
    const status = await api.get("status").catch(() => null);
    if (status && status.state !== "setup" && status.started_at !== startedAt) {
      history.replaceState(null, "", NOW);
      location.reload();
      return;
    }
    if (Date.now() > slowAt) setText(state, t.setup.slow);
    timer = setTimeout(waitForMonitor, EVERY_MS, slowAt);
  }

  return {
    title: t.setup.write,
    element: h("div", { class: "card" }, hint, text, files, state),
    finish: button,
    enter,
    leave: () => clearTimeout(timer),
  };
}
