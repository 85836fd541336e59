// Rows as files: JSON as the command line prints them, CSV with the columns of its tables.

const LANDMARKS = ["eye_left", "eye_right", "nose", "mouth_left", "mouth_right"];
const CORNERS = ["box_x1", "box_y1", "box_x2", "box_y2"];
const COLUMNS = [
  "photo", "frame", "time_seconds", "status", "message", "faces", "face",
  ...CORNERS,
  ...LANDMARKS.flatMap((point) => [`${point}_x`, `${point}_y`]),
  "detection_score", "inter_eye_px", "sharpness", "exposure", "roll_degrees", "yaw_proxy",
  "visible_share", "dark_eyes", "mouth_edges", "bright_eyes", "refer", "estimate_years", "median_years", "low_years", "high_years", "interval",
  "interval_level", "coverage", "gender", "gender_score",
  "track", "track_frames", "track_estimate_years", "track_low_years", "track_high_years",
  "model", "detector", "agelens_version",
];
const GATE_COLUMNS = ["decision", "legal_age", "challenge_age"];

/** The table rows of one result: one a face, or one where there is no face. */
function flatten(row) {
  const whole = { ...row, faces: row.faces.length };
  if (!row.faces.length) return [whole];
  return row.faces.map((face, index) => {
    const flat = { ...whole, ...face, ...face.quality, face: index };
    CORNERS.forEach((name, at) => (flat[name] = face.box_xyxy[at]));
    LANDMARKS.forEach((name, at) => {
      [flat[`${name}_x`], flat[`${name}_y`]] = face.landmarks[at];
    });
    return flat;
  });
}

/** RFC 4180 with CRLF; what a spreadsheet would take for a formula gets an apostrophe before it. */
export function csvOf(rows) {
  const flat = rows.flatMap(flatten);
  const columns = flat.some((row) => "decision" in row) ? [...COLUMNS, ...GATE_COLUMNS] : COLUMNS;
  const lines = [columns, ...flat.map((row) => columns.map((name) => row[name]))];
  return lines.map((cells) => `${cells.map(cell).join(",")}\r\n`).join("");
}

function cell(value) {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") return String(value);
  const safe = /^'*[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function save(text, type, name) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
