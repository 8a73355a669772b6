// The page: takes a picture, sends it to /api/detect, shows what comes back. Whatever the server or a file's name says is
// put in as text, never as HTML.
import { colour, draw } from "/pages/boxes.js";
import { offerCamera } from "/pages/camera.js";

const FLOOR = 0.1; // asked for once; the slider moves above it without asking again
const TRIES = 8; // where the server is busy
const EVERYTHING = "";
const ORIGINAL = " original"; // no class is called so

const byId = (id) => document.getElementById(id);
const [picture, boxes, figure, drop] = ["picture", "boxes", "figure", "drop"].map(byId);
const [status, fault, model, threshold, shown] = ["status", "fault", "model", "threshold", "shown"].map(byId);

let facts = { models: [], limits: { max_bytes: Infinity } };
let sent = null; // the picture file that is shown
let title = "";
let answer = null; // what was found in it
let choice = EVERYTHING;
let asking = new AbortController();

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function above() {
  const from = Number(threshold.value) - 1e-6;
  return answer ? answer.detections.filter(({ score }) => score >= from) : [];
}

function count(detections) {
  const counts = new Map();
  for (const { name, class_id: id } of detections) {
    const { number = 0 } = counts.get(name) ?? {};
    counts.set(name, { id, number: number + 1 });
  }
  return [...counts].sort((one, other) => other[1].number - one[1].number);
}

function option(value, text, number, swatch) {
  const label = element("label");
  const input = element("input", "", { type: "radio", name: "show", value });
  input.checked = value === choice;
  label.append(input);
  if (swatch) {
    const patch = element("span", "", { class: "swatch" });
    patch.style.background = swatch;
    label.append(patch);
  }
  label.append(element("span", text));
  if (number !== undefined) label.append(" ", element("span", String(number), { class: "count" }));
  return label;
}

function list(counts, total) {
  if (choice !== EVERYTHING && choice !== ORIGINAL && !counts.some(([name]) => name === choice)) choice = EVERYTHING;
  const made = [option(ORIGINAL, "original"), option(EVERYTHING, "everything", total)];
  for (const [name, { id, number }] of counts) made.push(option(name, name, number, colour(id).line));
  byId("classes").replaceChildren(...made);
}

function tabulate(detections) {
  const { width, height } = answer.size;
  byId("table").replaceChildren(...detections.map(({ name, score, box: [top, left, bottom, right] }) => {
    const row = element("tr");
    const sizes = [left * width, top * height, (right - left) * width, (bottom - top) * height];
    row.append(element("th", name, { scope: "row" }), element("td", score.toFixed(2)));
    row.append(...sizes.map((size) => element("td", String(Math.round(size)))));
    return row;
  }));
}

function sentence(counts, total) {
  const { size, seconds, model: by, detections } = answer;
  const how = `${by}, ${Math.round(seconds * 1000)} ms, ${size.width} × ${size.height} pixels`;
  if (total) return `Found ${total}: ${counts.map(([name, { number }]) => `${name} ${number}`).join(", ")} (${how}).`;
  const from = Number(threshold.value).toFixed(2);
  if (!detections.length) return `Nothing was found (${how}).`;
  return `Nothing scores ${from} or more; ${detections.length} score less: move the slider to see them (${how}).`;
}

function show({ aloud = true } = {}) {
  byId("at").textContent = Number(threshold.value).toFixed(2);
  shown.hidden = byId("rows").hidden = !answer;
  if (!answer) {
    boxes.replaceChildren();
    return;
  }
  const all = above();
  const counts = count(all);
  list(counts, all.length);
  const visible = choice === ORIGINAL ? [] : all.filter(({ name }) => choice === EVERYTHING || name === choice);
  draw(boxes, visible);
  tabulate(visible);
  picture.alt = `${title}: ${counts.map(([name, { number }]) => `${name} ${number}`).join(", ") || "nothing found"}`;
  if (aloud) status.textContent = sentence(counts, all.length);
}

function refuse(text) {
  answer = null;
  status.textContent = "";
  fault.textContent = text;
  figure.classList.remove("waiting");
  show();
}

async function ask(signal) {
  const query = new URLSearchParams({ model: model.value, threshold: FLOOR });
  for (let trial = 1; ; trial += 1) {
    const got = await fetch(`/api/detect?${query}`, {
      method: "POST", body: sent, headers: { "Content-Type": "application/octet-stream" }, signal,
    });
    if (got.status !== 429 || trial === TRIES) return got;
    status.textContent = "Many pictures wait; yours is sent again in a moment …";
    const seconds = Number(got.headers.get("retry-after")) || 1;
    await new Promise((resolve) => { setTimeout(resolve, 1000 * seconds * (0.5 + Math.random())); });
  }
}

async function detect() {
  asking.abort();
  const { signal } = asking = new AbortController();
  fault.textContent = "";
  status.textContent = "Detecting objects …";
  figure.classList.add("waiting");
  try {
    const got = await ask(signal);
    const said = await got.json();
    if (signal.aborted) return;
    if (!got.ok) {
      refuse(said.error);
      return;
    }
    answer = said;
    figure.classList.remove("waiting");
    show();
  } catch (error) {
    if (!signal.aborted) refuse(`The server does not answer: ${error.message}. Is it still running?`);
  }
}

function take(file, name) {
  if (!file) return;
  if (file.size > facts.limits.max_bytes) {
    refuse(`${name} has ${(file.size / 1e6).toFixed(1)} MB; up to ${facts.limits.max_bytes / 1e6} are taken. Scale it down first.`);
    return;
  }
  URL.revokeObjectURL(picture.src);
  sent = file;
  title = name;
  answer = null;
  choice = EVERYTHING;
  boxes.replaceChildren();
  drop.classList.add("full");
  figure.hidden = false;
  picture.alt = name;
  picture.src = URL.createObjectURL(file);
  detect();
}

picture.addEventListener("error", () => { // no picture, or none that a browser shows; the server says what is wrong
  figure.hidden = true;
  drop.classList.remove("full");
});
for (const input of [byId("file"), byId("photo")]) {
  input.addEventListener("change", () => {
    take(input.files[0], input.files[0]?.name);
    input.value = ""; // the same file may be chosen again
  });
}
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) take(file, file.name);
  else fault.textContent = "That was no file. Save the picture first, then drop the file here.";
});
document.addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (file) take(file, file.name || "The pasted picture");
});
threshold.addEventListener("input", () => show({ aloud: false }));
threshold.addEventListener("change", () => show());
model.addEventListener("change", () => {
  describe();
  if (sent) detect();
});
byId("classes").addEventListener("change", (event) => {
  choice = event.target.value;
  show({ aloud: false });
  byId("classes").querySelector(":checked").focus(); // the list is a new one
});

function describe() {
  const { about = "" } = facts.models.find(({ name }) => name === model.value) ?? {};
  byId("about").textContent = about;
  const address = `${location.origin}/api/detect`;
  byId("commands").textContent = `curl -u any:PASSWORD --data-binary @photo.jpg '${address}'\n`
    + `curl -u any:PASSWORD -F image=@photo.jpg '${address}?model=${encodeURIComponent(model.value)}&threshold=0.7'`;
}

async function open() {
  try {
    const got = await fetch("/api/models");
    facts = await got.json();
  } catch (error) {
    refuse(`The server does not answer: ${error.message}. Is it still running?`);
    return;
  }
  model.replaceChildren(...facts.models.map(({ name, title: text }) => element("option", text ?? name, { value: name })));
  model.value = facts.default;
  const { max_bytes: bytes, max_pixels: pixels } = facts.limits;
  byId("limits").textContent = `A file may have ${bytes / 1e6} MB, a picture ${pixels / 1e6} million pixels.`;
  describe();
}

show();
open();
offerCamera(byId("camera"), take);
