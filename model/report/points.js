// What the plots draw: rates computed from counts, named as the specifications name them.

const share = (part, whole) => (whole > 0 ? part / whole : null);

/** Rates at a threshold, from the counts there; the rest follows from the totals. */
function rates([threshold, tp, fp, predicted], support, known) {
  return {
    threshold,
    tp,
    fp,
    predicted: share(predicted, data.scored),
    precision: share(tp, tp + fp),
    recall: share(tp, support),
    F1: share(2 * tp, tp + fp + support),
    false_positive_rate: share(fp, known - support),
  };
}

/** A source is a label, or all answers: its curve, its totals, and the thresholds that are marked. */
function sourceOf(position) {
  const column = (name) => data.columns[name][position];
  const cuts = data.cuts?.[position] ?? [];
  const [support, known] = [column("support"), data.known[position]];
  const marks = ["threshold", "suggested_threshold"].flatMap((name, place) => {
    const cut = cuts.find(([threshold]) => threshold === column(name));
    return cut ? [{ kind: ["current", "suggested"][place], ...rates(cut, support, known) }] : [];
  });
  return { cuts, bins: data.reliability?.[position], support, known, marks };
}

function allAnswers() {
  const all = data.all;
  const counts = [null, all.tp, all.fp, null]; // at a threshold for each label, which is none of the curve's
  return { ...all, bins: all.reliability, marks: [{ kind: "current", ...rates(counts, all.support, all.known) }] };
}

const whole = (points, ...names) => points.filter((point) => names.every((name) => point[name] !== null));

function curve(source, x, y, corners) {
  const points = source.cuts.map((cut) => rates(cut, source.support, source.known));
  const known = whole(points, x, y);
  if (corners && known.length) {
    known.unshift({ threshold: null, [x]: 0, [y]: 0 });
    known.push({ threshold: 0, [x]: 1, [y]: 1 });
  }
  return { points: known.map((point, order) => ({ ...point, order })), marks: whole(source.marks, x, y) };
}

function thresholdCurve(source) {
  const points = source.cuts.flatMap((cut) => {
    const at = rates(cut, source.support, source.known);
    return ["precision", "recall", "F1"].map((metric) => ({ threshold: at.threshold, metric, rate: at[metric] }));
  });
  return { points: whole(points, "rate"), marks: whole(source.marks, "threshold") };
}

function predictedCurve(source) {
  const points = source.cuts.map((cut) => rates(cut, source.support, source.known));
  return { points: whole(points, "predicted"), marks: whole(source.marks, "predicted") };
}

/** The name of one of some equal bins. */
const binOf = (place, bins) => `${place / bins}–${(place + 1) / bins}`;

/** A label's probabilities in equal bins, of all scored records. */
function probabilities(position) {
  const bins = data.histograms[position];
  return { points: bins.map((records, place) => ({ bin: binOf(place, bins.length), records })) };
}

function sizes() {
  const kinds = Object.entries(data.sizes).filter(([, counts]) => counts.length);
  return {
    points: kinds.flatMap(([kind, counts]) => counts.map((records, labels) => ({ labels, kind, records }))),
  };
}

function reliability(source) {
  const points = source.bins.map(([records, present, probability]) => ({
    probability,
    records,
    frequency: share(present, records),
  }));
  return { points: whole(points, "probability", "frequency") };
}

function histogram(source) {
  const points = source.bins.flatMap(([records, present], place) => {
    const bin = binOf(place, source.bins.length);
    return [
      { bin, truth: "present", records: present },
      { bin, truth: "absent", records: records - present },
    ];
  });
  return { points };
}

/** Each cell's share of the row's records; a label beside itself says nothing. */
function pairPoints(kind) {
  const { counts, wholes } = data.pairs.kinds[kind];
  const points = counts.flatMap((row, i) =>
    row.map((records, j) => ({
      row: i,
      column: j,
      label: data.pairs.names[i],
      other: data.pairs.names[j],
      records,
      share: share(records, wholes[i]),
    })),
  );
  const known = whole(points, "share").filter((point) => point.row !== point.column);
  const highest = Math.max(0, ...known.map((point) => point.share));
  return { points: known.map((point) => ({ ...point, strong: point.share > 0.65 * highest })) };
}

function slicePoints(column) {
  const marks = data.f1 === null ? [] : [{ kind: "all records", f1: data.f1 }];
  return { points: whole(data.slices[column], "f1"), marks };
}
