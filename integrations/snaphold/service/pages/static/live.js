// Fetches the page again when the service says that something changed. Without this script the page is read by hand.
"use strict";
const part = document.querySelector("[data-live]");
const source = part && part.dataset.live;
if (source) {
  let busy = false, again = false;
  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.querySelector("[data-live]");
        if (fresh) {
          part.replaceChildren(...fresh.childNodes);
          if (!fresh.dataset.live) { events.close(); }
        }
      }
    } finally {
      busy = false;
      if (again) { again = false; refresh(); }
    }
  };
  const events = new EventSource(source);
  events.addEventListener("change", refresh);
}
