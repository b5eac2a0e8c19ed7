// Findings of a trial: what each check says, and how to fix it.

import { h } from "./dom.js";
import { t } from "./strings.js";

export function findingList() {
  const element = h("ul", { class: "findings", "aria-label": t.setup.found, hidden: true });
  return {
    element,
    clear() {
      element.hidden = true;
      element.replaceChildren();
    },
    /** Show them; returns whether none failed. */
    show(findings) {
      element.hidden = !findings.length;
      element.replaceChildren(...findings.map(({ state, text, fix }) => h("li", { "data-state": state },
        h("span", {}, text, fix ? h("span", { class: "quiet small" }, ` ${fix}`) : null))));
      return findings.every(({ state }) => state !== "fail");
    },
  };
}
