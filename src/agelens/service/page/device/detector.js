// RetinaFace with a MobileNet-0.25 body, as agelens.imaging.detectors runs it.

import { apply, boundedCopy, invert, planes, warp } from "./pixels.js";

const STRIDES = [8, 16, 32];
const ANCHOR_SIZES = [[16, 32], [64, 128], [256, 512]];
const CENTRE_VARIANCE = 0.1;
const SIZE_VARIANCE = 0.2;
const PIXELS = { mean: [127, 117, 104], std: [1, 1, 1], order: "BGR" };
const OVERLAP = 0.4;
const AGREEING = 0.5;
const HEARD = 0.2;
const LEVEL_DEGREES = 10;
const SECOND_LOOK_PX = 256;
const FACE_SHARE = 0.6;

export const rollDegrees = ([left, right]) =>
  (180 / Math.PI) * Math.atan2(right[1] - left[1], right[0] - left[0]);

/** `run(planes, height, width)` gives the network's boxes, scores and landmarks, each flat. */
export class Detector {
  constructor(run, { longest_side, score_threshold }) {
    this.run = run;
    this.longestSide = longest_side;
    this.threshold = score_threshold;
  }

  /** Faces of a picture, largest first: {box, landmarks, score} in its pixels. */
  async detect(picture) {
    const small = boundedCopy(picture, this.longestSide);
    const [x, y] = [picture.width / small.width, picture.height / small.height];
    const found = (await this.find(small)).map(({ box, landmarks, score }) => ({
      box: [box[0] * x, box[1] * y, box[2] * x, box[3] * y],
      landmarks: landmarks.map((point) => [point[0] * x, point[1] * y]),
      score,
    }));
    const area = ({ box }) => (box[2] - box[0]) * (box[3] - box[1]);
    found.sort((one, other) => area(other) - area(one));
    const faces = [];
    for (const face of found) faces.push(await this.levelled(picture, face));
    return faces;
  }

  /** `face` with the landmarks seen in a levelled crop of it, where it is not level. */
  async levelled(picture, face) {
    const [left, top, right, bottom] = face.box;
    const roll = rollDegrees(face.landmarks);
    const size = Math.max(right - left, bottom - top);
    if (Math.abs(roll) <= LEVEL_DEGREES || size <= 0) return face;
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    const scale = (SECOND_LOOK_PX * FACE_SHARE) / size;
    const half = SECOND_LOOK_PX / 2;
    const [cos, sin] = [scale * Math.cos((roll * Math.PI) / 180), scale * Math.sin((roll * Math.PI) / 180)];
    const toCrop = [cos, sin, half - cos * x - sin * y, -sin, cos, half + sin * x - cos * y];
    let [nearest, least] = [null, (SECOND_LOOK_PX * FACE_SHARE) / 2];
    for (const { box, landmarks } of await this.find(warp(picture, toCrop, SECOND_LOOK_PX))) {
      const away = Math.hypot((box[0] + box[2]) / 2 - half, (box[1] + box[3]) / 2 - half);
      if (away <= least) [nearest, least] = [landmarks, away];
    }
    return nearest ? { ...face, landmarks: apply(invert(toCrop), nearest) } : face;
  }

  async find(picture) {
    const { width, height } = picture;
    const [offsets, scores, points] = await this.run(planes(picture, PIXELS), height, width);
    const found = [];
    let row = 0;
    STRIDES.forEach((stride, level) => {
      const [lines, columns] = [Math.ceil(height / stride), Math.ceil(width / stride)];
      for (let cell = 0; cell < lines * columns; cell += 1) {
        for (const size of ANCHOR_SIZES[level]) {
          if (scores[2 * row + 1] > Math.min(this.threshold, HEARD)) {
            const x = ((cell % columns) + 0.5) * stride;
            const y = (Math.floor(cell / columns) + 0.5) * stride;
            const move = (from, [dx, dy]) => [
              from[0] + size * dx * CENTRE_VARIANCE,
              from[1] + size * dy * CENTRE_VARIANCE,
            ];
            const [cx, cy] = move([x, y], offsets.subarray(4 * row, 4 * row + 2));
            const w = size * Math.exp(offsets[4 * row + 2] * SIZE_VARIANCE);
            const h = size * Math.exp(offsets[4 * row + 3] * SIZE_VARIANCE);
            const landmarks = [0, 1, 2, 3, 4].map((point) =>
              move([x, y], points.subarray(10 * row + 2 * point, 10 * row + 2 * point + 2)),
            );
            const box = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2];
            found.push({ box, landmarks, score: scores[2 * row + 1] });
          }
          row += 1;
        }
      }
    });
    const sure = found.filter(({ score }) => score > this.threshold);
    return withoutOverlap(sure).map((face) => ({ ...face, landmarks: agreed(face, found) }));
  }
}

/** Of faces that overlap, the surest. */
function withoutOverlap(found) {
  const kept = [];
  for (const one of [...found].sort((a, b) => b.score - a.score)) {
    if (kept.every((other) => overlap(one.box, other.box) <= OVERLAP)) kept.push(one);
  }
  return kept;
}

/** A face's landmarks: the mean over all finds that overlap it by half, by score and overlap. */
function agreed(face, found) {
  const near = found
    .map((other) => ({ ...other, share: overlap(face.box, other.box) }))
    .filter(({ share }) => share >= AGREEING);
  const whole = near.reduce((sum, { score, share }) => sum + score * share, 0);
  return face.landmarks.map((_, point) =>
    [0, 1].map((axis) =>
      near.reduce((sum, one) => sum + one.score * one.share * one.landmarks[point][axis], 0) / whole,
    ),
  );
}

function overlap(one, other) {
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  const width = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  const height = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  if (width <= 0 || height <= 0) return 0;
  return (width * height) / (area(one) + area(other) - width * height);
}
