// Session: whether this browser may make changes, and the dialog that asks for the token.

import * as api from "./api.js";
import { h, setText, toast } from "./dom.js";
import { t } from "./strings.js";

export const session = { read: true, write: false, reason: null, listen: false };

const listeners = new Set();
export const onSession = (listener) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

function update(rights) {
  Object.assign(session, rights);
  for (const listener of listeners) listener(session);
}

/** Read what this browser may do. */
export async function refreshSession() {
  update(await api.get("session"));
}

export async function lock() {
  update(await api.remove("session"));
}

/** Ask for the token of a right, `write` or `listen`; resolves to whether the browser has the right. */
export function unlock(right = "write") {
  const [title, why] = right === "listen"
    ? [t.session.listenTitle, t.session.listenWhy]
    : [t.session.title, session.read ? t.session.why : `${t.session.read} ${t.session.why}`];
  const field = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
  const wrong = h("p", { class: "alarm small", role: "alert" });
  const dialog = h("dialog", { "aria-labelledby": "token-title" },
    h("form", { method: "dialog", onsubmit: submit },
      h("h1", { id: "token-title" }, title),
      h("p", { class: "quiet" }, why),
      h("label", { for: "token" }, t.session.label), field, wrong,
      h("div", { class: "row" },
        h("button", { type: "button", onclick: () => dialog.close() }, t.cancel),
        h("button", { type: "submit", class: "primary" }, t.unlock))));

  async function submit(event) {
    event.preventDefault();
    try {
      update(await api.post("session", { token: field.value }));
      if (session[right]) dialog.close();
      else setText(wrong, right === "listen" ? t.session.notListen : t.session.wrong);
    } catch (error) {
      setText(wrong, error.status === 401 ? t.session.wrong : error.message);
      field.select();
    }
  }

  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(session[right]);
    });
  });
}

/** Make a change; asks for the token first if needed, and shows an error. Resolves to whether it was made. */
export async function change(action) {
  if (!session.write && session.reason && !(await unlock())) return false;
  try {
    await action();
    return true;
  } catch (error) {
    if (error.status === 401) await refreshSession();
    toast(error.message);
    return false;
  }
}
