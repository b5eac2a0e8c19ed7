// The frame: which view is shown, the look, the key, and whether the news come in.

import { h, icon, say, toast } from "./dom.js";
import { follow, house, on } from "./state.js";
import { leave, onSession, recall, session, unlock } from "./session.js";
import { t } from "./strings.js";
import * as events from "./events.js";
import * as health from "./health.js";
import * as labels from "./labels.js";
import * as now from "./now.js";
import * as timeline from "./timeline.js";

const views = { now, timeline, events, labels, health };

const SUN = "M12 3v2m0 14v2m9-9h-2M5 12H3m15.4 6.4-1.5-1.500M7 7 5.6 5.600m12.8 0L17 7M7 17l-1.4 1.400M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0z";
const MOON = "M20 14.500A8 8 0 0 1 9.5 4a8 8 0 1 0 10.5 10.500z";
const CLOSED = "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3";
const OPEN = "M6 11h12v9H6zM8.5 11V7a3.5 3.5 0 0 1 6.8-1.2";

let unmount = () => {};

function show() {
  const [wanted, details] = location.hash.slice(1).split("/");
  const name = views[wanted] ? wanted : "now";
  unmount();
  const root = document.getElementById("main");
  unmount = views[name].mount(root, new URLSearchParams(details)) ?? (() => {});
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${t.views[name]} – ${house.node || "clap-monitor"}`;
}

function look() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = h("button", { class: "plain", onclick: () => set(current() === "dark" ? "light" : "dark", true) });
  const current = () => document.documentElement.dataset.theme;

  function set(theme, kept) {
    document.documentElement.dataset.theme = theme;
    if (kept) localStorage.setItem("theme", theme);
    button.replaceChildren(icon(theme === "dark" ? SUN : MOON));
    button.setAttribute("aria-label", theme === "dark" ? t.theme.light : t.theme.dark);
    dispatchEvent(new Event("theme"));
  }
  const usual = () => (system.matches ? "dark" : "light");
  system.addEventListener("change", () => localStorage.getItem("theme") ?? set(usual()));
  set(localStorage.getItem("theme") ?? usual());
  return button;
}

function key() {
  const button = h("button", { class: "plain", id: "key" });
  button.addEventListener("click", async () => {
    if (session.write) return leave();
    if (session.reason?.includes("web.token_file")) return toast(session.reason);
    const readable = session.read;
    if (!(await unlock())) return undefined;
    if (!readable) show();
    return follow();
  });
  const refresh = () => {
    button.replaceChildren(icon(session.write ? OPEN : CLOSED));
    button.setAttribute("aria-label", session.write ? t.lock : t.unlock);
    button.title = session.write ? t.lock : t.unlock;
  };
  onSession(refresh);
  refresh();
  return button;
}

/** At every view: how much is wrong, whatever it is, and where to read it. */
function problems(link) {
  const refresh = () => {
    const wrong = house.problems;
    if (wrong.length) {
      link.dataset.wrong = String(wrong.length);
      link.title = wrong.map(({ what, why }) => `${what} ${why}`).join("\n");
      link.setAttribute("aria-label", `${link.textContent}: ${t.health.wrong(wrong.length)}`);
    } else {
      delete link.dataset.wrong;
      link.removeAttribute("title");
      link.removeAttribute("aria-label");
    }
  };
  on("state", refresh);
  on("health", refresh);
}

function connection() {
  const element = h("span", { class: "link", "data-state": "waiting" }, t.waiting);
  on("state", (state) => {
    element.dataset.state = state;
    say(element, { live: t.live, waiting: t.waiting, ended: t.ended }[state]);
  });
  return element;
}

async function begin() {
  say(document.getElementById("skip"), t.skip);
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  });
  const nav = document.getElementById("nav");
  nav.setAttribute("aria-label", t.nav);
  nav.append(...Object.keys(views).map((name) => h("a", { href: `#${name}` }, t.views[name])));
  problems(document.querySelector('#nav a[href="#health"]'));
  document.getElementById("tools").append(connection(), look(), key());
  on("hello", () => {
    say(document.getElementById("node"), house.node);
    document.title = document.title.replace("clap-monitor", house.node);
  });
  addEventListener("hashchange", () => {
    show();
    document.getElementById("main").focus();
  });
  show();
  try {
    await recall();
    if (!session.read && (await unlock())) show();
  } catch (error) {
    toast(error.message);
  }
  follow();
}

begin();
