// Pictures as {data, width, height}, four bytes a pixel of which the last is not used, and the ways
// to resample them. They follow agelens.imaging.align and the OpenCV functions that it calls, so
// that a network sees the same face here and there. A matrix [a, b, c, d, e, f] carries (x, y) to
// (a x + b y + c, d x + e y + f).

const FIRST_STEP = 1.25;
const BLUR = 0.04;
const EDGE_PX = 2;
const STRIDE = 4;

export const blank = (width, height) => ({
  data: new Uint8ClampedArray(STRIDE * width * height),
  width,
  height,
});

/** As Python rounds: a half goes to the even neighbour. Typed arrays that clamp do the same. */
export function roundHalfEven(value) {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

export function apply([a, b, c, d, e, f], points) {
  return points.map(([x, y]) => [a * x + b * y + c, d * x + e * y + f]);
}

export function invert([a, b, c, d, e, f]) {
  const area = a * e - b * d;
  const [ia, ib, id, ie] = [e / area, -b / area, -d / area, a / area];
  return [ia, ib, -(ia * c + ib * f), id, ie, -(id * c + ie * f)];
}

/** First `right`, then `left`. */
export function product(left, right) {
  const [a, b, c, d, e, f] = left;
  const [g, h, i, j, k, l] = right;
  return [a * g + b * j, a * h + b * k, a * i + b * l + c, d * g + e * j, d * h + e * k, d * i + e * l + f];
}

/** The similarity that carries `source` nearest to `target`; least squares, without reflection. */
export function similarity(source, target) {
  const mean = (points, axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  const [sx, sy, tx, ty] = [mean(source, 0), mean(source, 1), mean(target, 0), mean(target, 1)];
  let [spread, real, imaginary] = [0, 0, 0];
  source.forEach(([x, y], index) => {
    const [zx, zy, wx, wy] = [x - sx, y - sy, target[index][0] - tx, target[index][1] - ty];
    spread += zx * zx + zy * zy;
    real += zx * wx + zy * wy;
    imaginary += zx * wy - zy * wx;
  });
  const [cos, sin] = spread > 0 ? [real / spread, imaginary / spread] : [1, 0];
  return [cos, -sin, tx - (cos * sx - sin * sy), sin, cos, ty - (sin * sx + cos * sy)];
}

function crop(picture, left, top, right, bottom) {
  const part = blank(right - left, bottom - top);
  for (let y = top; y < bottom; y += 1) {
    const start = STRIDE * (y * picture.width + left);
    const row = picture.data.subarray(start, start + STRIDE * part.width);
    part.data.set(row, STRIDE * part.width * (y - top));
  }
  return part;
}

/** For each target pixel, the source pixels under it and the share that each has of it. */
function shares(source, target) {
  const step = source / target;
  return Array.from({ length: target }, (_, index) => {
    const [start, end] = [index * step, Math.min((index + 1) * step, source)];
    const list = [];
    for (let at = Math.floor(start); at < end - 1e-9; at += 1) {
      list.push([at, (Math.min(at + 1, end) - Math.max(at, start)) / (end - start)]);
    }
    return list;
  });
}

/** `picture` shrunk so that each pixel is the mean of the area under it. */
export function shrink(picture, width, height) {
  const small = blank(width, height);
  const columns = shares(picture.width, width);
  const sum = new Float32Array(3 * width);
  const line = new Float32Array(3 * width);
  let lineAt = -1;
  function readLine(y) {
    if (y === lineAt) return;
    lineAt = y;
    const base = STRIDE * y * picture.width;
    columns.forEach((list, x) => {
      let [red, green, blue] = [0, 0, 0];
      for (const [at, share] of list) {
        const pixel = base + STRIDE * at;
        red += share * picture.data[pixel];
        green += share * picture.data[pixel + 1];
        blue += share * picture.data[pixel + 2];
      }
      line.set([red, green, blue], 3 * x);
    });
  }
  shares(picture.height, height).forEach((list, y) => {
    sum.fill(0);
    for (const [at, share] of list) {
      readLine(at);
      for (let index = 0; index < sum.length; index += 1) sum[index] += share * line[index];
    }
    for (let x = 0; x < width; x += 1) {
      const pixel = STRIDE * (y * width + x);
      for (let channel = 0; channel < 3; channel += 1) small.data[pixel + channel] = sum[3 * x + channel];
    }
  });
  return small;
}

/** `picture` shrunk, never enlarged, so that its longer side is at most `longestSide`. */
export function boundedCopy(picture, longestSide) {
  const factor = longestSide / Math.max(picture.width, picture.height);
  if (factor >= 1) return picture;
  const size = [picture.width, picture.height].map((side) => Math.max(1, roundHalfEven(side * factor)));
  return shrink(picture, ...size);
}

/** Where a pixel beyond the rim is mirrored to: fedcba|abcdef|fedcba. */
function mirrored(at, length) {
  const period = 2 * length;
  const inside = ((at % period) + period) % period;
  return inside < length ? inside : period - 1 - inside;
}

/**
 * A chip of `size` pixels out of `picture`; `matrix` carries photo to chip pixels.
 *
 * Where the chip is smaller than the face, the photo is first averaged down near its scale. Beyond
 * the photo's rim the chip is black, or, with fill "mirror", the rim mirrored and blurred.
 */
export function warp(picture, matrix, size, fill = "black") {
  const scale = Math.hypot(matrix[0], matrix[3]);
  const chip = blank(size, size);
  if (!(scale > 0 && scale < Infinity)) return chip;
  const pad = EDGE_PX / Math.min(scale, 1) + EDGE_PX;
  const reach = apply(invert(matrix), [[0, 0], [size, 0], [0, size], [size, size]]);
  const limit = (value, most) => Math.min(Math.max(value, 0), most);
  const side = (axis, most) => {
    const ends = reach.map((point) => point[axis]);
    return [
      limit(Math.floor(Math.min(...ends) - pad), most),
      limit(Math.ceil(Math.max(...ends) + pad), most),
    ];
  };
  const [left, right] = side(0, picture.width);
  const [top, bottom] = side(1, picture.height);
  if (left >= right || top >= bottom) return chip;
  let window = crop(picture, left, top, right, bottom);
  let toPhoto = [1, 0, left, 0, 1, top];
  const first = scale * FIRST_STEP;
  if (first < 1) {
    const { width, height } = window;
    const [w, h] = [width, height].map((length) => Math.max(1, roundHalfEven(length * first)));
    window = shrink(window, w, h);
    const [x, y] = [width / w, height / h];
    toPhoto = product(toPhoto, [x, 0, x / 2 - 0.5, 0, y, y / 2 - 0.5]);
  }
  sample(window, invert(product(matrix, toPhoto)), chip, fill);
  return chip;
}

/**
 * Each pixel of `chip` by those of `window` about the place that `fromChip` carries it to. Beyond the
 * rim as in `warp`, or, with fill "reflect", the rim mirrored as it is.
 */
export function sample(window, fromChip, chip, fill) {
  const { width, height, data } = window;
  const { width: size } = chip;
  const mirror = fill !== "black";
  const outside = [];
  const [a, b, c, d, e, f] = fromChip;
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      const [sx, sy] = [a * x + b * y + c, d * x + e * y + f];
      const [x0, y0] = [Math.floor(sx), Math.floor(sy)];
      let [red, green, blue, inside] = [0, 0, 0, 0];
      for (let dy = 0; dy < 2; dy += 1) {
        for (let dx = 0; dx < 2; dx += 1) {
          const [px, py] = [x0 + dx, y0 + dy];
          const share = (dx ? sx - x0 : 1 - sx + x0) * (dy ? sy - y0 : 1 - sy + y0);
          const within = px >= 0 && px < width && py >= 0 && py < height;
          if (within) inside += share;
          else if (!mirror) continue;
          const column = within ? px : mirrored(px, width);
          const pixel = STRIDE * ((within ? py : mirrored(py, height)) * width + column);
          red += share * data[pixel];
          green += share * data[pixel + 1];
          blue += share * data[pixel + 2];
        }
      }
      const at = STRIDE * (y * size + x);
      chip.data[at] = red;
      chip.data[at + 1] = green;
      chip.data[at + 2] = blue;
      if (255 * inside <= 0.5) outside.push(at);
    }
  }
  if (fill === "mirror" && outside.length) {
    const blurred = blur(chip, BLUR * size);
    for (const at of outside) {
      for (let channel = 0; channel < 3; channel += 1) chip.data[at + channel] = blurred[at + channel];
    }
  }
}

/** Gaussian blur of a square picture, mirrored beyond its rim: its data. */
function blur({ data, width: size }, deviation) {
  const half = (roundHalfEven(6 * deviation + 1) | 1) >> 1;
  const kernel = Array.from({ length: 2 * half + 1 }, (_, at) =>
    Math.exp(-((at - half) ** 2) / (2 * deviation ** 2)),
  );
  const total = kernel.reduce((sum, share) => sum + share, 0);
  const pass = (source, along, across) => {
    const made = new Float32Array(source.length);
    for (let line = 0; line < size; line += 1) {
      for (let at = 0; at < size; at += 1) {
        for (let channel = 0; channel < 3; channel += 1) {
          let sum = 0;
          kernel.forEach((share, tap) => {
            sum += share * source[line * across + mirrored(at + tap - half, size) * along + channel];
          });
          made[line * across + at * along + channel] = sum / total;
        }
      }
    }
    return made;
  };
  const row = STRIDE * size;
  return Uint8ClampedArray.from(pass(pass(data, STRIDE, row), row, STRIDE));
}

/**
 * What a network gets [1, 3, height, width]: planes of red, green, blue, or the other way round,
 * less `mean` and divided by `std`, both of red, green and blue.
 */
export function planes({ data, width, height }, { mean, std, order }) {
  const area = width * height;
  const made = new Float32Array(3 * area);
  for (let plane = 0; plane < 3; plane += 1) {
    const channel = order === "BGR" ? 2 - plane : plane;
    for (let at = 0; at < area; at += 1) {
      made[plane * area + at] = (data[STRIDE * at + channel] - mean[channel]) / std[channel];
    }
  }
  return made;
}

/** Grey levels, row by row, of the square of `side` pixels from (`start`, `start`) on. */
export function greyOf({ data, width }, start, side) {
  return Float64Array.from({ length: side * side }, (_, at) => {
    const pixel = STRIDE * ((start + Math.floor(at / side)) * width + start + (at % side));
    return Math.round(0.299 * data[pixel] + 0.587 * data[pixel + 1] + 0.114 * data[pixel + 2]);
  });
}
