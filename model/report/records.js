// Pictures of records: a small one with what is true and what was predicted, and all that is known of it on a click.

const TRUTHS = { "-1": "unknown", 0: "absent", 1: "present" };

const count = (number) => number.toLocaleString("en");

/** What is kept of a record's answer for a label; undefined if nothing is. */
function answerOf(record, label) {
  const answer = record.answers.find(([other]) => other === label);
  return answer && { probability: answer[1], predicted: Boolean(answer[2]), truth: answer[3] };
}

const namesOf = (record, wanted) =>
  record.answers.filter(([, , predicted, truth]) => wanted(predicted, truth)).map(([label]) => data.labels[label]);

const known = (record) => record.answers.some(([, , , truth]) => truth !== -1);

function thumbnailOf(record) {
  const source = record.thumbnail === null ? null : data.thumbnails[record.thumbnail];
  return source
    ? element("img", "", { src: source, alt: "", loading: "lazy" })
    : element("div", "no picture", { className: "none" });
}

function line(name, labels) {
  const text = element("span", "", { className: "labels" });
  text.append(element("i", `${name} `), labels.length ? labels.join(", ") : "none");
  return text;
}

/** A record's picture at a label; a click shows the rest. */
function picture(record, label) {
  const figure = element("figure");
  const button = element("button", "", { type: "button", title: `${record.id}\n${record.source} #${record.position}` });
  button.append(thumbnailOf(record), element("span", `Answers of ${record.id}`, { className: "hidden" }));
  button.addEventListener("click", () => showRecord(record));
  const caption = element("figcaption");
  const probability = answerOf(record, label)?.probability;
  caption.append(element("b", probability === undefined ? "" : probability.toFixed(3)));
  caption.append(element("span", record.id, { className: "id" }));
  if (known(record)) caption.append(line("true", namesOf(record, (_, truth) => truth === 1)));
  caption.append(line("predicted", namesOf(record, (predicted) => predicted)));
  figure.append(button, caption);
  return figure;
}

function showRecord(record) {
  const table = element("table");
  const head = table.createTHead().insertRow();
  for (const name of ["label", "probability", "predicted", "truth"]) head.append(element("th", name, { scope: "col" }));
  const body = table.createTBody();
  for (const [label, probability, predicted, truth] of record.answers) {
    const row = body.insertRow();
    row.append(element("th", data.labels[label], { scope: "row" }));
    const cell = element("td");
    const bar = element("i", "", { className: "bar" });
    bar.style.setProperty("--share", `${probability * 100}%`);
    cell.append(bar, probability.toFixed(4));
    const wrong = truth !== -1 && Boolean(predicted) !== (truth === 1);
    const answer = element("td", predicted ? "yes" : "no", { className: wrong ? "wrong" : "" });
    if (wrong) answer.append(element("span", " (wrong)"));
    row.append(cell, answer, element("td", TRUTHS[truth]));
  }
  const few = record.answers.length < data.labels.length;
  find("#record-content").replaceChildren(
    thumbnailOf(record),
    element("h2", record.id),
    element("p", `${record.source} #${record.position}`, { className: "note" }),
    element("p", few ? "Predicted or present labels, and the most probable others:" : "All labels:", { className: "note" }),
    table,
  );
  find("#record").showModal();
}
