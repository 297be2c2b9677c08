// Which page is shown, light and dark, what is copied, and whether the server has news.
"use strict";

(() => {
  const root = document.documentElement;
  const pages = [...document.querySelectorAll(".page")];
  const links = [...document.querySelectorAll(".side .to")];
  const said = document.getElementById("said");

  function show() {
    const id = decodeURIComponent(location.hash.slice(1)) || "overview";
    const target = document.getElementById(id) || document.getElementById("overview");
    const page = target.closest(".page") || pages[0];
    for (const each of pages) each.classList.toggle("current", each === page);
    const task = page.id.split("/")[0];
    for (const link of links) {
      if (link.hash === `#${task}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    const title = page.querySelector("h1");
    document.title = `${title ? title.textContent.trim() : "report"} · bench`;
    document.getElementById("tasks").classList.remove("open");
    document.getElementById("menu").setAttribute("aria-expanded", "false");
    if (target === page) window.scrollTo({ top: 0, behavior: "instant" });
    else target.scrollIntoView({ block: "start", behavior: "instant" });
    document.dispatchEvent(new CustomEvent("page", { detail: page }));
  }
  window.addEventListener("hashchange", show);

  document.getElementById("menu").addEventListener("click", (event) => {
    const open = document.getElementById("tasks").classList.toggle("open");
    event.currentTarget.setAttribute("aria-expanded", String(open));
  });

  document.getElementById("theme").addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = root.dataset.theme || (dark ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    try { localStorage.setItem("bench-theme", root.dataset.theme); } catch { /* not kept then */ }
  });

  // Files opened from a disk may lack the clipboard's newer interface.
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  }
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    await copy(button.parentElement.querySelector("code").textContent);
    const label = button.querySelector("span");
    button.classList.add("done");
    label.textContent = "Copied";
    said.textContent = "Copied";
    setTimeout(() => {
      button.classList.remove("done");
      label.textContent = "Copy";
      said.textContent = "";
    }, 1600);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, select, textarea")) return;
    const field = document.querySelector(".page.current [data-filter]");
    if (field) {
      event.preventDefault();
      field.focus();
    }
  });

  function follow() {
    const pulse = document.getElementById("pulse");
    let known = null;
    setInterval(async () => {
      try {
        const answer = await fetch("state", { cache: "no-store" });
        const state = await answer.text();
        pulse.classList.remove("lost");
        if (known !== null && state !== known) location.reload();
        known = state;
      } catch {
        pulse.classList.add("lost");
      }
    }, 2000);
  }
  if (document.body.dataset.live === "served") follow();
  show();
})();
