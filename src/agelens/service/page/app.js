// The page: takes photos from the person, hands them to an estimator, shows what it answers.

import { startCamera } from "./camera.js";
import { csvOf, save } from "./downloads.js";
import { drawBoxes, element, faceList } from "./drawing.js";

const $ = (id) => document.getElementById(id);
const onDevice = document.documentElement.dataset.runs === "device";
const form = $("options");
const photos = [];
let estimator = null;
let camera = null;
let round = new AbortController();

function say(words, { wrong = false } = {}) {
  $("status").textContent = words;
  $("status").classList.toggle("wrong", wrong);
}

/** What the form asks for, or null, with words, where its ages make no gate. */
function options() {
  const fields = form.elements;
  const [legal, challenge] = [fields.legal_age.valueAsNumber, fields.challenge_age.valueAsNumber];
  const wrong = fields.gate.checked && !(legal > 0 && legal <= challenge);
  const words = wrong ? "A gate needs a legal age above 0, and a challenge age that is at least as high." : "";
  if ($("gate-error").textContent !== words) $("gate-error").textContent = words;
  if (wrong) return null;
  const gate = fields.gate.checked ? { legal, challenge } : null;
  return { gender: fields.gender.checked, gate, model: fields.model.value };
}

/** The row of one picture; a gate's row also says by which ages it decided. */
async function rowOf(blob, name, wanted) {
  const row = await estimator.estimate(blob, name, wanted);
  if (!wanted.gate) return row;
  return { ...row, legal_age: wanted.gate.legal, challenge_age: wanted.gate.challenge };
}

function add(files) {
  const pictures = [...files];
  if (!pictures.length) return;
  for (const file of pictures) {
    const photo = { file, name: file.name || "pasted picture", row: null, error: null, asked: null };
    photo.view = makeView(photo);
    photos.push(photo);
    $("photos").append(photo.view.item);
  }
  $("results").hidden = false;
  photos.at(-pictures.length).view.item.scrollIntoView({ block: "nearest" });
  work();
}

let working = false;

/** Answer every photo that has no answer yet, one after the other. */
async function work() {
  if (working) return;
  const wanted = options();
  if (!wanted || !estimator) return;
  working = true;
  const { signal } = round;
  const asked = JSON.stringify(wanted);
  for (let photo; (photo = photos.find((one) => !one.row && !one.error)); ) {
    const done = photos.filter((one) => one.row || one.error).length;
    say(`Estimating photo ${done + 1} of ${photos.length} …`);
    photo.asked = asked;
    try {
      const draw = !(await photo.view.isShown);
      const { drawn_jpeg: drawn, ...row } = await rowOf(photo.file, photo.name, { ...wanted, draw, signal });
      if (signal.aborted) break;
      if (drawn) photo.view.showDrawn(drawn);
      photo.row = row;
    } catch (error) {
      if (signal.aborted) break;
      if (wantsToken(error)) {
        askForToken();
        break;
      }
      photo.error = error;
    }
    photo.view.show();
  }
  working = false;
  if (signal.aborted) {
    if (photos.length) work();
    return;
  }
  if (photos.length && photos.every((one) => one.row || one.error)) summarise();
}

function summarise() {
  const faces = photos.reduce((sum, one) => sum + (one.row?.faces.length ?? 0), 0);
  const failed = photos.filter((one) => one.error || !["ok", "no_face"].includes(one.row?.status)).length;
  const failures = failed ? ` ${count(failed, "photo")} could not be used.` : "";
  say(`${count(photos.length, "photo")}, ${count(faces, "face")}.${failures}`, { wrong: failed > 0 });
}

const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

function inWords(error) {
  const id = error.requestId ? ` (Request ${error.requestId}.)` : "";
  return `${sentence(error.message)}${id}`;
}

const wantsToken = (error) => error.status === 401;

function askForToken() {
  const refused = form.elements.token.value !== "";
  $("token-field").hidden = false;
  form.elements.token.focus();
  say(refused ? "The server does not know this token." : "This server wants an access token.", { wrong: true });
}

async function useToken() {
  estimator?.setToken?.(form.elements.token.value);
  if (!(await describe())) return;
  $("token-field").hidden = true;
  say("The token is right.");
  $("choose").focus();
  again();
}

/** Ask anew for every photo, as after a change of what is asked. */
function again() {
  round.abort();
  round = new AbortController();
  for (const photo of photos) {
    photo.row = null;
    photo.error = null;
  }
  work();
}

/** Ask anew where photos were asked otherwise than the form now says. */
function askWhatChanged() {
  const wanted = options();
  if (!wanted) return;
  const now = JSON.stringify(wanted);
  if (photos.some(({ asked }) => asked && asked !== now)) again();
  else work();
}

/** A photo on the page: its picture with boxes, and its faces in words. */
function makeView(photo) {
  const image = element("img", { attributes: { alt: "" } });
  const holder = element("div", { className: "picture" }, image);
  const side = element("div", { className: "picture-side" }, holder);
  const text = element("div", { className: "text-side" });
  const item = element("li", { className: "photo" }, side, text);
  const address = URL.createObjectURL(photo.file);
  let drawn = false;

  const isShown = new Promise((resolve) => {
    image.addEventListener("load", () => {
      side.replaceChildren(holder);
      resolve(true);
      draw();
    });
    image.addEventListener("error", () => {
      const words = "This browser cannot show a file of this kind.";
      side.replaceChildren(element("p", { className: "no-picture", text: words }));
      resolve(false);
    });
  });
  image.src = address;

  function draw() {
    if (image.naturalWidth && !drawn) drawBoxes(holder, photo.row, image.naturalWidth, image.naturalHeight);
  }

  /** What the server drew, where the browser cannot show the file itself. */
  function showDrawn(jpeg) {
    drawn = true;
    image.src = `data:image/jpeg;base64,${jpeg}`;
  }

  function point(index) {
    holder.querySelectorAll(".box").forEach((box, at) => box.classList.toggle("marked", at === index));
  }

  function show() {
    const faces = photo.row?.faces.length ?? 0;
    let body = element("p", { className: "waiting", text: "Waiting for its turn …" });
    if (photo.error) {
      body = element("p", { className: "problem", text: inWords(photo.error) });
    } else if (faces) {
      body = faceList(photo.row, point);
    } else if (photo.row) {
      const className = photo.row.status === "no_face" ? "waiting" : "problem";
      const words = photo.row.message.replace(`${photo.row.photo}: `, "");
      body = element("p", { className, text: sentence(words) });
    }
    image.alt = faces ? `${photo.name}, ${count(faces, "face")} marked` : photo.name;
    text.replaceChildren(element("h3", { text: photo.name }), body);
    draw();
  }
  show();
  return { item, isShown, show, showDrawn, close: () => URL.revokeObjectURL(address) };
}

function sentence(words) {
  const first = `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

function clear() {
  round.abort();
  round = new AbortController();
  for (const photo of photos) photo.view.close();
  photos.length = 0;
  $("photos").replaceChildren();
  $("results").hidden = true;
  say("The photos and their ages are gone.");
  $("choose").focus();
}

/** One row a photo, also of those that were refused as a whole. */
function rows() {
  const done = photos.filter((one) => one.row || one.error);
  return done.map(({ row, name, error }) => row ?? refusedRow(name, error));
}

function refusedRow(photo, { status, message }) {
  return { photo, status: { 413: "too_large", 415: "unreadable" }[status] ?? "refused", message, faces: [] };
}

async function beginCamera(device) {
  $("camera-start").disabled = true;
  try {
    camera = await startCamera({
      device,
      video: $("video"),
      holder: $("camera-picture"),
      estimate: async (blob, name) => {
        const wanted = options();
        return wanted && rowOf(blob, name, wanted);
      },
      onRow: (row) => {
        const seen = row.faces.map((face) => Math.round(face.estimate_years)).join(", ");
        $("camera-words").textContent = row.faces.length
          ? `${count(row.faces.length, "face")}, about ${seen} years`
          : "No face found.";
      },
      onError: (error) => {
        endCamera();
        if (wantsToken(error)) askForToken();
        else say(`The camera has stopped. ${inWords(error)}`, { wrong: true });
      },
    });
    $("camera").hidden = false;
    $("camera-words").textContent = "Looking …";
    say("The camera is on.");
    const choices = camera.cameras.map(({ id, name }) => new Option(name, id, false, id === camera.device));
    $("camera-choice").replaceChildren(...choices);
    $("camera-field").hidden = choices.length < 2;
    $("camera").scrollIntoView({ block: "nearest" });
    (device ? $("camera-choice") : $("camera-stop")).focus({ preventScroll: true });
  } catch (error) {
    $("camera-start").disabled = false;
    say(error.message, { wrong: true });
    $("camera-start").focus();
  }
}

function endCamera() {
  camera?.stop();
  camera = null;
  $("camera").hidden = true;
  $("camera-start").disabled = false;
}

function keepPicture() {
  const latest = camera?.latest();
  if (!latest) return;
  const name = `camera ${new Date().toTimeString().slice(0, 8).replaceAll(":", ".")}.jpg`;
  add([new File([latest.frame], name, { type: "image/jpeg" })]);
}

function picturesOf(transfer) {
  return [...(transfer?.files ?? [])];
}

function listen() {
  $("choose").addEventListener("change", (event) => {
    add(event.target.files);
    event.target.value = "";
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      $("drop").classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) $("drop").classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    add(picturesOf(event.dataTransfer));
  });
  document.addEventListener("paste", (event) => add(picturesOf(event.clipboardData)));

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!$("token-field").hidden) useToken();
  });
  let timer = 0;
  form.addEventListener("input", (event) => {
    if (event.target.name === "token") return;
    const gate = form.elements.gate.checked;
    $("gate-ages").hidden = !gate;
    form.elements.gate.setAttribute("aria-expanded", String(gate));
    clearTimeout(timer);
    timer = setTimeout(askWhatChanged, 400);
  });

  $("camera-start").addEventListener("click", () => beginCamera());
  $("camera-choice").addEventListener("change", (event) => {
    const device = event.target.value;
    endCamera(); // phones open no second camera beside the first
    beginCamera(device);
  });
  $("camera-stop").addEventListener("click", () => {
    endCamera();
    say("The camera is off.");
    $("camera-start").focus();
  });
  $("camera-keep").addEventListener("click", keepPicture);
  $("save-json").addEventListener("click", () =>
    save(`${JSON.stringify(rows(), null, 2)}\n`, "application/json", "ages.json"),
  );
  $("save-csv").addEventListener("click", () => save(csvOf(rows()), "text/csv;charset=utf-8", "ages.csv"));
  $("clear").addEventListener("click", clear);
}

/** Put what estimates here into the small print; whether it may be asked. */
async function describe() {
  try {
    const { model, models = [], version, licences } = await estimator.describe();
    $("model-field").hidden = models.length < 2;
    form.elements.model.replaceChildren(...models.map((name) => new Option(name, name, name === model)));
    const parts = [model && `Model ${model}`, version && `agelens ${version}`].filter(Boolean);
    const terms = licences ? ` Weights: ${licences.weights}. Training data: ${licences.data}.` : "";
    $("model-words").textContent = `${parts.join(", ")}.${terms}`;
    return true;
  } catch (error) {
    if (wantsToken(error)) askForToken();
    else say(`Nothing can be estimated now. ${inWords(error)}`, { wrong: true });
    return false;
  }
}

async function start() {
  $("fallback").remove();
  listen();
  if (onDevice) {
    $("where").textContent = "Works in this browser";
    $("privacy").textContent =
      "The networks run in this browser: no photo leaves your device, and nothing is stored.";
    say("Loading the networks, once …");
  } else {
    $("where").textContent = `Answered by ${location.host}`;
  }
  const source = onDevice ? "./device/estimator.js" : "./server.js";
  const { openEstimator } = await import(source);
  estimator = await openEstimator();
  const ready = await describe();
  if (ready && onDevice && !photos.length) say("Ready.");
  work();
}

start();
