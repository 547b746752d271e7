// Refreshes the page in place: it fetches itself and updates the parts that changed, so that
// focus, scroll positions and open details stay.
"use strict";

const interval = 3000; // milliseconds
const timeout = 8000;

const $ = (id) => document.getElementById(id);
let timer = 0;
let paused = false;
let fetching = false;

// alike reports whether patch can make one node the same as the other without replacing it.
function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName;
}

function byId(parent) {
  return new Map([...parent.children].filter((e) => e.id).map((e) => [e.id, e]));
}

function patchAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) {
      old.removeAttribute(name);
    }
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) {
      old.setAttribute(name, value);
    }
  }
}

// patch makes old the same as fresh. It finds elements with an id by the id among all siblings,
// and other nodes by their position. It removes nodes rather than move those after them, because a
// moved element loses the focus.
function patch(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) {
      old.data = fresh.data;
    }
    return;
  }
  patchAttributes(old, fresh);
  const named = byId(old);
  const wanted = byId(fresh);
  let at = old.firstChild;
  const removeHere = () => {
    const next = at.nextSibling;
    at.remove();
    at = next;
  };
  for (const want of fresh.childNodes) {
    const here = at && !at.id && alike(at, want) ? at : null;
    const same = want.id ? named.get(want.id) : here;
    while (same && at && at !== same && !wanted.has(at.id)) {
      removeHere();
    }
    if (!same) {
      old.insertBefore(document.importNode(want, true), at);
      continue;
    }
    if (same === at) {
      at = at.nextSibling;
    } else {
      old.insertBefore(same, at);
    }
    patch(same, want);
  }
  while (at) {
    removeHere();
  }
}

// kinds returns the warnings without their figures, which change often.
function kinds() {
  return [...document.querySelectorAll("#warnings .says")].map((e) => e.textContent.replace(/[\d.:TZ-]+\s*[smh%]?/g, ""));
}

// announce makes screen readers announce new and ended warnings.
function announce(before) {
  const now = kinds();
  const fresh = now.filter((k) => !before.includes(k)).length;
  if (fresh > 0) {
    $("news").textContent = `Warnings: ${now.length}, new ones: ${fresh}`;
  } else if (now.length < before.length) {
    $("news").textContent = `Warnings: ${now.length}`;
  }
}

// notice shows why the page is not up to date; an empty text if it is.
function notice(text, stale) {
  if ($("notice").textContent !== text) {
    $("notice").textContent = text;
  }
  document.documentElement.classList.toggle("stale", stale);
}

function shownAt() {
  return $("asof").querySelector("time").textContent;
}

function show(fresh) {
  const version = (of) => of.documentElement.dataset.version;
  if (version(fresh) !== version(document)) {
    location.reload(); // a page of another version needs its own script and style
    return;
  }
  const before = kinds();
  patch($("main"), fresh.getElementById("main"));
  document.title = fresh.title;
  announce(before);
  notice("", false);
}

async function refresh() {
  clearTimeout(timer);
  if (paused || fetching || document.hidden) {
    return;
  }
  fetching = true;
  try {
    const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(timeout) });
    if (!answer.ok) {
      throw new Error(answer.statusText);
    }
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!paused && !document.hidden) {
      show(fresh);
    }
  } catch {
    notice(`The sensor does not answer. The values below are from ${shownAt()} and may have changed.`, true);
  } finally {
    fetching = false;
    timer = setTimeout(refresh, interval);
  }
}

$("pause").hidden = false;
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").textContent = paused ? "Resume refresh" : "Pause refresh";
  if (paused) {
    notice(`Refresh is paused. The values below are from ${shownAt()}.`, true);
  } else {
    refresh();
  }
});
document.addEventListener("visibilitychange", refresh);
timer = setTimeout(refresh, interval);
