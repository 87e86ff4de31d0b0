// Comfort only: every page works without it. Hooked by data- attributes:
//
// data-complete="6"   on an input: its form is sent once so many digits are there (typed, pasted or filled in)
// data-seconds="30"   on a text in a [data-wait]: until so many seconds are over the button there cannot be used, and the
//                     text is its data-text with the rest as m:ss in place of %; then it goes
// data-print          on a button: prints the page
// data-copy="#id"     on a button: copies that element's text, and says data-copied when it has
// data-download="#id" on a button: saves that element's text as a file of the name in data-name
// data-time           on a <time>: shown as the browser's own clock and language would
// data-once           on a form: it is sent once, however often its button is pressed
// data-script         on an element with `hidden`: shown where there is script
"use strict";

const each = (selector, act) => document.querySelectorAll(selector).forEach(act);

each("[data-script]", (it) => { it.hidden = false; });

each("input[data-complete]", (input) => {
  const complete = Number(input.dataset.complete);
  let sent = "";
  input.addEventListener("input", () => {
    const digits = input.value.replace(/\D/g, "");
    // Once for each code: whoever corrects a digit sends the corrected one.
    if (digits.length !== complete || digits === sent || /[^\d\s-]/.test(input.value)) return;
    sent = digits;
    input.form.requestSubmit();
  });
});

each("form[data-once]", (form) => {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
});
// Back to a page that was kept: its forms can be sent again.
addEventListener("pageshow", (event) => {
  if (event.persisted) each("form[data-once]", (form) => { delete form.dataset.sent; });
});

each("[data-seconds]", (text) => {
  const place = text.closest("[data-wait]");
  const button = place.querySelector("button");
  const over = Date.now() + Number(text.dataset.seconds) * 1000;
  const tick = () => {
    const left = Math.ceil((over - Date.now()) / 1000);
    text.hidden = left <= 0;
    // Not `disabled`: the button would lose the focus, and could not be found by the keyboard.
    if (left <= 0) return button.removeAttribute("aria-disabled");
    button.setAttribute("aria-disabled", "true");
    const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    text.textContent = text.dataset.text.replace("%", clock);
    setTimeout(tick, 250);
  };
  button.addEventListener("click", (event) => {
    if (button.getAttribute("aria-disabled")) event.preventDefault();
  });
  tick();
});

each("button[data-print]", (button) => button.addEventListener("click", () => print()));

each("button[data-copy]", (button) => {
  // Browsers have a clipboard for pages over https only.
  if (!navigator.clipboard) return void (button.hidden = true);
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).innerText);
    if (button.dataset.copied) button.textContent = button.dataset.copied;
  });
});

each("button[data-download]", (button) => {
  button.addEventListener("click", () => {
    const text = document.querySelector(button.dataset.download).innerText;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${text.trim()}\n`], { type: "text/plain" }));
    link.download = button.dataset.name;
    link.click();
    // Not at once: some browsers read it only after this.
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
});

each("time[data-time]", (time) => {
  const at = new Date(time.dateTime);
  const form = { dateStyle: "medium", timeStyle: "short" };
  if (!Number.isNaN(at.getTime())) time.textContent = at.toLocaleString(document.documentElement.lang, form);
});

// Passkeys. On a form:
//
// data-passkey="get"  before it is sent, the browser asks for a passkey ("create": makes one) and its answer is put into
//                     the field `answer`. What to ask comes from the form's own address, with data-ask as the `action`.
//                     What goes wrong is shown in its [data-said]: data-cancelled, data-known, data-unable, or the answer's own.
const decoded = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (it) => it.charCodeAt(0));
const encoded = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const described = (list) => list?.map((it) => ({ ...it, id: decoded(it.id) }));

async function askedPasskey(form) {
  const fields = new URLSearchParams({ form: form.elements.form.value, action: form.dataset.ask });
  const headers = { Accept: "application/json" };
  const response = await fetch(form.getAttribute("action"), { method: "POST", body: fields, headers });
  // A page, not an answer: too old a form, the end of a session. Sent as a form, it is shown.
  if (!response.headers.get("Content-Type")?.startsWith("application/json")) {
    form.elements.answer.value = "";
    form.submit();
    return { error: "" };
  }
  const { publicKey, error, go_to: elsewhere } = await response.json();
  if (elsewhere) location.assign(elsewhere);
  if (!publicKey) return { error: error ?? "" };
  publicKey.challenge = decoded(publicKey.challenge);
  if (form.dataset.passkey === "create") {
    publicKey.user.id = decoded(publicKey.user.id);
    publicKey.excludeCredentials = described(publicKey.excludeCredentials);
    return { credential: await navigator.credentials.create({ publicKey }) };
  }
  publicKey.allowCredentials = described(publicKey.allowCredentials);
  return { credential: await navigator.credentials.get({ publicKey }) };
}

function asJson({ id, rawId, type, response }) {
  const said = { clientDataJSON: encoded(response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) said[name] = encoded(response[name]);
  }
  if (response.getTransports) said.transports = response.getTransports();
  return JSON.stringify({ id, rawId: encoded(rawId), type, response: said, clientExtensionResults: {} });
}

each("form[data-passkey]", (form) => {
  const said = form.querySelector("[data-said]");
  const say = (words) => { said.textContent = words; said.hidden = !words; };
  const { cancelled, known, unable } = form.dataset;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    say("");
    if (!window.PublicKeyCredential) return say(unable);
    if (form.dataset.asking) return;
    form.dataset.asking = "yes";
    try {
      const { credential, error } = await askedPasskey(form);
      if (!credential) return say(error);
      form.elements.answer.value = asJson(credential);
      form.submit();
    } catch ({ name }) {
      const words = { NotAllowedError: cancelled, AbortError: cancelled, InvalidStateError: known };
      say(words[name] ?? unable);
    } finally {
      delete form.dataset.asking;
    }
  });
});
