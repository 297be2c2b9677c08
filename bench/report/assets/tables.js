// Sorting and filtering of rows, and the details of a row under the pointer.
"use strict";

(() => {
  // The first number of a cell: 121.34 ± 0.14, 144†, (41.5), 684 MB, 2,438,100.
  function value(cell) {
    const text = cell ? cell.textContent.trim() : "";
    const found = text.replace(/,(?=\d{3})/g, "").match(/^[(+]?(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)/i);
    return { text, number: found ? Number(found[1]) : null };
  }

  function sort(table, column, direction) {
    const body = table.tBodies[0];
    const rows = [...body.querySelectorAll(":scope > tr.line")];
    rows.forEach((row, i) => { row.dataset.place ??= i; });
    const isNumber = column !== null && table.tHead.rows[0].cells[column].classList.contains("num");
    const key = (row) => (column === null ? Number(row.dataset.place) : value(row.cells[column]));
    const sign = direction === "descending" ? -1 : 1;
    rows.sort((a, b) => {
      const [left, right, place] = [key(a), key(b), a.dataset.place - b.dataset.place];
      if (column === null) return left - right;
      if (!left.text || !right.text) return !left.text - !right.text || place;
      if (isNumber && left.number !== null && right.number !== null) {
        return sign * (left.number - right.number) || place;
      }
      return sign * left.text.localeCompare(right.text, "en", { numeric: true }) || place;
    });
    for (const row of rows) {
      const detail = row.nextElementSibling;
      body.append(row);
      if (detail && detail.classList.contains("detail")) row.after(detail);
    }
    [...table.tHead.rows[0].cells].forEach((cell, i) => {
      cell.setAttribute("aria-sort", i === column ? direction : "none");
    });
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.sort");
    if (!button) return;
    const head = button.closest("th");
    const up = head.getAttribute("aria-sort") === "ascending";
    sort(button.closest("table"), head.cellIndex, up ? "descending" : "ascending");
  });

  function filter(tools) {
    const table = document.getElementById(tools.dataset.for);
    const words = tools.querySelector("[data-filter]").value.toLowerCase().split(/\s+/).filter(Boolean);
    const pressed = [...tools.querySelectorAll('.chip[aria-pressed="true"]')];
    const wanted = new Set(pressed.map((chip) => chip.dataset.verdict));
    const rows = [...table.querySelectorAll("tr.line")];
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const fits = words.every((word) => text.includes(word)) && (!wanted.size || wanted.has(row.dataset.verdict));
      row.hidden = !fits;
      const detail = row.nextElementSibling;
      if (detail && detail.classList.contains("detail")) detail.hidden = !fits;
      shown += fits;
    }
    tools.querySelector(".shown").textContent =
      shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
  }
  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-filter]")) filter(event.target.closest(".tools"));
    if (event.target.matches("[data-sortby]")) {
      const table = document.getElementById(event.target.closest(".tools").dataset.for);
      sort(table, event.target.value === "" ? null : Number(event.target.value), "ascending");
    }
  });
  document.addEventListener("click", (event) => {
    const chip = event.target.closest(".chip");
    if (chip) {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      filter(chip.closest(".tools"));
    }
    const more = event.target.closest("button.more");
    if (more) {
      const open = more.getAttribute("aria-expanded") !== "true";
      more.setAttribute("aria-expanded", String(open));
      more.closest("tr").nextElementSibling.classList.toggle("open", open);
      hide();
    }
  });

  const card = document.getElementById("hover");
  let waiting = 0;
  function hide() {
    clearTimeout(waiting);
    card.hidden = true;
  }
  function reveal(row, x, y) {
    const details = row.nextElementSibling;
    if (details.classList.contains("open")) return;
    card.replaceChildren(details.querySelector("dl").cloneNode(true));
    const own = card.querySelector("[data-protocol]");
    const page = row.closest(".page");
    if (own) own.textContent = page.querySelector(".protocol p").textContent;
    card.hidden = false;
    const { width, height } = card.getBoundingClientRect();
    card.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - width - 12))}px`;
    card.style.top = `${y + 20 + height > innerHeight ? Math.max(8, y - height - 14) : y + 20}px`;
  }
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType !== "mouse") return;
    const row = event.target.closest(".rows tr.line");
    hide();
    if (row && !event.target.closest("a, button")) {
      waiting = setTimeout(() => reveal(row, event.clientX, event.clientY), 350);
    }
  });
  document.addEventListener("scroll", hide, { passive: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("page", hide);
})();
