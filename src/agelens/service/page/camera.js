// The camera: frames go to the estimator one at a time, the next when the last is answered.

import { drawBoxes } from "./drawing.js";

const LONGEST_SIDE = 960;
const JPEG_QUALITY = 0.9;

const REASONS = {
  NotAllowedError: "The browser may not use the camera. Allow it for this page, in the address bar or in the settings.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program, or does not answer.",
  OverconstrainedError: "This camera has no picture that can be used.",
};

/**
 * Starts the camera; call it from a click only.
 *
 * `device` is the id of one camera, else the one that looks at its user is taken. `estimate(blob, name)` gives a row, or null where
 * none can be had now; `onRow(row)` and `onError(error)` hear of each answer; an error stops the camera.
 */
export async function startCamera({ video, holder, device, estimate, onRow, onError }) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("The browser gives a camera only to pages over HTTPS or from this very machine (localhost).");
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: {
        ...(device ? { deviceId: { exact: device } } : { facingMode: "user" }),
        width: { ideal: 1280 },
        height: { ideal: 720 },
      },
    });
  } catch (error) {
    throw new Error(REASONS[error.name] ?? `The camera cannot be started: ${error.message}`);
  }
  video.srcObject = stream;
  await video.play();
  const canvas = document.createElement("canvas");
  let running = true;
  let latest = null;

  function stop() {
    running = false;
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
    drawBoxes(holder, null, 1, 1);
  }

  async function loop() {
    while (running) {
      if (document.hidden || !video.videoWidth) {
        await rest();
        continue;
      }
      try {
        const frame = await grab(video, canvas);
        const row = await estimate(frame, "camera.jpg");
        if (!running) return;
        if (!row) {
          await rest();
          continue;
        }
        latest = { frame, row };
        drawBoxes(holder, row, canvas.width, canvas.height);
        onRow(row);
      } catch (error) {
        if (!running) return;
        stop();
        onError(error);
      }
    }
  }

  for (const track of stream.getTracks()) {
    track.addEventListener("ended", () => {
      if (!running) return;
      stop();
      onError(new Error("The camera was taken away."));
    });
  }
  const cameras = await allCameras();
  loop();
  const [track] = stream.getVideoTracks();
  return { stop, latest: () => latest, cameras, device: track.getSettings().deviceId };
}

/** Every camera with its id and name, such as those at the front and the back of a phone; known once one may be used. */
async function allCameras() {
  const devices = (await navigator.mediaDevices.enumerateDevices?.()) ?? [];
  const found = devices.filter(({ kind, deviceId }) => kind === "videoinput" && deviceId);
  return found.map(({ deviceId, label }, at) => ({ id: deviceId, name: label || `Camera ${at + 1}` }));
}

const rest = () => new Promise((resolve) => setTimeout(resolve, 200));

function grab(video, canvas) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(video.videoWidth, video.videoHeight));
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
}
