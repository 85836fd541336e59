// From a network's answer to an age with an interval, as its card says: agelens.ages,
// agelens.inference.answers, calibration and age_gates, for one face at a time.

const SUM_TOLERANCE = 1e-3;

/**
 * The card's `output`, with what older cards leave out; a gender network's has no ages. `parts` are
 * the widths of ages, genders and each further column; `outputs` names the file's outputs of them,
 * and is empty where one output holds all.
 */
export function outputOf(card) {
  const { kind, ages_years: years = [], point = "expected", link = "independent", threshold = 0.5 } = card.output;
  const width = { posterior: years.length, "mean-spread": 2 }[kind] ?? years.length - 1;
  const { labels = [], further = {}, outputs = [] } = card.output;
  const words = [labels, ...Object.values(further)].map(({ length }) => length);
  const parts = [width, ...words].filter((numbers) => numbers > 0);
  return { kind, years, point, link, threshold, width, labels, parts, outputs };
}

/** Probabilities, non-negative and summing to 1. */
export function normalised(row) {
  const positive = Array.from(row, (share) => Math.max(share, 0));
  const sum = positive.reduce((total, share) => total + share, 0);
  if (!(Math.abs(sum - 1) < SUM_TOLERANCE)) {
    throw new Error("The network's answer does not sum to 1: its file is not the one its card describes.");
  }
  return positive.map((share) => share / sum);
}

function distributionOf(row, output) {
  if (output.kind === "posterior") {
    const distribution = normalised(row);
    let below = 0;
    const older = distribution.slice(0, -1).map((share) => 1 - (below += share));
    return { distribution, older };
  }
  let product = 1;
  const older = Array.from(row, (logit) => {
    const single = 0.5 * (1 + Math.tanh(logit / 2));
    return output.link === "conditional" ? (product *= single) : single;
  });
  const bounds = [1, ...[...older].sort((a, b) => b - a), 0];
  return { distribution: output.years.map((_, at) => bounds[at] - bounds[at + 1]), older };
}

/** The age below which the share `q` of the mass lies, each class spread evenly over its cell. */
function quantile(distribution, years, q) {
  const halfway = years.slice(1).map((year, at) => (years[at] + year) / 2);
  const last = years.length - 1;
  const edges = [
    Math.max(0, 2 * years[0] - halfway[0]),
    ...halfway,
    2 * years[last] - halfway[last - 1],
  ];
  const total = distribution.reduce((sum, share) => sum + share, 0);
  let below = 0;
  for (let cell = 0; cell <= last; cell += 1) {
    const above = cell === last ? 1 : below + distribution[cell] / total;
    if (above >= q) {
      const inside = edges[cell] + ((q - below) / (above - below)) * (edges[cell + 1] - edges[cell]);
      return Math.min(inside, edges[cell + 1]);
    }
    below = above;
  }
  return edges[last + 1];
}

/** {age, median, low, high} that the network itself claims for the central `level`. */
function claimed(row, output, level, normalReach) {
  const { years } = output;
  if (output.kind === "mean-spread") {
    const age = Math.min(Math.max(row[0], years[0]), years.at(-1));
    const reach = normalReach * row[1];
    return { age, median: age, low: Math.max(age - reach, 0), high: age + reach, distribution: null };
  }
  const { distribution, older } = distributionOf(row, output);
  const at = (q) => quantile(distribution, years, q);
  const points = {
    expected: () => distribution.reduce((sum, share, index) => sum + share * years[index], 0),
    median: () => at(0.5),
    argmax: () => years[distribution.indexOf(Math.max(...distribution))],
    rank: () => years[older.filter((share) => share > output.threshold).length],
  };
  const tail = (1 - level) / 2;
  return { age: points[output.point](), median: at(0.5), low: at(tail), high: at(1 - tail), distribution };
}

/** What a rising curve of straight lines makes of `years`; beyond its ends, shifted as there. */
function corrected(years, { estimate_years: x, corrected_years: y }) {
  const inside = Math.min(Math.max(years, x[0]), x.at(-1));
  const right = Math.max(1, x.findIndex((knot) => knot >= inside));
  const share = (inside - x[right - 1]) / (x[right] - x[right - 1]);
  return Math.max(y[right - 1] + share * (y[right] - y[right - 1]) + years - inside, 0);
}

function calibrated(part, { age, low, high }, group) {
  const numbers = part.corrections[group ?? ""] ?? part.corrections[""];
  const edges = part.edges_years;
  const half = part.score === "normalised" ? (high - low) / 2 : 1;
  const ends = (number) =>
    part.score === "quantile"
      ? [low - number, high + number]
      : [age - number * half, age + number * half];
  let [from, to] = [age, age];
  if (part.bins_of === "age") {
    numbers.forEach((number, bin) => {
      const [first, last] = ends(number);
      const inside = [Math.max(first, edges[bin - 1] ?? 0), Math.min(last, edges[bin] ?? Infinity)];
      if (inside[0] > inside[1]) return;
      from = Math.min(from, inside[0]);
      to = Math.max(to, inside[1]);
    });
  } else {
    [from, to] = ends(numbers[edges.filter((edge) => edge <= age).length]);
  }
  return { low: Math.max(Math.min(from, age), 0), high: Math.max(to, age) };
}

/**
 * The age of one face: {age, median, low, high, coverage, distribution}; coverage is null where
 * nobody measured the interval.
 */
export function statedAge(row, card, { level, normalReach, gender = null }) {
  let stated = claimed(row, outputOf(card), level, normalReach);
  const { calibration } = card;
  if (calibration?.bias) {
    for (const name of ["age", "median", "low", "high"]) {
      stated[name] = corrected(stated[name], calibration.bias);
    }
  }
  const part = calibration?.intervals.find((one) => Math.abs(one.level - level) < 1e-9);
  if (!part) return { ...stated, coverage: null };
  const group = part.column === "gender" ? gender : null;
  const known = !part.column || group !== null;
  const coverage = known ? part.coverage : (part.coverage_of_strangers ?? null);
  return { ...stated, ...calibrated(part, stated, group), coverage };
}

/** "pass" looks the challenge age; "fail" looks too young; "refer" is all between, and bad pictures. */
export function decide({ refer, estimate_years: age }, { legal, challenge }) {
  if (refer !== null) return "refer";
  if (age >= challenge) return "pass";
  return age < legal ? "fail" : "refer";
}
