// Estimates in this browser: the page's side of the worker.

export async function openEstimator() {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  const waiting = new Map();
  let number = 0;
  let broken = null;

  worker.onmessage = ({ data: { id, answer, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(answer);
    else reject(new Error(error));
  };
  worker.onerror = (event) => {
    broken = new Error(`the estimator did not start (${event.message || "a part of it is missing"})`);
    for (const { reject } of waiting.values()) reject(broken);
    waiting.clear();
  };

  function ask(message) {
    if (broken) return Promise.reject(broken);
    return new Promise((resolve, reject) => {
      number += 1;
      waiting.set(number, { resolve, reject });
      worker.postMessage({ id: number, ...message });
    });
  }

  return {
    describe: () => ask({ task: "about" }),
    estimate: (photo, name, { gender, gate }) => ask({ task: "estimate", photo, name, gender, gate }),
  };
}
