// What the picture of a face allows: agelens.imaging.quality.

import { rollDegrees } from "./detector.js";
import { apply, greyOf, invert, similarity } from "./pixels.js";

const FACE_PART = [[0.1, 0.05], [0.9, 0.05], [0.9, 0.9], [0.1, 0.9]];

/** `frame` is {size, points}, in which a face fills a known part. */
export function judge(landmarks, chip, picture, frame) {
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
  };
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function variance(values) {
  const middle = mean(values);
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / values.length;
}

function laplacian(grey, side) {
  const inside = (at) => (at < 0 ? -at : at >= side ? 2 * side - 2 - at : at);
  const value = (x, y) => grey[inside(y) * side + inside(x)];
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
  ];
  const reasons = checks.flatMap(([what, value, low, high, unit]) => {
    const got = `${what} ${Number(value.toPrecision(3))}${unit}`;
    const below = (low ?? null) !== null && value < low ? [`${got} is below ${low}${unit}`] : [];
    const above = (high ?? null) !== null && value > high ? [`${got} is above ${high}${unit}`] : [];
    return [...below, ...above];
  });
  return reasons.join("; ") || null;
}
