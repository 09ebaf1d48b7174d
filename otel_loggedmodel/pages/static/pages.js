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
  const scrolled = [...before.querySelectorAll(".wide")].map((one) => one.scrollLeft);
  before.replaceWith(after);
  offerCopies(after);
  offerPictures(after);
  [...after.querySelectorAll(".wide")].forEach((one, index) => (one.scrollLeft = scrolled[index] ?? 0));
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

offerCopies(document);
offerPictures(document);
keepUpToDate();
