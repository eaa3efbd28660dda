// Tables sort by a click on a head and filter by a word; figures open at full size. Without it the page is whole.
"use strict";

function value(cell) {
  const text = cell ? cell.textContent.trim() : "";
  const plain = text.replace(/(\d),(?=\d{3})/g, "$1").replace(/^[^\d.∞+-]*(?=[\d.∞-])/, "");
  const number = plain.startsWith("∞") ? Infinity : parseFloat(plain);
  const share = /^(\d+) of (\d+)/.exec(plain);
  return { text, number: share ? share[1] / share[2] : number };
}

function sortable(table) {
  const heads = table.tHead && table.tHead.rows.length === 1 ? [...table.tHead.rows[0].cells] : [];
  const body = table.tBodies[0];
  const whole = body && [...body.rows].every((row) => row.cells.length === heads.length);
  if (!whole || body.rows.length < 3 || body.querySelector("tr.first")) return;
  heads.forEach((head, column) => {
    if (!head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [value(row.cells[column]), row]);
      const numbers = rows.some(([v]) => !Number.isNaN(v.number)) && column > 0;
      const order = ([a], [b]) => {
        if (!numbers) return a.text.localeCompare(b.text, undefined, { numeric: true });
        if (Number.isNaN(a.number) || Number.isNaN(b.number)) return 0;
        return a.number === b.number ? 0 : a.number < b.number ? -1 : 1;
      };
      const known = rows.filter(([v]) => !numbers || !Number.isNaN(v.number)).sort(order);
      if (down) known.reverse();
      // What has no number stands at the end either way.
      const rest = rows.filter((row) => !known.includes(row));
      body.append(...[...known, ...rest].map(([, row]) => row));
    });
  });
}

function filterable(table) {
  const body = table.tBodies[0];
  if (!body || body.rows.length < 9) return;
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Show rows with …";
  field.setAttribute("aria-label", "Show only rows with this text");
  field.className = "filter";
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  (table.closest(".wide") || table).before(field);
}

function enlargeable(picture, dialog) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "enlarge";
  button.setAttribute("aria-label", `Enlarge: ${picture.alt}`);
  picture.replaceWith(button);
  button.append(picture);
  button.addEventListener("click", () => {
    dialog.querySelector("img").src = picture.src;
    dialog.querySelector("img").alt = picture.alt;
    dialog.showModal();
  });
}

document.querySelectorAll("table").forEach((table) => {
  sortable(table);
  filterable(table);
});
const dialog = document.createElement("dialog");
dialog.append(document.createElement("img"));
dialog.addEventListener("click", () => dialog.close());
document.body.append(dialog);
document.querySelectorAll("figure img").forEach((picture) => enlargeable(picture, dialog));
