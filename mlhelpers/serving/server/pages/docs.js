// Lists the models from /openapi.json and sends requests to them.
import { ask, element, open, unreachable } from "/pages/page.js";

function shape(schema) {
  const sizes = [];
  while (schema.type === "array") {
    sizes.push(schema.minItems ?? "any");
    schema = schema.items;
  }
  const leaf = schema.anyOf ? schema.anyOf[0] : schema;
  const names = { number: "number", integer: "whole number", string: "text", boolean: "true or false" };
  let text = names[leaf.type] ?? "";
  if (leaf.enum) text += `, one of ${leaf.enum.join(", ")}`;
  if (leaf.minimum !== undefined) text += `, at least ${leaf.minimum}`;
  if (leaf.maximum !== undefined) text += `, at most ${leaf.maximum}`;
  if (sizes.length === 1 && sizes[0] === 1) return `a list of one: ${text}`;
  return sizes.length ? `${sizes.join(" × ")} of: ${text}` : text;
}

function table(caption, properties, required) {
  const made = element("table", "", { role: "table" }); // roles in words: narrow screens lay the rows out as grids
  made.append(element("caption", caption));
  const head = element("tr", "", { role: "row" });
  for (const title of ["Name", "Takes", "Meaning"]) head.append(element("th", title, { scope: "col", role: "columnheader" }));
  if (!required) head.children[1].textContent = "Gives";
  made.append(head);
  for (const [name, schema] of Object.entries(properties)) {
    const row = element("tr", "", { role: "row" });
    row.append(element("th", name, { scope: "row", role: "rowheader" }));
    const optional = required && !required.includes(name) ? " (may be left out)" : "";
    for (const text of [shape(schema) + optional, schema.description ?? ""]) row.append(element("td", text, { role: "cell" }));
    made.append(row);
  }
  const around = element("div", "", { class: "wide" });
  around.append(made);
  return around;
}

function trial(path, examples, id) {
  const form = element("form", "", { "aria-label": `Try ${path}` });
  const choice = element("select", "", { id: `${id}-example` });
  for (const name of Object.keys(examples)) choice.append(element("option", name, { value: name }));
  const body = element("textarea", "", { id: `${id}-body`, spellcheck: "false", autocomplete: "off" });
  const fill = () => { body.value = JSON.stringify(examples[choice.value].value); };
  choice.addEventListener("change", fill);
  fill();
  const send = element("button", "Send", { type: "submit" });
  const said = element("p", "", { role: "status" });
  const answer = element("pre", "", { tabindex: "0", role: "region", "aria-label": `Answer of ${path}` });
  answer.hidden = true;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    said.textContent = "Sent; waiting for the answer …";
    const began = performance.now();
    try {
      const got = await ask(path, {
        method: "POST", body: body.value, headers: { "Content-Type": "application/json" },
      });
      const text = await got.text();
      const ms = (performance.now() - began).toFixed(1);
      const version = got.headers.get("x-model-version");
      said.textContent = `${got.status} after ${ms} ms${version ? `, answered by version ${version}` : ""}`;
      answer.textContent = pretty(text);
      answer.hidden = false;
    } catch (error) {
      said.textContent = unreachable(error);
    }
    send.disabled = false;
  });
  form.append(element("label", "Signature", { for: choice.id }), choice);
  form.append(element("label", "Request body (JSON)", { for: body.id }), body, send, said, answer);
  return form;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 1);
  } catch {
    return text;
  }
}

function section(path, post, schemas, number) {
  const made = element("section", "", { "aria-labelledby": `model-${number}` });
  const model = post["x-model"];
  made.append(element("h2", model ? model.name : post.summary, { id: `model-${number}` }));
  if (post.description) made.append(element("p", post.description));
  if (!model) return made;
  const line = element("p", "POST ");
  line.append(element("code", path), document.createTextNode(`, default version ${model.version}`));
  made.append(line);
  const content = post.requestBody.content["application/json"];
  for (const name of Object.keys(content.examples)) {
    const schema = schemas[`${model.name}.${name}`];
    const { key, ...inputs } = schema.properties;
    const own = schema.required.includes("key") ? schema.properties : inputs;
    made.append(table(`Signature ${name}`, own, schema.required));
  }
  const answer = post.responses["200"].content["application/json"].schema;
  made.append(table("Each prediction", answer.properties.predictions.items.properties, null));
  if (model.classNames.length) made.append(element("p", `Classes, in order: ${model.classNames.join(", ")}`));
  made.append(element("h3", "Try it"), trial(path, content.examples, `model-${number}`));
  return made;
}

async function show(got, status) {
  const main = document.getElementById("models");
  main.replaceChildren();
  if (!got.ok) {
    status.textContent = `The server said ${got.status}.`;
    return;
  }
  const api = await got.json();
  const served = Object.entries(api.paths).filter(([path]) => /^\/v1\/models\/[^{]*:predict$/.test(path));
  served.forEach(([path, entry], number) => main.append(section(path, entry.post, api.components.schemas, number)));
  status.textContent = served.length
    ? `${served.length} ${served.length === 1 ? "model" : "models"}. ${api.info.description}`
    : "No model is served yet. Make one with: mlhelpers models create";
}

open("/openapi.json", show);
