// SPDX-License-Identifier: Apache-2.0
// Everything works without this file. It copies snippets, and brings new data into a page that is open.

const POLL_MS = 3000;

function offerCopies(root) {
  for (const button of root.querySelectorAll("button.copy")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
      say("Copied");
    });
  }
}

// A picture that a message carries is shown where it stands, once somebody has asked for it.
function showPicture(link) {
  const picture = document.createElement("img");
  picture.className = "picture";
  picture.alt = link.parentElement.firstChild.textContent.trim();
  picture.src = link.href;
  link.after(picture);
  link.hidden = true;
}

function offerPictures(root) {
  for (const link of root.querySelectorAll("a.picture")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      showPicture(link);
    });
  }
}

function say(text) {
  const said = document.getElementById("said");
  if (said) said.textContent = text;
}

// What a person has done to a part of the page outlives its replacement.
function adopt(before, after) {
  for (const ticked of before.querySelectorAll("input[type=checkbox][name=version]:checked")) {
    for (const box of after.querySelectorAll("input[type=checkbox][name=version]")) {
      if (box.value === ticked.value) box.checked = true;
    }
  }
  for (const picture of before.querySelectorAll("img.picture")) {
    for (const link of after.querySelectorAll("a.picture")) {
      if (link.href === picture.src) showPicture(link);
    }
  }
  for (const details of before.querySelectorAll("details[id]")) {
    const same = after.querySelector(`#${CSS.escape(details.id)}`);
    if (same) same.open = details.open;
  }
}

const FOCUSABLE = "a[href], button, input, select, summary, [tabindex]";

function replace(before, after) {
  const places = [...before.querySelectorAll(FOCUSABLE)];
  const place = places.indexOf(document.activeElement);
  const focused = places[place];
  adopt(before, after);
  const scrolled = [...before.querySelectorAll(".wide-scroll")].map((one) => one.scrollLeft);
  before.replaceWith(after);
  offerCopies(after);
  offerPictures(after);
  [...after.querySelectorAll(".wide-scroll")].forEach((one, index) => (one.scrollLeft = scrolled[index] ?? 0));
  if (focused) {
    const fresh = [...after.querySelectorAll(FOCUSABLE)];
    const same = fresh.find((one) => one.outerHTML === focused.outerHTML) ?? fresh[place];
    same?.focus({ preventScroll: true });
  }
}

async function update(main) {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  if (!fresh?.dataset.revision) return;
  const sections = [...main.querySelectorAll("section[id]")];
  const wanted = [...fresh.querySelectorAll("section[id]")];
  if (sections.length !== wanted.length || sections.some((section, place) => section.id !== wanted[place].id)) {
    replace(main, document.importNode(fresh, true));
  } else {
    sections.forEach((section, place) => {
      const copy = document.importNode(wanted[place], true);
      if (section.outerHTML !== copy.outerHTML) replace(section, copy);
    });
    main.dataset.revision = fresh.dataset.revision;
  }
  say(`Updated ${new Date().toLocaleTimeString()}`);
}

function keepUpToDate() {
  const button = document.getElementById("live");
  const main = () => document.querySelector("main");
  if (!button || !main()?.dataset.revision) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
  });
  const isLive = () => !document.hidden && button.getAttribute("aria-pressed") === "true";
  const poll = async () => {
    if (isLive()) {
      try {
        const answer = await fetch("/revision");
        const changed = answer.ok && (await answer.text()) !== main().dataset.revision;
        // It may have been held meanwhile.
        if (changed && isLive()) await update(main());
      } catch {
        say("The backend does not answer");
      }
    }
    setTimeout(poll, POLL_MS);
  };
  setTimeout(poll, POLL_MS);
}

// A page that takes long begins before it is known what it is called.
function nameTheWindow() {
  const title = document.querySelector("main")?.dataset.title;
  if (title) document.title = `${title} - otel-loggedmodel`;
}

// j and k move along the rows of a list, Enter opens one, / goes to the field that finds things.
const KEYS = "j, k: next and previous row. Enter: open it. /: find. ?: these keys.";

function move(step) {
  const links = [...document.querySelectorAll(".traces tbody th a, .versions tbody th .ver a, .waterfall tbody th a")];
  if (links.length === 0) return;
  const rows = links.map((link) => link.closest("tr"));
  const focused = rows.indexOf(document.activeElement?.closest("tr"));
  const place = focused >= 0 ? focused : rows.findIndex((row) => row.hasAttribute("aria-current"));
  const next = Math.min(Math.max(place + step, 0), links.length - 1);
  links[next].focus();
  links[next].scrollIntoView({ block: "nearest" });
}

function listenToKeys() {
  for (const hint of document.querySelectorAll(".keys")) hint.hidden = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) return;
    if (event.key === "j" || event.key === "k") move(event.key === "j" ? 1 : -1);
    else if (event.key === "/") document.getElementById("find")?.focus();
    else if (event.key === "?") say(KEYS);
    else return;
    event.preventDefault();
  });
}

nameTheWindow();
offerCopies(document);
offerPictures(document);
listenToKeys();
keepUpToDate();
