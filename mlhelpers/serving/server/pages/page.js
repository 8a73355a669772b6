// What the pages share: elements made of text, and requests that bring the token. Whatever a model or the server says
// is put in as text, never as HTML.

let token = "";

export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch(path, { ...options, headers, credentials: "omit" });
}

export function unreachable(error) {
  return `The server does not answer: ${error.message}. Is it still running?`;
}

// Asks for what a page shows, and for the token where the server wants one; then gives the answer to `show`.
export function open(path, show) {
  const status = document.getElementById("status");
  const login = document.getElementById("login");
  async function go() {
    let got;
    try {
      got = await ask(path);
    } catch (error) {
      status.textContent = unreachable(error);
      return;
    }
    login.hidden = got.status !== 401;
    if (got.status === 401) {
      status.textContent = token ? "That is not the token." : "";
      document.getElementById("token").focus();
    } else {
      await show(got, status);
    }
  }
  login.addEventListener("submit", (event) => {
    event.preventDefault();
    token = document.getElementById("token").value;
    go();
  });
  go();
}
