// Pairs of labels: which table is shown, and the pictures of a pair.

const MEANINGS = {
  confused: "Of the records with the row's label: the share in which it was missed, and the column's label was predicted although absent.",
  truth: "Of the records in which the row's label is present: the share in which the column's label is also present.",
  predicted: "Of the records predicted to have the row's label: the share also predicted to have the column's label.",
};

const HEADINGS = {
  confused: (one, other) => `${one} missed, ${other} predicted`,
  truth: (one, other) => `${one} and ${other} present`,
  predicted: (one, other) => `${one} and ${other} predicted`,
};

/** Whether a record is one of a pair's, by what is kept of its answers. */
const OF_PAIR = {
  confused: (one, other) => one.truth === 1 && !one.predicted && other.truth === 0 && other.predicted,
  truth: (one, other) => one.truth === 1 && other.truth === 1,
  predicted: (one, other) => one.predicted && other.predicted,
};

/** A query that finds all records of a pair in the predictions, for whoever wants more than the examples. */
function queryOf(kind, one, other) {
  const has = (column, place) => `list_contains(${column}, '${data.labels[place].replaceAll("'", "''")}')`;
  const absent = [`NOT ${has("labels", other)}`];
  if (data.known[other] < data.with_truth) absent.push(`NOT ${has("unknown", other)}`); // the column is there only then
  const wanted = {
    confused: [has("labels", one), `NOT ${has("predicted", one)}`, has("predicted", other), ...absent],
    truth: [has("labels", one), has("labels", other)],
    predicted: [has("predicted", one), has("predicted", other)],
  };
  return `SELECT id, source, position FROM 'predictions/*.parquet' WHERE ${wanted[kind].join(" AND ")}`;
}

function choosePairs(button) {
  press(button);
  state.pairs = button.dataset.pairs;
  const highest = Math.max(0, ...pairPoints(state.pairs).points.map((point) => point.share));
  find("#pairs-meaning").textContent = MEANINGS[state.pairs];
  find("#ramp-end").textContent = highest.toFixed(3);
  for (const list of findAll("[data-pairs-of]")) list.hidden = list.dataset.pairsOf !== state.pairs;
  redraw("figure[data-of=pairs]");
}

function showPair(kind, one, other) {
  const examples = data.records.filter((record) => {
    const [first, second] = [one, other].map((label) => answerOf(record, label));
    return first && second && OF_PAIR[kind](first, second);
  });
  const place = find("#pair-pictures");
  place.hidden = false;
  find("#pair-title").textContent = HEADINGS[kind](data.labels[one], data.labels[other]);
  const query = find("#pair-query"); // a page without predictions of its own has none
  const shown = `${examples.length ? count(examples.length) : "None"} of the examples on this page.`;
  find("#pair-note").textContent = query ? `${shown} To find all, run this query (DuckDB) in the run's folder:` : shown;
  if (query) query.textContent = queryOf(kind, one, other);
  find(".pictures", place).replaceChildren(...examples.slice(0, 60).map((record) => picture(record, one)));
  find("#pair-title").focus();
}

if (find("#pairs")) {
  for (const button of findAll("#pairs button[data-pairs]")) button.addEventListener("click", () => choosePairs(button));
  for (const button of findAll("#pairs button.show")) {
    const { kind, one, other } = button.dataset;
    button.addEventListener("click", () => showPair(kind, Number(one), Number(other)));
  }
  const figure = find("figure[data-plot=pairs]");
  figure.onDrawn = () => {
    figure.view?.view.addEventListener("click", (event, item) => {
      if (!data.examples.length || item?.datum?.row === undefined || item.datum.column === undefined) return;
      const [one, other] = [item.datum.row, item.datum.column].map((place) => data.pairs.places[place]);
      if (one === null || other === null) return; // the page has no curves and pictures of that label
      showPair(state.pairs, one, other);
    });
  };
  choosePairs(find("#pairs button[data-pairs]"));
}
