// API client. Addresses are relative, so the page works below any path of a reverse proxy.

import { t } from "./strings.js";

class RequestError extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

async function request(method, path, body, signal) {
  const options = { method, headers: {}, cache: "no-store", signal };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["content-type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(`api/${path}`, options);
  } catch {
    throw new RequestError(0, t.errors.unreachable);
  }
  const content = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (!answer.ok) throw new RequestError(answer.status, reasonOf(content) ?? t.errors.failed(answer.status));
  return content;
}

/** Reason of a refusal; FastAPI lists the faults of a body. */
function reasonOf(content) {
  if (typeof content?.detail === "string") return content.detail;
  if (Array.isArray(content?.detail)) return content.detail.map((each) => each.msg).join("; ");
  return null;
}

const query = (parameters) => {
  const known = Object.entries(parameters ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return known.length ? `?${new URLSearchParams(known)}` : "";
};

export const get = (path, parameters, signal) => request("GET", path + query(parameters), undefined, signal);
export const post = (path, body, signal) => request("POST", path, body, signal);
export const put = (path, body) => request("PUT", path, body);
export const patch = (path, body) => request("PATCH", path, body);
export const remove = (path) => request("DELETE", path);
