// Boxes over a picture and the list of its faces.

const years = (value) => Math.round(value);

const VERDICTS = {
  pass: "Passes",
  refer: "Refer: ask for a document",
  fail: "Too young to pass: ask for a document",
};

/** "29 (22 to 36)": what stands at a box. */
export function label(face) {
  const interval = face.low_years === null ? "" : ` (${years(face.low_years)} to ${years(face.high_years)})`;
  return `${years(face.estimate_years)}${interval}`;
}

/** How a face is marked: by its decision, else by whether a person should look. */
export function kind(face) {
  return face.decision ?? (face.refer ? "refer" : "pass");
}

export function element(tag, { className = "", text, attributes = {} } = {}, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Draw the boxes of `row` over `holder`, which shows a picture of `width` x `height` pixels. */
export function drawBoxes(holder, row, width, height) {
  for (const old of holder.querySelectorAll(".box")) old.remove();
  const faces = row?.faces ?? [];
  faces.forEach((face, index) => {
    const [left, top, right, bottom] = face.box_xyxy;
    const box = element("div", { className: `box ${kind(face)}`, attributes: { "aria-hidden": "true" } });
    box.style.left = `${(100 * left) / width}%`;
    box.style.top = `${(100 * top) / height}%`;
    box.style.width = `${(100 * (right - left)) / width}%`;
    box.style.height = `${(100 * (bottom - top)) / height}%`;
    const number = faces.length > 1 ? `${index + 1} · ` : "";
    const verdict = face.decision ? ` ${face.decision}` : "";
    const tag = element("span", { className: "tag", text: `${number}${label(face)}${verdict}` });
    const space = 26 / Math.max(holder.clientHeight, 1);
    if (top / height < space) tag.classList.add(1 - bottom / height < space ? "inside" : "below");
    if (left / width > 0.6) tag.classList.add("right");
    box.append(tag);
    holder.append(box);
  });
}

/** The faces of `row` in words; `onPoint(index or -1)` tells which one is pointed at. */
export function faceList(row, onPoint) {
  const list = element("ol", { className: "faces" });
  row.faces.forEach((face, index) => {
    const body = element("div");
    const age = element("p", { className: "age", text: `${years(face.estimate_years)} ` });
    age.append(element("small", { text: face.estimate_years === 1 ? "year" : "years" }));
    body.append(age);
    if (face.low_years !== null) body.append(scale(face));
    body.append(element("p", { className: "hint", text: intervalWords(face) }));
    if (face.gender) {
      body.append(element("p", { className: "hint", text: genderWords(face) }));
    }
    if (face.decision) {
      const text = VERDICTS[face.decision] ?? face.decision;
      body.append(element("p", { className: `verdict ${face.decision}`, text }));
    }
    if (face.refer) {
      const text = `A person should look: ${face.refer}.`;
      body.append(element("p", { className: "note", text }));
    }
    const number = element("span", { className: "face-number", text: `${index + 1}` });
    const item = element("li", { className: "face" }, number, body);
    item.addEventListener("pointerenter", () => onPoint(index));
    item.addEventListener("pointerleave", () => onPoint(-1));
    list.append(item);
  });
  return list;
}

/** The interval and the estimate on a line from 0 to 100 years, for the eye alone. */
function scale(face) {
  const share = (value) => `${Math.min(Math.max(value, 0), 100)}%`;
  const range = element("span", { className: "range" });
  range.style.left = share(face.low_years);
  range.style.width = share(Math.min(face.high_years, 100) - face.low_years);
  const point = element("span", { className: "point" });
  point.style.left = share(face.estimate_years);
  const line = element("span", { className: "line" }, range, point);
  const ends = [0, 100].map((end) => element("span", { text: `${end}` }));
  return element("div", { className: "scale", attributes: { "aria-hidden": "true" } }, ends[0], line, ends[1]);
}

function intervalWords(face) {
  if (face.low_years === null) return "No interval: nobody has measured this model's.";
  const share = `${Math.round(1000 * face.interval_level) / 10} %`;
  const ends = `${face.low_years.toFixed(1)} to ${face.high_years.toFixed(1)}`;
  const said = `${ends} years, the ${share} interval`;
  if (face.coverage === null) return `${said} that the network claims; not calibrated.`;
  return `${said}; measured to hold for ${(100 * face.coverage).toFixed(0)} % of people.`;
}

function genderWords(face) {
  return `Looks ${face.gender} (score ${face.gender_score.toFixed(2)}).`;
}
