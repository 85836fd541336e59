// Estimates by the server that this page came from.

const WAIT_LONGEST_SECONDS = 30;
const TRIES = 5;

/** What the server refused, in its own words, with the id that its log knows it by. */
export class Refused extends Error {
  constructor(status, { code = "", message = "", request_id = "" } = {}) {
    super(message || `The server answered ${status} without saying why.`);
    this.status = status;
    this.code = code;
    this.requestId = request_id;
  }
}

export async function openEstimator() {
  let token = "";
  let limits = null;

  async function ask(path, init = {}) {
    for (let left = TRIES; ; left -= 1) {
      let response;
      try {
        response = await fetch(path, {
          ...init,
          headers: token ? { Authorization: `Bearer ${token}` } : {},
          credentials: "omit",
          cache: "no-store",
        });
      } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new Error("The server cannot be reached. Is it still running, and are you online?");
      }
      if (response.ok) return response.json();
      if (response.status !== 503 || left <= 1) throw await refusal(response);
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await pause(Math.min(seconds, WAIT_LONGEST_SECONDS), init.signal);
    }
  }

  return {
    setToken(text) {
      token = text.trim();
    },
    /** What estimates here: {model, models, version, licences}. */
    async describe() {
      const [info, { models }] = await Promise.all([ask("v1/info"), ask("v1/models")]);
      limits = info.limits;
      const { licences } = models.find((one) => one.default) ?? models[0];
      return { model: info.model, models: info.models, version: info.agelens_version, licences };
    },
    /**
     * The row of one photo, as `agelens estimate` writes it; with a gate, each face has a decision,
     * with `draw` the row has `drawn_jpeg`, for a kind of file that browsers do not show.
     */
    async estimate(photo, name, { gender, gate, model, draw = false, signal }) {
      const most = limits?.request_bytes ?? Infinity;
      if (photo.size > 0.99 * most) {
        throw new Error(`This photo has ${megabytes(photo.size)}, and the server takes ${megabytes(most)}: make it smaller.`);
      }
      const form = new FormData();
      form.append("files", photo, name);
      form.append("gender", String(gender));
      if (draw) form.append("draw", "true");
      if (model) form.append("model", model);
      if (gate) {
        form.append("legal_age", String(gate.legal));
        form.append("challenge_age", String(gate.challenge));
      }
      const path = gate ? "v1/gate" : "v1/estimate";
      const answer = await ask(path, { method: "POST", body: form, signal });
      return answer.results[0];
    },
  };
}

const megabytes = (bytes) => `${Math.round(bytes / 1e5) / 10} MB`;

async function refusal(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // A proxy between here and the server answers in HTML: its status is all that can be said.
  }
  return new Refused(response.status, body.error);
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    });
  });
}
