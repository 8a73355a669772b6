// The form for babyweight: offers what /api/form says, sends the items to /api/predict, and says what comes back.
import { ask, element, open, unreachable } from "/pages/page.js";

const NAMES = { male: "Male", female: "Female", unknown: "Unknown", 1: "1", 2: "2", 3: "3", 4: "4", 5: "5" };
const KILOGRAMS = 0.45359237; // of a pound
const PAUSE_MS = 150; // a slider on its way need not be answered at every step

const form = document.getElementById("form");
const answer = document.getElementById("answer");
const fault = document.getElementById("fault");
const how = document.getElementById("how");
const sliders = [...form.querySelectorAll("input[type=range]")];
let latest = 0; // the number of the newest request: an older answer that comes late is not shown
let answered = false;
let timer = 0;

function offer(name, words) {
  const choices = form.querySelector(`#${name} .choices`);
  choices.replaceChildren();
  for (const word of words) {
    const label = element("label");
    label.append(element("input", "", { type: "radio", name, value: word, required: "" }), element("span", NAMES[word]));
    choices.append(label);
  }
}

function say(slider) {
  const text = `${slider.value} ${slider.dataset.unit}`;
  slider.setAttribute("aria-valuetext", text);
  form.querySelector(`output[for=${slider.id}]`).textContent = text;
}

function items() {
  const chosen = new FormData(form); // the radio buttons, where one is set
  for (const slider of sliders) chosen.set(slider.id, slider.value);
  return Object.fromEntries(chosen);
}

function refuse(text) {
  answer.replaceChildren();
  answered = false;
  fault.textContent = text;
}

function tell(result) {
  const pounds = Number.parseFloat(result);
  fault.textContent = "";
  if (Number.isNaN(pounds)) {
    refuse(result);
    return;
  }
  const line = element("p", "", { class: "weight" });
  line.append(element("strong", `${pounds.toFixed(2)} lb`), ` = ${(pounds * KILOGRAMS).toFixed(2)} kg`);
  answer.replaceChildren(line);
  if (pounds <= 0) answer.append(element("p", "No baby weighs that: this model has hardly been trained, or not for this."));
  answered = true;
}

async function send() {
  clearTimeout(timer);
  const number = ++latest;
  const sent = items();
  if (!sent.baby_gender || !sent.plurality) {
    refuse("Set all items.");
    form.querySelector(`input[name=${sent.baby_gender ? "plurality" : "baby_gender"}]`).focus();
    return;
  }
  if (!answered) answer.textContent = "Asking the model …";
  try {
    const got = await ask("/api/predict", {
      method: "POST", body: JSON.stringify(sent), headers: { "Content-Type": "application/json" },
    });
    const text = await got.text();
    if (number !== latest) return;
    const said = JSON.parse(text);
    if (got.ok) {
      how.hidden = true;
      tell(said.result);
    } else {
      how.hidden = got.status !== 404;
      refuse(said.error);
      const seconds = Number(got.headers.get("retry-after")); // the model is still loading, or there is a queue
      if (seconds) timer = setTimeout(send, seconds * 1000);
    }
  } catch (error) {
    if (number === latest) refuse(unreachable(error));
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
form.addEventListener("input", (event) => {
  if (event.target.type === "range") say(event.target);
  fault.textContent = "";
  if (!answered) return;
  clearTimeout(timer);
  timer = setTimeout(send, PAUSE_MS);
});

open("/api/form", async (got, status) => {
  const said = await got.json();
  form.hidden = !got.ok;
  how.hidden = got.status !== 404;
  status.textContent = got.ok ? "" : said.error;
  if (!got.ok) return;
  for (const name of ["baby_gender", "plurality"]) offer(name, said[name]);
  for (const slider of sliders) {
    const { minimum, maximum } = said[slider.id];
    slider.min = minimum;
    slider.max = maximum;
    slider.value = slider.dataset.start; // the nearest that there is
    say(slider);
  }
  const version = said.version ? `, version ${said.version}` : "";
  const what = said.description ? `: ${said.description}` : "";
  document.getElementById("model").textContent = `The model asked is ${said.model}${version}${what}.`;
  if (typeof said.rmse === "number") {
    document.getElementById("error").textContent =
      `On births kept aside from its training this model was wrong by ${said.rmse.toFixed(2)} lb (root of the mean square).`;
  }
});
