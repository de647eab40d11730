// The chosen label: its numbers, its curves and its mistakes.

const KINDS = {
  false_positive: ["Wrongly given, most certain first", "Nothing was wrongly given."],
  false_negative: ["Missed, most certain first", "Nothing was missed."],
  uncertain: ["Most uncertain", "Nothing was uncertain."],
};

const count = (number) => number.toLocaleString("en");

const headings = findAll("#label-table thead button");

/** The table's own cells, so that no number is written in two ways. */
const cellsOf = (position) => find(`#label-table tr[data-row="${position}"]`).cells;

/** All numbers of a label, on a line for each of the table's views. */
function fillNumbers(position) {
  const cells = cellsOf(position);
  const groups = findAll("#labels .views button").map((view) => {
    const group = element("dl");
    const shown = [...cells].filter((cell) => cell.className === view.dataset.view);
    group.append(...shown.map((cell) => numberOf(cell, headings[cell.cellIndex])));
    const line = element("div");
    line.append(element("h3", view.textContent), group);
    return line;
  });
  find("#numbers").replaceChildren(...groups);
  find("#label-table [aria-current]")?.removeAttribute("aria-current");
  cells[0].parentElement.setAttribute("aria-current", "true");
}

function numberOf(cell, heading) {
  const entry = element("div");
  entry.append(element("dt", heading.textContent, { title: heading.title }), element("dd", cell.textContent));
  for (const range of cell.title ? cell.title.split(", ") : []) entry.append(element("dd", range, { className: "range" }));
  return entry;
}

function fillSentence(position) {
  const [tp, fn, fp, support] = ["tp", "fn", "fp", "support"].map((name) => data.columns[name][position]);
  find("#sentence").textContent = support
    ? `Of ${count(support)} records that have it, ${count(tp)} were found and ${count(fn)} missed; ${count(fp)} others were wrongly given it.`
    : `No record is known to have it; ${count(fp)} were wrongly given it.`;
  if (!find("#now")) return;
  const text = (key) => cellsOf(position)[headings.findIndex((heading) => heading.dataset.key === key)]?.textContent;
  find("#now").textContent = text("threshold");
  find("#then").hidden = data.columns.suggested_threshold[position] === null;
  find("#suggested").textContent = text("suggested_threshold");
}

function picture(example) {
  const figure = element("figure");
  const source = example.thumbnail === null ? null : data.thumbnails[example.thumbnail];
  const image = source ? element("img", "", { src: source, alt: "", loading: "lazy" }) : element("div", "no picture", { className: "none" });
  const caption = element("figcaption");
  caption.append(element("b", example.probability.toFixed(3)), element("span", example.id));
  figure.title = `${example.id}\n${example.source} #${example.position}`;
  figure.append(image, caption);
  return figure;
}

function fillGallery(position) {
  const examples = data.examples.filter((example) => example.label === position);
  const groups = Object.entries(KINDS).map(([kind, [title, nothing]]) => {
    const group = element("div");
    const shown = examples.filter((example) => example.kind === kind);
    const pictures = element("div", "", { className: "pictures" });
    pictures.append(...(shown.length ? shown.map(picture) : [element("p", nothing, { className: "note" })]));
    group.append(element("h3", title), pictures);
    return [kind, group];
  });
  const withTruth = find("#label-table") !== null;
  find("#gallery").replaceChildren(...groups.filter(([kind]) => withTruth || kind === "uncertain").map(([, group]) => group));
}

const galleryInView = new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting)) fillGallery(state.label);
});

function choose(position) {
  state.label = position;
  find("#chosen").value = position;
  if (find("#label-table")) {
    fillNumbers(position);
    fillSentence(position);
  }
  redraw("figure[data-of=label]");
  if (find("#gallery")) {
    galleryInView.disconnect();
    galleryInView.observe(find("#gallery"));
  }
}

/** The weakest label that anything is known of: the lowest F1 with support. */
function weakest() {
  const { f1, support } = data.columns;
  const candidates = data.labels.map((_, position) => position).filter((position) => support[position] && f1[position] !== null);
  if (!candidates.length) return data.examples[0]?.label ?? 0;
  return candidates.reduce((best, position) => (f1[position] < f1[best] ? position : best));
}

if (find("#chosen") && data.labels.length) {
  find("#chosen").append(...data.labels.map((label, position) => element("option", label, { value: position })));
  find("#chosen").addEventListener("change", (event) => choose(Number(event.target.value)));
  find("#label-table tbody")?.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    choose(Number(row.dataset.row));
    find("#label").scrollIntoView();
  });
  choose(weakest());
  if (find("#gallery")) window.addEventListener("beforeprint", () => fillGallery(state.label));
}
