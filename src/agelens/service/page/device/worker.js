// The estimator itself, off the page's thread: photo in, row of `agelens estimate` out.

import * as ort from "./runtime/ort.wasm.min.mjs";
import { decide, normalised, outputOf, statedAge } from "./ages.js";
import { Detector } from "./detector.js";
import { planes, similarity, warp } from "./pixels.js";
import { judge, referral } from "./quality.js";

const BATCH = 8;
const round = (value, digits) => Number(value.toFixed(digits));
const rounded = (values, digits) => values.map((value) => round(value, digits));

async function load(path) {
  const response = await fetch(new URL(path, import.meta.url));
  if (!response.ok) throw new Error(`${path} cannot be loaded: the server answered ${response.status}.`);
  return response;
}

async function open() {
  ort.env.wasm.numThreads = 1; // more need headers that plain servers do not send
  const [settings, faces] = await Promise.all([json("model/settings.json"), session("model/detector.onnx")]);
  const detector = new Detector(
    (pixels, height, width) => run(faces, pixels, [1, 3, height, width]),
    settings.detector,
  );
  const [age, gender] = await Promise.all(["age", "gender"].map((task) => openNetwork(task, settings)));
  return { settings, detector, age, gender };
}

const json = async (path) => (await load(path)).json();

async function session(path) {
  const content = new Uint8Array(await (await load(path)).arrayBuffer());
  return ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
}

async function run(network, pixels, shape, names = network.outputNames) {
  const feeds = { [network.inputNames[0]]: new ort.Tensor("float32", pixels, shape) };
  const answer = await network.run(feeds);
  return names.map((name) => answer[name]?.data);
}

/** The network of a task with its card, or null where the age network does that task as well. */
async function openNetwork(task, settings) {
  const points = settings.template_points[task];
  if (!points) return null;
  const [card, network] = await Promise.all([json(`model/${task}.json`), session(`model/${task}.onnx`)]);
  return { card, network, points };
}

async function pixelsOf(photo, name, most) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(photo);
  } catch {
    const message = `${name}: this browser cannot decode it; save it as JPEG or PNG`;
    return { status: "unreadable", message };
  }
  const { width, height } = bitmap;
  if (width * height > most) {
    const allowed = most.toLocaleString("en");
    const message = `${name}: ${width} x ${height} pixels are more than the ${allowed} allowed; make it smaller`;
    return { status: "too_large", message };
  }
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white"; // behind what is transparent
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { picture: context.getImageData(0, 0, width, height) };
}

async function estimate({ photo, name, gender, gate }) {
  const { settings, detector, age, gender: genders } = await opened;
  const { card } = age;
  const row = (status, message, faces = []) => ({
    photo: name,
    status,
    message,
    faces,
    model: card.name,
    detector: settings.detector.name,
    agelens_version: settings.agelens_version,
    ...(gate && { decision: faces.length === 1 ? faces[0].decision : "refer" }),
  });
  const { picture, status, message } = await pixelsOf(photo, name, settings.max_pixels);
  if (!picture) return row(status, message);
  const found = await detector.detect(picture);
  if (!found.length) return row("no_face", noFace(picture, settings.detector.longest_side));
  const { chips, matrices, answers } = await answersOf(picture, found, age);
  let told = null;
  if (gender && genders) told = (await answersOf(picture, found, genders)).answers;
  else if (gender && card.output.labels) told = answers.map((answer) => gendersOf(answer, card));
  const words = told?.map((shares) => likelier(normalised(shares), (genders ?? age).card.output.labels));
  const faces = found.map((face, index) => {
    const quality = judge(face.landmarks, chips[index], matrices[index], picture, settings.quality_frame);
    const made = describe(face, quality, answers[index], { card, settings, picture, told: words?.[index] });
    return gate ? { ...made, decision: decide(made, gate) } : made;
  });
  return row("ok", "", faces);
}

function gendersOf(answer, card) {
  const { width, labels } = outputOf(card);
  return answer.slice(width, width + labels.length);
}

function noFace(picture, searched) {
  const size = Math.max(picture.width, picture.height);
  return size < 2 * searched
    ? "no face found"
    : `no face found in a copy of ${searched} of its ${size} pixels; cut the photo to its faces`;
}

/** The chips of all faces as a network wants them, and what it answers: its outputs side by side. */
async function answersOf(picture, faces, { card, network, points }) {
  const { size, mean, std, color_order: order, fill } = card.input;
  const { parts, outputs } = outputOf(card);
  const together = parts.reduce((sum, width) => sum + width, 0);
  const [names, widths] = outputs.length ? [outputs, parts] : [network.outputNames.slice(0, 1), [together]];
  const matrices = faces.map(({ landmarks }) => similarity(landmarks, points));
  const chips = matrices.map((matrix) => warp(picture, matrix, size, fill));
  const answers = [];
  for (let start = 0; start < chips.length; start += BATCH) {
    const part = chips.slice(start, start + BATCH);
    const pixels = new Float32Array(part.length * 3 * size * size);
    part.forEach((chip, index) => pixels.set(planes(chip, { mean, std, order }), index * 3 * size * size));
    const flats = await run(network, pixels, [part.length, 3, size, size], names);
    const fits = (flat, at) => flat?.length === part.length * widths[at] && flat.every(Number.isFinite);
    if (!flats.every(fits)) {
      throw new Error("A network does not answer as its card describes.");
    }
    part.forEach((_, face) => {
      const rows = widths.map((width, at) => flats[at].subarray(face * width, (face + 1) * width));
      answers.push(rows.flatMap((row) => Array.from(row)));
    });
  }
  return { chips, matrices, answers };
}

function describe(face, quality, answer, { card, settings, picture, told }) {
  const level = settings.interval_level;
  const { age, median, low, high, coverage } = statedAge(answer.slice(0, outputOf(card).width), card, {
    level,
    normalReach: settings.normal_reach,
    gender: told?.gender,
  });
  const edges = [picture.width, picture.height, picture.width, picture.height];
  const box = face.box.map((value, at) => Math.min(Math.max(value, 0), edges[at]));
  const shown = coverage !== null;
  return {
    box_xyxy: rounded(box, 2),
    landmarks: face.landmarks.map((point) => rounded(point, 2)),
    detection_score: round(face.score, 6),
    quality: {
      inter_eye_px: round(quality.inter_eye_px, 2),
      sharpness: round(quality.sharpness, 4),
      exposure: round(quality.exposure, 4),
      roll_degrees: round(quality.roll_degrees, 2),
      yaw_proxy: round(quality.yaw_proxy, 4),
      visible_share: round(quality.visible_share, 4),
      dark_eyes: round(quality.dark_eyes, 4),
      mouth_edges: round(quality.mouth_edges, 4),
      bright_eyes: round(quality.bright_eyes, 4),
    },
    refer: referral(quality, card.limits ?? {}),
    estimate_years: round(age, 3),
    median_years: round(median, 3),
    low_years: shown ? round(low, 3) : null,
    high_years: shown ? round(high, 3) : null,
    interval: shown ? `${round(100 * level, 6)} %, calibrated` : null,
    interval_level: level,
    coverage,
    ...(told && { gender: told.gender, gender_score: round(told.score, 6) }),
  };
}

function likelier(shares, labels) {
  const score = Math.max(...shares);
  return { gender: labels[shares.indexOf(score)], score };
}

async function about() {
  const { settings, age } = await opened;
  return { model: age.card.name, version: settings.agelens_version, licences: age.card.licences };
}

const opened = open();

// One after the other: a session runs one batch at a time.
let last = Promise.resolve();
self.onmessage = ({ data: { id, task, ...given } }) => {
  last = last.then(async () => {
    try {
      self.postMessage({ id, answer: await (task === "about" ? about() : estimate(given)) });
    } catch (error) {
      self.postMessage({ id, error: error.message });
    }
  });
};
