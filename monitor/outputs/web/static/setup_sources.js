// Set-up, step 1: microphones by their level, cameras by their address.

import * as api from "./api.js";
import { h, setText } from "./dom.js";
import * as format from "./format.js";
import { findingList } from "./setup_findings.js";
import { t } from "./strings.js";

const EVERY_MS = 250;
const QUIETEST = -80;

export function sourcesStep(choices) {
  const microphones = microphoneList(choices);
  const cameras = cameraForm(choices);
  return {
    title: t.setup.sources,
    element: h("div", { class: "setup-sources" }, microphones.element, cameras),
    enter: microphones.start,
    leave: microphones.stop,
    check: () => (choices.microphones.length || choices.cameras.length ? null : t.setup.needSource),
  };
}

function microphoneList(choices) {
  const state = h("p", { class: "quiet", role: "status" }, t.setup.listening);
  const again = h("button", { type: "button", onclick: () => start(), hidden: true }, t.setup.again);
  const list = h("ul", { class: "card", hidden: true });
  const element = h("div", {}, h("h3", {}, t.setup.microphones), h("p", { class: "quiet small" }, t.setup.sourcesHint), state, again, list);
  const rows = new Map();
  let timer = 0;

  function choose(reading, chosen) {
    const others = choices.microphones.filter(({ device }) => device !== reading.device);
    choices.microphones = chosen ? [...others, { name: freeName(choices, reading.name), device: reading.device }] : others;
  }

  function makeRow(reading) {
    const id = `device-${rows.size}`;
    const box = h("input", { type: "checkbox", id, onchange: () => choose(reading, box.checked) });
    const meter = h("meter", { min: QUIETEST, max: 0, low: -60, high: -3, optimum: -30, value: QUIETEST, "aria-label": t.setup.level(reading.name) });
    const words = h("span", { class: "quiet small" });
    const item = h("li", { class: "choice" }, box, h("label", { for: id }, t.setup.use(reading.name), reading.default ? ` (${t.setup.standard})` : ""), meter, words);
    list.append(item);
    return { meter, words };
  }

  function show(readings) {
    list.hidden = false;
    setText(state, "");
    for (const reading of readings) {
      if (!rows.has(reading.device)) rows.set(reading.device, makeRow(reading));
      const row = rows.get(reading.device);
      const { level_dbfs: level, loudest_dbfs: loudest } = reading;
      row.meter.value = Math.max(QUIETEST, loudest === null ? QUIETEST : level);
      const heard = level === null ? t.setup.opening : t.setup.loudness(format.level(level), format.level(loudest));
      setText(row.words, reading.trouble ?? heard);
      row.words.classList.toggle("alarm", Boolean(reading.trouble));
    }
  }

  async function look() {
    try {
      show(await api.get("setup/levels"));
      if (timer) timer = setTimeout(look, EVERY_MS);
    } catch (error) {
      setText(state, error.message);
      again.hidden = false;
    }
  }

  function start() {
    again.hidden = true;
    timer = setTimeout(look, 0);
  }

  function stop() {
    clearTimeout(timer);
    timer = 0;
  }

  return { element, start, stop };
}

function cameraForm(choices) {
  const name = h("input", { id: "camera-name", required: true, maxlength: 32, pattern: "[a-z0-9][a-z0-9_\\-]*", autocomplete: "off" });
  const url = h("input", { id: "camera-url", required: true, maxlength: 1000, autocomplete: "off", spellcheck: "false" });
  const username = h("input", { id: "camera-user", autocomplete: "off" });
  const password = h("input", { id: "camera-password", type: "password", autocomplete: "off" });
  const verify = h("input", { id: "camera-tls", type: "checkbox", checked: true });
  const button = h("button", { type: "submit" }, t.setup.addCamera);
  const state = h("p", { class: "quiet small", role: "status" });
  const findings = findingList();
  const added = h("ul", { class: "card", hidden: true });

  function showAdded() {
    added.hidden = !choices.cameras.length;
    added.replaceChildren(...choices.cameras.map((camera) => h("li", { class: "ends" }, h("b", {}, camera.name),
      h("button", { type: "button", class: "plain", "aria-label": t.setup.removeCamera(camera.name), onclick() {
        choices.cameras = choices.cameras.filter((each) => each !== camera);
        showAdded();
      } }, t.setup.remove))));
  }

  async function submit(event) {
    event.preventDefault();
    const camera = { name: name.value, url: url.value.trim(), username: username.value || null, password: password.value || null };
    if (!verify.checked) camera.tls_verify = false;
    button.disabled = true;
    findings.clear();
    setText(state, t.setup.testing);
    try {
      if (findings.show(await api.post("setup/camera", camera))) {
        choices.cameras = [...choices.cameras.filter((each) => each.name !== camera.name), camera];
        form.reset();
        setText(state, t.setup.added(camera.name));
      } else setText(state, "");
    } catch (error) {
      setText(state, error.message);
    }
    button.disabled = false;
    showAdded();
  }

  const form = h("form", { class: "card", onsubmit: submit },
    h("label", { for: "camera-name" }, t.setup.cameraName, name),
    h("label", { for: "camera-url" }, t.setup.cameraUrl, url),
    h("div", { class: "pair" },
      h("label", { for: "camera-user" }, t.setup.username, username),
      h("label", { for: "camera-password" }, t.setup.password, password)),
    h("div", { class: "choice" }, verify, h("label", { for: "camera-tls" }, t.setup.tlsVerify)),
    h("div", {}, button), state, findings.element);
  return h("div", {}, h("h3", {}, t.setup.cameras), h("p", { class: "quiet small" }, t.setup.camerasHint), added, form);
}

/** Identifier of a source from the name of its device, which no other source has. */
function freeName(choices, text) {
  const base = text.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "").slice(0, 28).replace(/_+$/, "") || "microphone";
  const taken = [...choices.microphones, ...choices.cameras].map(({ name }) => name);
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? base : `${base}_${number}`;
    if (!taken.includes(name)) return name;
  }
}
