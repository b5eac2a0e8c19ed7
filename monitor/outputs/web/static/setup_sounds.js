// Set-up, steps 2 and 4: the sounds to detect, and the name of the monitor.

import { h } from "./dom.js";
import { t } from "./strings.js";

export function soundsStep(choices, overview) {
  choices.packs = overview.include.length ? overview.include : ["safety"];
  const own = h("input", { id: "own", maxlength: 300, value: t.setup.ownDefault });
  const readOwn = () => {
    choices.prompt = own.value.trim() || null;
  };
  own.addEventListener("input", readOwn);
  readOwn();

  function choose(name, chosen) {
    const others = choices.packs.filter((each) => each !== name);
    choices.packs = chosen ? [...others, name] : others;
  }

  const rows = overview.packs.map(({ name, hears }) => {
    const id = `pack-${name}`;
    const box = h("input", { type: "checkbox", id, checked: choices.packs.includes(name), onchange: () => choose(name, box.checked) });
    return h("li", { class: "choice" }, box, h("label", { for: id }, t.setup.packs[name] ?? name), h("span", { class: "quiet small" }, hears.join(", ")));
  });
  return {
    title: t.setup.sounds,
    element: h("div", {}, h("p", { class: "quiet" }, t.setup.soundsHint), h("ul", { class: "card" }, ...rows),
      h("p", { class: "quiet small" }, t.setup.notSafe),
      h("div", { class: "card" }, h("label", { for: "own" }, t.setup.own, own), h("p", { class: "quiet small" }, t.setup.ownHint))),
    check: () => (choices.packs.length || choices.prompt ? null : t.setup.needSound),
  };
}

export function nameStep(choices, overview) {
  const field = h("input", { id: "node", required: true, maxlength: 32, value: choices.node, autocomplete: "off", spellcheck: "false" });
  field.addEventListener("input", () => {
    choices.node = field.value.trim();
  });
  return {
    title: t.setup.name,
    element: h("div", { class: "card" },
      h("label", { for: "node" }, t.setup.node, field), h("p", { class: "quiet small" }, t.setup.nodeHint),
      h("p", {}, t.setup.clock(overview.time, overview.time_zone))),
    check: () => (/^[a-z0-9][a-z0-9_-]{0,31}$/.test(choices.node) ? null : t.setup.badNode),
  };
}
