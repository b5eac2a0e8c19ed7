// API reference: everything comes from openapi.json, nothing from other servers.

import { h } from "./dom.js";

const theme = localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
document.documentElement.dataset.theme = theme;

const description = await (await fetch("openapi.json")).json();

function shape(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.anyOf) return schema.anyOf.map(shape).join(" or ");
  if (schema.type === "array") return `list of ${shape(schema.items)}`;
  if (schema.enum) return schema.enum.map((value) => `"${value}"`).join(", ");
  if (schema.const !== undefined) return `"${schema.const}"`;
  const limits = ["minimum", "exclusiveMinimum", "maximum", "maxLength", "maxItems", "default"]
    .filter((key) => schema[key] !== undefined).map((key) => `${key} ${schema[key]}`);
  return [schema.type ?? "anything", ...limits].join(", ");
}

function keys(schema) {
  const model = description.components?.schemas?.[shape(schema)];
  if (!model?.properties) return [];
  return Object.entries(model.properties).map(([name, each]) => [
    name + (model.required?.includes(name) ? " *" : ""), shape(each), each.description ?? "",
  ]);
}

const table = (rows) => (rows.length ? h("table", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell, index) => h("td", {}, index ? cell : h("code", {}, cell)))))) : null);

function operation(method, path, each) {
  const body = each.requestBody?.content?.["application/json"]?.schema;
  const answer = each.responses?.["200"]?.content?.["application/json"]?.schema;
  return h("section", { class: "card operation" },
    h("h3", {}, h("span", {}, method.toUpperCase()), path),
    h("p", {}, each.description ?? each.summary),
    table((each.parameters ?? []).map((p) => [p.name + (p.required ? " *" : ""), shape(p.schema), p.description ?? ""])),
    body ? h("p", { class: "small quiet" }, `Body: ${shape(body)}`) : null, body ? table(keys(body)) : null,
    answer ? h("p", { class: "small quiet" }, `Answer: ${shape(answer)}`) : null, answer ? table(keys(answer)) : null);
}

const groups = new Map();
for (const [path, methods] of Object.entries(description.paths)) {
  for (const [method, each] of Object.entries(methods)) {
    const tag = each.tags?.[0] ?? "";
    groups.set(tag, [...(groups.get(tag) ?? []), operation(method, path, each)]);
  }
}

document.getElementById("main").append(
  h("h1", {}, `${description.info.title} ${description.info.version}`),
  h("p", { class: "quiet" }, description.info.description.trim()),
  h("p", {}, h("a", { href: "openapi.json" }, "openapi.json"), " · ", h("a", { href: "./" }, "the page")),
  ...[...groups].flatMap(([tag, operations]) => [h("h2", {}, tag), ...operations]));
