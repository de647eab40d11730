"use strict";
// The table of labels: sorting, searching, and which columns are in view.

const data = JSON.parse(document.getElementById("data").textContent);
const find = (selector, within = document) => within.querySelector(selector);
const findAll = (selector, within = document) => [...within.querySelectorAll(selector)];

function element(tag, text = "", attributes = {}) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.textContent = text; // never markup: names come from the data
  return made;
}

/** Press one button of a group, and no other. */
function press(button) {
  for (const other of findAll("button", button.parentElement)) {
    other.setAttribute("aria-pressed", String(other === button));
  }
}

const collator = new Intl.Collator("en", { numeric: true });

function compare(a, b) {
  if (typeof a === "string") return collator.compare(a, b);
  return a - b;
}

/** Numbers fall at first, names rise; pressing again turns it round; what is undefined stays at the end. */
function sortBy(button) {
  const header = button.closest("th");
  const body = find("#label-table tbody");
  const key = button.dataset.key;
  const values = key === "label" ? data.labels : data.columns[key];
  const first = key === "label" ? "ascending" : "descending";
  const second = key === "label" ? "descending" : "ascending";
  const order = header.getAttribute("aria-sort") === first ? second : first;
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...body.rows].sort((one, other) => {
    const [a, b] = [values[one.dataset.row], values[other.dataset.row]];
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * compare(a, b);
  });
  body.replaceChildren(...rows);
  for (const other of header.parentElement.cells) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", order);
}

function search(words) {
  const wanted = words.trim().toLowerCase();
  let found = 0;
  for (const row of find("#label-table tbody").rows) {
    row.hidden = !data.labels[row.dataset.row].toLowerCase().includes(wanted);
    found += !row.hidden;
  }
  find("#found").textContent = wanted ? `${found.toLocaleString("en")} of ${data.labels.length.toLocaleString("en")}` : "";
}

function showView(button) {
  press(button);
  find("#labels").dataset.view = button.dataset.view;
}

if (find("#label-table")) {
  find("#label-table thead").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) sortBy(button);
  });
  find("#search").addEventListener("input", (event) => search(event.target.value));
  for (const button of findAll("#labels .views button")) button.addEventListener("click", () => showView(button));
  showView(find("#labels .views button"));
}
