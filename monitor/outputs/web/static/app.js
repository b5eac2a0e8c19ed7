// Frame of the page: navigation, color scheme, lock button, and state of the connection.

import { h, icon, setText, toast } from "./dom.js";
import { connect, monitor, on } from "./state.js";
import { lock, onSession, refreshSession, session, unlock } from "./session.js";
import { t } from "./strings.js";
import * as events from "./events.js";
import * as health from "./health.js";
import { listenersStrip } from "./listen.js";
import * as labels from "./labels.js";
import * as now from "./now.js";
import * as search from "./search.js";
import * as timeline from "./timeline.js";

const views = { now, timeline, events, search, labels, health };

const SUN = "M12 3v2m0 14v2m9-9h-2M5 12H3m15.4 6.4-1.5-1.5M7 7 5.6 5.6m12.8 0L17 7M7 17l-1.4 1.4M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0z";
const MOON = "M20 14.5A8 8 0 0 1 9.5 4a8 8 0 1 0 10.5 10.5z";
const CLOSED = "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3";
const OPEN = "M6 11h12v9H6zM8.5 11V7a3.5 3.5 0 0 1 6.8-1.2";

let unmount = () => {};

function show() {
  const [requested, details] = location.hash.slice(1).split("/");
  const name = views[requested] ? requested : "now";
  unmount();
  const root = document.getElementById("main");
  unmount = views[name].mount(root, new URLSearchParams(details)) ?? (() => {});
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${t.views[name]} – ${monitor.node || "clap-monitor"}`;
}

function themeButton() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = h("button", { class: "plain", onclick: () => set(current() === "dark" ? "light" : "dark", true) });
  const current = () => document.documentElement.dataset.theme;

  function set(theme, save) {
    document.documentElement.dataset.theme = theme;
    if (save) localStorage.setItem("theme", theme);
    button.replaceChildren(icon(theme === "dark" ? SUN : MOON));
    button.setAttribute("aria-label", theme === "dark" ? t.theme.light : t.theme.dark);
    dispatchEvent(new Event("theme"));
  }
  const systemTheme = () => (system.matches ? "dark" : "light");
  system.addEventListener("change", () => localStorage.getItem("theme") ?? set(systemTheme()));
  set(localStorage.getItem("theme") ?? systemTheme());
  return button;
}

function lockButton() {
  const button = h("button", { class: "plain", id: "key" });
  button.addEventListener("click", async () => {
    if (session.write) return lock();
    if (session.reason?.includes("web.token_file")) return toast(session.reason);
    const couldRead = session.read;
    if (!(await unlock())) return undefined;
    if (!couldRead) show();
    return connect();
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

/** Show the number of problems at the link to Health, in every view. */
function showProblems(link) {
  const refresh = () => {
    const { problems } = monitor;
    if (problems.length) {
      link.dataset.wrong = String(problems.length);
      link.title = problems.map(({ what, why }) => `${what} ${why}`).join("\n");
      link.setAttribute("aria-label", `${link.textContent}: ${t.health.wrong(problems.length)}`);
    } else {
      delete link.dataset.wrong;
      link.removeAttribute("title");
      link.removeAttribute("aria-label");
    }
  };
  on("state", refresh);
  on("health", refresh);
}

function connectionState() {
  const element = h("span", { class: "link", "data-state": "waiting" }, t.waiting);
  on("state", (state) => {
    element.dataset.state = state;
    setText(element, { live: t.live, waiting: t.waiting, ended: t.ended }[state]);
  });
  return element;
}

async function start() {
  setText(document.getElementById("skip"), t.skip);
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  });
  const nav = document.getElementById("nav");
  nav.setAttribute("aria-label", t.nav);
  nav.append(...Object.keys(views).map((name) => h("a", { href: `#${name}` }, t.views[name])));
  document.getElementById("main").before(listenersStrip());
  showProblems(document.querySelector('#nav a[href="#health"]'));
  document.getElementById("tools").append(connectionState(), themeButton(), lockButton());
  on("hello", () => {
    setText(document.getElementById("node"), monitor.node);
    document.title = document.title.replace("clap-monitor", monitor.node);
  });
  addEventListener("hashchange", () => {
    show();
    document.getElementById("main").focus();
  });
  show();
  try {
    await refreshSession();
    if (!session.read && (await unlock())) show();
  } catch (error) {
    toast(error.message);
  }
  connect();
}

start();
