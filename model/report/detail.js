// The chosen label: its numbers, its curves, what a threshold would do, and its pictures.

const KINDS = {
  false_positive: ["False positives, most confident first", "There are no false positives."],
  false_negative: ["False negatives, most confident first", "There are no false negatives."],
  certain: ["Most confident", "No record with unknown truth is predicted to have it."],
  uncertain: ["Nearest to the threshold", "There are none."],
};

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
  entry.append(element("dt", heading.textContent, { title: heading.title }), element("dd", cell.dataset.value ?? cell.textContent));
  for (const range of cell.title ? cell.title.split(", ") : []) entry.append(element("dd", range, { className: "range" }));
  return entry;
}

function sentenceOf(position) {
  const column = (name) => data.columns[name][position];
  const [tp, fn, fp, support] = ["tp", "fn", "fp", "support"].map(column);
  if (!data.known[position]) {
    return `Predicted for ${count(column("predicted"))} of ${count(data.scored)} images; how many have it is unknown.`;
  }
  return support
    ? `Of ${count(support)} records that have it, ${count(tp)} were found (TP) and ${count(fn)} missed (FN); ${count(fp)} others were predicted to have it (FP).`
    : `No record is known to have it; ${count(fp)} were predicted to (FP).`;
}

function fillSentence(position) {
  find("#sentence").textContent = sentenceOf(position);
  if (!find("#now")) return;
  const text = (key) => cellsOf(position)[headings.findIndex((heading) => heading.dataset.key === key)]?.textContent;
  find("#now").textContent = text("threshold");
  if (!find("#then")) return;
  find("#then").hidden = data.columns.suggested_threshold[position] === null;
  find("#suggested").textContent = text("suggested_threshold");
}

/** What the slider's threshold would give; each of its steps is a threshold that was counted. */
function showCut(cut) {
  const slider = find("#threshold");
  const source = sourceOf(state.label);
  state.cut = cut;
  slider.value = source.cuts.length - 1 - cut; // thresholds rise to the right
  const at = rates(source.cuts[cut], source.support, source.known);
  const numbers = source.known
    ? { precision: at.precision, recall: at.recall, F1: at.F1, TP: at.tp, FP: at.fp, FN: source.support - at.tp }
    : { "records predicted": source.cuts[cut][3], share: at.predicted };
  const written = Object.entries(numbers).map(([name, value]) => {
    const entry = element("div");
    const text = value === null ? "–" : Number.isInteger(value) && !/precision|recall|F1|share/.test(name) ? count(value) : value.toFixed(4);
    entry.append(element("dt", name), element("dd", text));
    return entry;
  });
  find("#threshold-value").textContent = at.threshold.toPrecision(4);
  find("#at-threshold").replaceChildren(...written);
  slider.setAttribute("aria-valuetext", `${at.threshold.toPrecision(4)}: ${written.map((entry) => entry.innerText.replace("\n", " ")).join(", ")}`);
  const { marks } = chosenSource();
  for (const figure of findAll("figure[data-of=label]")) {
    const needed = { precision_recall: ["recall", "precision"], roc: ["false_positive_rate", "recall"], thresholds: ["threshold"], predicted: ["predicted"] };
    if (figure.view && needed[figure.dataset.plot]) {
      figure.view.view.data("marks", whole(marks, ...needed[figure.dataset.plot])).run();
    }
  }
}

/** The slider at a label's threshold, in force or suggested. */
function startSlider(name) {
  const source = sourceOf(state.label);
  find("#slider").hidden = !source.cuts.length;
  if (!source.cuts.length) {
    state.cut = null;
    return;
  }
  find("#threshold").max = source.cuts.length - 1;
  const wanted = source.marks.find((mark) => mark.kind === name)?.threshold;
  showCut(Math.max(0, source.cuts.findIndex(([threshold]) => threshold === wanted)));
}

function fillGallery(position) {
  const examples = data.examples.filter((example) => example.label === position);
  const kinds = Object.entries(KINDS).filter(([kind]) =>
    kind === "certain" ? examples.some((example) => example.kind === kind) : kind === "uncertain" || data.known[position],
  );
  const groups = kinds.map(([kind, [title, nothing]]) => {
    const group = element("div");
    const shown = examples.filter((example) => example.kind === kind);
    const pictures = element("div", "", { className: "pictures" });
    const figures = shown.map((example) => picture(data.records[example.record], position));
    pictures.append(...(shown.length ? figures : [element("p", nothing, { className: "note" })]));
    group.append(element("h3", title), pictures);
    return group;
  });
  find("#gallery").replaceChildren(...groups);
}

const galleryInView = new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting)) fillGallery(state.label);
});

function choose(position) {
  state.label = position;
  find("#chosen").value = position;
  find("#label-name").textContent = data.labels[position];
  find("#permalink").href = `#label=${encodeURIComponent(data.labels[position])}`;
  fillNumbers(position);
  fillSentence(position);
  if (find("#slider")) startSlider("current");
  redraw("figure[data-of=label]");
  if (find("#gallery")) {
    galleryInView.disconnect();
    galleryInView.observe(find("#gallery"));
  }
}

/** The label that the address names; undefined if it names none. */
function addressed() {
  if (!location.hash.startsWith("#label=")) return undefined;
  const position = data.labels.indexOf(decodeURIComponent(location.hash.slice(7)));
  return position < 0 ? undefined : position;
}

/** Go where the address says; the focus goes along. */
function follow() {
  const position = addressed();
  if (position === undefined) return;
  choose(position);
  find("#label-title").scrollIntoView();
  find("#label-title").focus({ preventScroll: true });
}

if (find("#label") && data.labels.length) {
  find("#chosen").append(...data.labels.map((label, position) => element("option", label, { value: position })));
  find("#chosen").addEventListener("change", (event) => {
    choose(Number(event.target.value));
    history.replaceState(null, "", find("#permalink").hash); // or going back to the label before would change nothing
  });
  find("#label-table tbody").addEventListener("click", (event) => {
    if (event.target.closest("a")) return; // which goes there by itself
    location.hash = find("a", event.target.closest("tr")).hash;
  });
  find("#threshold")?.addEventListener("input", (event) => {
    showCut(Number(event.target.max) - Number(event.target.value));
  });
  for (const button of findAll("#slider button")) button.addEventListener("click", () => startSlider(button.dataset.threshold));
  choose(Number(find("#label-table tbody tr").dataset.row));
  window.addEventListener("hashchange", follow);
  follow();
  if (find("#gallery")) window.addEventListener("beforeprint", () => fillGallery(state.label));
}

const written = new Date(document.lastModified);
if (find("#written") && !Number.isNaN(written.getTime())) {
  find("#written").textContent = written.toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" });
  for (const part of findAll(".written")) part.hidden = false;
}
