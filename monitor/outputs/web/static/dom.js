// The one way in which elements are made: no markup in strings, so nothing a label is called can become markup.

/** Make an element: `h("p", { class: "quiet", onclick: f, "aria-label": "..." }, "text", child, null)`. */
export function h(tag, properties, ...children) {
  const element = tag === "svg" || tag === "path"
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Set the text only if it changes: screen readers and selections are left alone. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set or remove an attribute. */
export function mark(element, name, on) {
  if (element.hasAttribute(name) !== on) element.toggleAttribute(name, on);
}

export function icon(path) {
  return h("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, h("path", { d: path }));
}

let toastTimer = 0;

/** Say something that went wrong, for a while. */
export function toast(text) {
  const place = document.getElementById("toast");
  place.textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => place.replaceChildren(), 6000);
}

/** Tell screen readers what has happened. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
}
