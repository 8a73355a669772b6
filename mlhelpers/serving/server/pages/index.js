// Lists the names of the models that are served.
import { element, open } from "/pages/page.js";

open("/v1/models", async (got, status) => {
  if (!got.ok) {
    status.textContent = `The server said ${got.status}.`;
    return;
  }
  const { models } = await got.json();
  const list = document.getElementById("models");
  list.replaceChildren();
  for (const { name } of models) {
    const line = element("li", `${name} – `);
    line.append(element("code", `POST /v1/models/${name}:predict`));
    list.append(line);
  }
  status.textContent = models.length
    ? `${models.length} ${models.length === 1 ? "model is" : "models are"} served.`
    : "No model is served yet. Make one with: mlhelpers models create";
});
