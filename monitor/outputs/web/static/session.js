// Whether this browser may change things, and the dialog that asks for the token.

import * as api from "./api.js";
import { h, say, toast } from "./dom.js";
import { t } from "./strings.js";

export const session = { read: true, write: false, reason: null };

const listeners = new Set();
export const onSession = (listener) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

function become(known) {
  Object.assign(session, known);
  for (const listener of listeners) listener(session);
}

/** Ask the monitor what this browser may do. */
export async function recall() {
  become(await api.get("session"));
}

export async function leave() {
  become(await api.remove("session"));
}

/** Ask for the token; resolves to whether it was given. */
export function unlock() {
  const field = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
  const wrong = h("p", { class: "alarm small", role: "alert" });
  const dialog = h("dialog", { "aria-labelledby": "token-title" },
    h("form", { method: "dialog", onsubmit: enter },
      h("h1", { id: "token-title" }, t.session.title),
      h("p", { class: "quiet" }, session.read ? t.session.why : `${t.session.read} ${t.session.why}`),
      h("label", { for: "token" }, t.session.label), field, wrong,
      h("div", { class: "row" },
        h("button", { type: "button", onclick: () => dialog.close() }, t.cancel),
        h("button", { type: "submit", class: "primary" }, t.unlock))));

  async function enter(event) {
    event.preventDefault();
    try {
      become(await api.post("session", { token: field.value }));
      dialog.close();
    } catch (error) {
      say(wrong, error.status === 401 ? t.session.wrong : error.message);
      field.select();
    }
  }

  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(session.write);
    });
  });
}

/** Do something that changes the monitor; asks for the token first if it must, and says what went wrong. */
export async function change(what) {
  if (!session.write && session.reason && !(await unlock())) return false;
  try {
    await what();
    return true;
  } catch (error) {
    if (error.status === 401) await recall();
    toast(error.message);
    return false;
  }
}
