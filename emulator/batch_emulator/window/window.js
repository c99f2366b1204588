// The token comes in the link's fragment, which no server and no log sees, and stays in this tab for this port only.
"use strict";
const KEPT = "batch-emulator-window";
const link = new URLSearchParams(location.hash.slice(1)).get("window");
if (link) {
  sessionStorage.setItem(KEPT, link);
  history.replaceState(null, "", "/");
}
const token = sessionStorage.getItem(KEPT);
const pulse = document.getElementById("pulse");
const state = document.getElementById("state");

async function look() {
  try {
    const answer = await fetch("/window", { headers: { "x-window-token": token }, cache: "no-store" });
    if (answer.status === 403) {
      pulse.textContent = "This link is of an emulator that has ended: open the one that batch-emulator start printed.";
      pulse.className = "lost";
      return;
    }
    const text = await answer.text();
    if (text !== state.dataset.shown) {
      state.innerHTML = text;
      state.dataset.shown = text;
    }
    pulse.textContent = state.querySelector("section").dataset.summary;
    pulse.className = "live";
  } catch (error) {
    pulse.textContent = "The emulator does not answer.";
    pulse.className = "lost";
  }
  setTimeout(look, document.hidden ? 5000 : 1000);
}
if (token) look();
