// What the picture of a face allows: agelens.imaging.quality.

import { rollDegrees } from "./detector.js";
import { apply, blank, greyOf, invert, sample, similarity } from "./pixels.js";

const FACE_PART = [[0.1, 0.05], [0.9, 0.05], [0.9, 0.9], [0.1, 0.9]];

const FAR_DARKER = 0.45;

/** `frame` is {size, points}, in which a face fills a known part; `matrix` carries photo to chip. */
export function judge(landmarks, chip, matrix, picture, frame) {
  const rim = Math.floor(chip.width / 4);
  const side = chip.width - 2 * rim;
  const grey = greyOf(chip, rim, side);
  const contrast = variance(grey);
  const [left, right, nose] = landmarks;
  const line = [right[0] - left[0], right[1] - left[1]];
  const distance = Math.hypot(...line);
  const fromMiddle = [nose[0] - (left[0] + right[0]) / 2, nose[1] - (left[1] + right[1]) / 2];
  const along = fromMiddle[0] * line[0] + fromMiddle[1] * line[1];
  return {
    inter_eye_px: distance,
    sharpness: contrast ? variance(laplacian(grey, side)) / contrast : 0,
    exposure: mean(grey) / 255,
    roll_degrees: rollDegrees(landmarks),
    yaw_proxy: distance > 0 ? along / distance ** 2 : 0,
    visible_share: visibleShare(landmarks, picture, frame),
    ...covers(chip, apply(matrix, landmarks), frame),
  };
}

/** How dark it is about the eyes, how strong the edges about the mouth are, how bright the eyes. */
function covers(chip, landmarks, { size, points }) {
  const face = blank(size, size);
  const plain = blank(chip.width, chip.width); // grey first, as the package has it
  greyOf(chip, 0, chip.width).forEach((level, at) => plain.data.fill(level, 4 * at, 4 * at + 3));
  sample(plain, invert(similarity(landmarks, points)), face, "reflect");
  const grey = greyOf(face, 0, size);
  const part = ([top, bottom], [left, right]) => ({
    width: right - left,
    values: grey.filter((_, at) => {
      const [x, y] = [at % size, Math.floor(at / size)];
      return y >= top && y < bottom && x >= left && x < right;
    }),
  });
  const cheeks = median(part([27, 33], [12, 52]).values);
  const eyes = part([12, 25], [9, 55]).values;
  const mouth = edges(part([36, 56], [14, 50]));
  const bright = points.slice(0, 2).map((point) => {
    const [x, y] = point.map(Math.trunc);
    return median(part([y - 2, y + 3], [x - 3, x + 4]).values);
  });
  return {
    dark_eyes: mean(eyes.map((value) => (value < FAR_DARKER * cheeks ? 1 : 0))),
    mouth_edges: mouth / (edges({ values: grey, width: size }) + 0.1), // of a flat picture none
    bright_eyes: mean(bright) / (cheeks + 1),
  };
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** The median of what Sobel's operator finds from row to row. */
function edges({ values, width }) {
  const height = values.length / width;
  const value = (x, y) => values[inside(y, height) * width + inside(x, width)];
  const along = (x, y) => value(x - 1, y) + 2 * value(x, y) + value(x + 1, y);
  return median(
    values.map((_, at) => {
      const [x, y] = [at % width, Math.floor(at / width)];
      return Math.abs(along(x, y + 1) - along(x, y - 1));
    }),
  );
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function variance(values) {
  const middle = mean(values);
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / values.length;
}

/** Beyond an edge the pixels before it come again, the last one left out: dcb|abcd|cba. */
const inside = (at, side) => (at < 0 ? -at : at >= side ? 2 * side - 2 - at : at);

function laplacian(grey, side) {
  const value = (x, y) => grey[inside(y, side) * side + inside(x, side)];
  return grey.map((middle, at) => {
    const [x, y] = [at % side, Math.floor(at / side)];
    return value(x - 1, y) + value(x + 1, y) + value(x, y - 1) + value(x, y + 1) - 4 * middle;
  });
}

function visibleShare(landmarks, { width, height }, { size, points }) {
  const toPhoto = invert(similarity(landmarks, points));
  const corners = apply(toPhoto, FACE_PART.map((point) => point.map((share) => share * size - 0.5)));
  let polygon = corners.map(([x, y]) => [x + 0.5, y + 0.5]);
  const area = areaOf(polygon);
  if (!(area > 0 && area < Infinity)) return 0;
  const sides = [
    ([x]) => x,
    ([x]) => width - x,
    ([, y]) => y,
    ([, y]) => height - y,
  ];
  for (const depth of sides) polygon = clipped(polygon, depth);
  return Math.min(areaOf(polygon) / area, 1);
}

/** The part of a polygon where `depth` is not negative. */
function clipped(polygon, depth) {
  return polygon.flatMap((point, at) => {
    const before = polygon.at(at - 1);
    const [here, there] = [depth(point), depth(before)];
    const share = there / (there - here);
    const cut = [before[0] + share * (point[0] - before[0]), before[1] + share * (point[1] - before[1])];
    const crosses = here < 0 !== there < 0;
    return [...(crosses ? [cut] : []), ...(here >= 0 ? [point] : [])];
  });
}

function areaOf(polygon) {
  const twice = polygon.reduce((sum, [x, y], at) => {
    const [u, v] = polygon.at(at - 1);
    return sum + u * y - x * v;
  }, 0);
  return Math.abs(twice) / 2;
}

/** Why `quality` is out of a card's limits, in the words of the command line, or null. */
export function referral(quality, limits = {}) {
  const share = "share of the face in the photo";
  const checks = [
    ["inter-eye distance", quality.inter_eye_px, limits.min_inter_eye_px, null, " px"],
    ["sharpness", quality.sharpness, limits.min_sharpness, null, ""],
    ["exposure", quality.exposure, limits.min_exposure, limits.max_exposure, ""],
    ["roll", Math.abs(quality.roll_degrees), null, limits.max_roll_degrees, " degrees"],
    ["yaw proxy", Math.abs(quality.yaw_proxy), null, limits.max_yaw_proxy, ""],
    [share, quality.visible_share, limits.min_visible_share, null, ""],
    ["the eyes may be covered: darkness about them", quality.dark_eyes, null, limits.max_dark_eyes, ""],
    ["the mouth may be covered: edges about it", quality.mouth_edges, limits.min_mouth_edges, null, ""],
    ["the photo may be a negative: brightness of the eyes", quality.bright_eyes, null, limits.max_bright_eyes, ""],
  ];
  const reasons = checks.flatMap(([what, value, low, high, unit]) => {
    const got = `${what} ${Number(value.toPrecision(3))}${unit}`;
    const below = (low ?? null) !== null && value < low ? [`${got} is below ${low}${unit}`] : [];
    const above = (high ?? null) !== null && value > high ? [`${got} is above ${high}${unit}`] : [];
    return [...below, ...above];
  });
  return reasons.join("; ") || null;
}
