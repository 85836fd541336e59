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
  let gate = null;
  $("gate-error").textContent = "";
  if (fields.gate.checked) {
    const [legal, challenge] = [fields.legal_age.valueAsNumber, fields.challenge_age.valueAsNumber];
    if (!(legal > 0 && legal <= challenge)) {
      $("gate-error").textContent =
        "A gate needs a legal age above 0, and a challenge age that is at least as high.";
      return null;
    }
    gate = { legal, challenge };
  }
  return { gender: fields.gender.checked, gate };
}

async function rowOf(blob, name, wanted, signal) {
  const row = await estimator.estimate(blob, name, { ...wanted, signal });
  if (wanted.gate) {
    for (const face of row.faces) {
      face.legal_age = wanted.gate.legal;
      face.challenge_age = wanted.gate.challenge;
    }
  }
  return row;
}

function add(files) {
  const pictures = [...files];
  if (!pictures.length) return;
  for (const file of pictures) {
    const photo = { file, name: file.name || "pasted picture", row: null, error: "" };
    photo.view = makeView(photo);
    photos.push(photo);
    $("photos").append(photo.view.item);
  }
  $("results").hidden = false;
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
  for (let photo; (photo = photos.find((one) => !one.row && !one.error)); ) {
    const done = photos.filter((one) => one.row || one.error).length;
    say(`Estimating photo ${done + 1} of ${photos.length} …`);
    try {
      photo.row = await rowOf(photo.file, photo.name, wanted, signal);
    } catch (error) {
      if (error.name === "AbortError") break;
      if (error.status === 401 || error.status === 403) {
        askForToken(error);
        break;
      }
      photo.error = inWords(error);
    }
    if (signal.aborted) break;
    photo.view.show();
  }
  working = false;
  if (signal.aborted) {
    if (photos.length) work();
    return;
  }
  if (photos.every((one) => one.row || one.error)) summarise();
}

function summarise() {
  const faces = photos.reduce((sum, one) => sum + (one.row?.faces.length ?? 0), 0);
  const failed = photos.filter((one) => one.error || !["ok", "no_face"].includes(one.row?.status)).length;
  const failures = failed ? ` ${count(failed, "photo")} could not be used.` : "";
  say(`${count(photos.length, "photo")}, ${count(faces, "face")}.${failures}`, { wrong: failed > 0 });
}

const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

function inWords(error) {
  const id = error.requestId ? ` (request ${error.requestId})` : "";
  return `${error.message}${id}`;
}

function askForToken(error) {
  $("token-field").hidden = false;
  form.elements.token.focus();
  say(`This server wants an access token. ${error.message}`, { wrong: true });
}

/** Ask anew for every photo, as after a change of what is asked. */
function again() {
  round.abort();
  round = new AbortController();
  for (const photo of photos) {
    photo.row = null;
    photo.error = "";
  }
  work();
}

function makeView(photo) {
  const image = element("img", { attributes: { alt: "" } });
  const holder = element("div", { className: "picture" }, image);
  const side = element("div", { className: "picture-side" }, holder);
  const text = element("div", { className: "text-side" });
  const item = element("li", { className: "photo" }, side, text);
  const heading = element("h3", { text: photo.name });
  const address = URL.createObjectURL(photo.file);
  let drawable = true;

  function draw() {
    if (drawable && image.naturalWidth) {
      drawBoxes(holder, photo.row, image.naturalWidth, image.naturalHeight);
    }
  }
  image.addEventListener("load", draw);
  image.addEventListener("error", () => {
    drawable = false;
    const words = "This browser cannot show a picture of this kind.";
    side.replaceChildren(element("p", { className: "no-picture", text: words }));
  });
  image.src = address;

  function point(index) {
    holder.querySelectorAll(".box").forEach((box, at) => box.classList.toggle("marked", at === index));
  }

  function show() {
    const parts = [heading];
    if (photo.error) {
      parts.push(element("p", { className: "problem", text: photo.error }));
    } else if (!photo.row) {
      parts.push(element("p", { className: "waiting", text: "Waiting for its turn …" }));
    } else if (photo.row.faces.length) {
      image.alt = `${photo.name}, ${count(photo.row.faces.length, "face")} marked`;
      parts.push(faceList(photo.row, point));
    } else {
      const problem = photo.row.status === "no_face" ? "waiting" : "problem";
      parts.push(element("p", { className: problem, text: sentence(photo.row.message) }));
    }
    text.replaceChildren(...parts);
    draw();
  }
  show();
  return { item, show, close: () => URL.revokeObjectURL(address) };
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

const rows = () => photos.filter((one) => one.row).map((one) => one.row);

async function beginCamera() {
  $("camera-start").disabled = true;
  try {
    camera = await startCamera({
      video: $("video"),
      holder: $("camera-picture"),
      estimate: async (blob, name) => {
        const wanted = options() ?? { gender: false, gate: null };
        return rowOf(blob, name, wanted);
      },
      onRow: (row) => {
        const seen = row.faces.map((face) => Math.round(face.estimate_years)).join(", ");
        $("camera-words").textContent = row.faces.length
          ? `${count(row.faces.length, "face")}, about ${seen} years`
          : "No face found.";
      },
      onError: (error) => {
        endCamera();
        if (error.status === 401 || error.status === 403) askForToken(error);
        else say(`The camera has stopped. ${inWords(error)}`, { wrong: true });
      },
    });
    $("camera").hidden = false;
    $("camera-words").textContent = "Looking …";
    say("The camera is on.");
    $("camera-stop").focus();
  } catch (error) {
    $("camera-start").disabled = false;
    say(error.message, { wrong: true });
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
  $("choose").addEventListener("click", () => $("files").click());
  $("files").addEventListener("change", (event) => {
    add(event.target.files);
    event.target.value = "";
  });
  const drop = $("give");
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      $("drop").classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget || !drop) $("drop").classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    add(picturesOf(event.dataTransfer));
  });
  document.addEventListener("paste", (event) => add(picturesOf(event.clipboardData)));

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    estimator?.setToken?.(form.elements.token.value);
    describe();
    again();
  });
  let timer = 0;
  form.addEventListener("input", (event) => {
    if (event.target.name === "token") return;
    const gate = form.elements.gate.checked;
    $("gate-ages").hidden = !gate;
    form.elements.gate.setAttribute("aria-expanded", String(gate));
    clearTimeout(timer);
    timer = setTimeout(() => options() && photos.length && again(), 400);
  });

  $("camera-start").addEventListener("click", beginCamera);
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

async function describe() {
  try {
    const about = await estimator.describe();
    const model = [about.model && `model ${about.model}`, about.version && `agelens ${about.version}`];
    $("model-words").textContent = model.filter(Boolean).join(", ");
  } catch (error) {
    if (error.status === 401 || error.status === 403) $("token-field").hidden = false;
  }
}

async function start() {
  $("fallback").remove();
  listen();
  $("where").textContent = onDevice ? "Runs in this browser: no photo leaves it" : "Answered by this server";
  const source = onDevice ? "./device/estimator.js" : "./server.js";
  try {
    const { openEstimator } = await import(source);
    estimator = await openEstimator();
  } catch (error) {
    say(`The page cannot work here: ${error.message}`, { wrong: true });
    return;
  }
  describe();
  work();
}

start();
