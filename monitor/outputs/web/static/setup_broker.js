// Set-up, step 3: the broker, found or entered, and tested step by step.

import * as api from "./api.js";
import { h, setText } from "./dom.js";
import { findingList } from "./setup_findings.js";
import { t } from "./strings.js";

const NONE = "";
const OTHER = "other";

export function brokerStep(choices, overview) {
  const known = overview.broker;
  const group = h("div", { role: "radiogroup", "aria-label": t.setup.brokers, class: "card" });
  const host = h("input", { id: "broker-host", required: true, maxlength: 253, autocomplete: "off", spellcheck: "false", value: known?.host });
  const port = h("input", { id: "broker-port", type: "number", min: 1, max: 65535, required: true, value: known?.port ?? 1883 });
  const tls = h("input", { id: "broker-tls", type: "checkbox", checked: known?.tls });
  const username = h("input", { id: "broker-user", autocomplete: "off", value: known?.username });
  const password = h("input", { id: "broker-password", type: "password", autocomplete: "off" });
  const state = h("p", { class: "quiet small", role: "status" });
  const findings = findingList();
  const button = h("button", { type: "submit" }, t.setup.testBroker);
  const form = h("form", { class: "card", onsubmit: test, oninput: forget },
    h("div", { class: "pair" },
      h("label", { for: "broker-host" }, t.setup.host, host), h("label", { for: "broker-port" }, t.setup.port, port)),
    h("div", { class: "choice" }, tls, h("label", { for: "broker-tls" }, t.setup.tls)),
    h("div", { class: "pair" },
      h("label", { for: "broker-user" }, t.setup.username, username), h("label", { for: "broker-password" }, t.setup.password, password)),
    known ? h("p", { class: "quiet small" }, t.setup.keepPassword) : null,
    h("div", {}, button), state, findings.element);
  let chosen = NONE;
  let looked = false;

  function forget() {
    choices.broker = null;
    findings.clear();
    setText(state, "");
  }

  function choose(value) {
    chosen = value;
    forget();
    form.hidden = value === NONE;
    if (value !== NONE && value !== OTHER) host.value = value;
  }

  function option(value, text) {
    const id = `broker-${value || "none"}`;
    const radio = h("input", { type: "radio", name: "broker", id, value, checked: value === chosen, onchange: () => choose(value) });
    return h("div", { class: "choice" }, radio, h("label", { for: id }, text));
  }

  async function test(event) {
    event.preventDefault();
    const broker = { host: host.value.trim(), port: Number(port.value), tls: tls.checked, username: username.value || null, password: password.value || null };
    forget();
    button.disabled = true;
    setText(state, t.setup.testingBroker);
    try {
      const works = findings.show(await api.post("setup/broker", { broker, node: choices.node }));
      if (works) choices.broker = broker;
      setText(state, works ? t.setup.brokerWorks : "");
    } catch (error) {
      setText(state, error.message);
    }
    button.disabled = false;
  }

  async function look() {
    if (looked) return;
    looked = true;
    const found = await api.get("setup/brokers").catch(() => []);
    const options = found.filter((name) => name !== known?.host).map((name) => option(name, t.setup.foundBroker(name)));
    group.lastElementChild.before(...options);
  }

  group.append(option(NONE, t.setup.noBroker), known ? option(known.host, t.setup.configuredBroker(known.host)) : "", option(OTHER, t.setup.otherBroker));
  choose(NONE);
  return {
    title: t.setup.broker,
    element: h("div", {}, h("p", { class: "quiet" }, t.setup.brokerHint), group, form),
    enter: look,
    check: () => (chosen === NONE || choices.broker ? null : t.setup.needTest),
  };
}
