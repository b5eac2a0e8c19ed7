// Set-up: leads step by step to a configuration, and then to the Now view.

import * as api from "./api.js";
import { announce, h, setText } from "./dom.js";
import { refreshSession, session, unlock } from "./session.js";
import { brokerStep } from "./setup_broker.js";
import { sourcesStep } from "./setup_sources.js";
import { nameStep, soundsStep } from "./setup_sounds.js";
import { writeStep } from "./setup_write.js";
import { t } from "./strings.js";

/** What has been chosen, as the API takes it. */
const choices = { node: "home", microphones: [], cameras: [], packs: [], prompt: null, broker: null };

/** Read what set-up begins with; asks for the token if it is needed. */
async function readOverview() {
  try {
    return await api.get("setup");
  } catch (error) {
    if (error.status !== 401) throw error;
    await refreshSession();
    session.read = false;
    if (!(await unlock())) throw error;
    return api.get("setup");
  }
}

function show(root, overview) {
  choices.node = overview.node;
  const steps = [sourcesStep, soundsStep, brokerStep, nameStep, writeStep].map((make) => make(choices, overview));
  const wrong = h("p", { class: "alarm", role: "alert" });
  const place = h("div");
  const progress = h("ol", { class: "progress", "aria-label": t.setup.progress }, ...t.setup.steps.map((step) => h("li", {}, step)));
  let current = 0;

  function go(number) {
    steps[current].leave?.();
    current = number;
    setText(wrong, "");
    [...progress.children].forEach((item, index) => {
      if (index === number) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
    const step = steps[number];
    const title = h("h2", { tabindex: "-1" }, step.title);
    const ends = h("div", { class: "ends" },
      number > 0 ? h("button", { type: "button", onclick: () => go(number - 1) }, t.setup.back) : null,
      number < steps.length - 1 ? h("button", { type: "button", class: "primary", onclick: next }, t.setup.next) : step.finish ?? null);
    place.replaceChildren(h("section", {}, title, step.element, wrong, ends));
    step.enter?.(ends, wrong);
    scrollTo(0, 0);
    title.focus();
  }

  function next() {
    const reason = steps[current].check();
    setText(wrong, reason ?? "");
    if (!reason) go(current + 1);
  }

  root.replaceChildren(h("div", { class: "setup" },
    h("div", { class: "head" }, h("h1", {}, t.setup.title)),
    overview.hand_written ? h("p", { class: "quiet" }, t.setup.handWritten(overview.path)) : null,
    progress, place));
  go(0);
}

async function start() {
  const root = document.getElementById("main");
  const system = matchMedia("(prefers-color-scheme: dark)");
  document.documentElement.dataset.theme = localStorage.getItem("theme") ?? (system.matches ? "dark" : "light");
  try {
    show(root, await readOverview());
  } catch (error) {
    root.replaceChildren(h("div", { class: "setup" },
      h("div", { class: "head" }, h("h1", {}, t.setup.title)),
      h("p", { class: "alarm", role: "alert" }, error.message),
      h("a", { class: "button", href: "./" }, t.setup.leave)));
  }
  announce(document.title);
}

start();
