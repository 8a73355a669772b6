// Boxes over a picture: a colour for each class, a line that grows with the score, a label that can be read.

// Hues a golden angle apart, so that classes with neighbouring ids do not look alike.
export function colour(classId) {
  const hue = (classId * 137.508) % 360;
  const channel = (shift) => {
    const turn = (shift + hue / 30) % 12;
    return 0.45 - 0.4 * Math.max(-1, Math.min(turn - 3, 9 - turn, 1)); // hsl(hue, 89 %, 45 %)
  };
  const [red, green, blue] = [channel(0), channel(8), channel(4)];
  const linear = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const line = `rgb(${[red, green, blue].map((value) => Math.round(value * 255)).join(" ")})`;
  return { line, text: luminance > 0.179 ? "#000" : "#fff" }; // of the two the one with more contrast
}

// The original's rule: 0.7 -> 3, 0.8 -> 4, 0.9 -> 5; at least 1.
export function thickness(score) {
  return Math.max(1, Math.floor(10 * score + 1e-6) - 4);
}

// Lays the boxes over the picture; `layer` covers it exactly.
export function draw(layer, detections) {
  const made = [...detections].reverse().map(({ name, class_id: id, score, box: [top, left, bottom, right] }) => {
    const { line, text } = colour(id);
    const frame = document.createElement("div");
    frame.className = "box";
    frame.classList.toggle("at-top", top < 0.06);
    frame.classList.toggle("at-right", left > 0.75);
    Object.assign(frame.style, {
      borderColor: line, borderWidth: `${thickness(score)}px`,
      top: `${100 * top}%`, left: `${100 * left}%`, height: `${100 * (bottom - top)}%`, width: `${100 * (right - left)}%`,
    });
    frame.dataset.name = name;
    const label = document.createElement("span");
    label.textContent = `${name} ${score.toFixed(2)}`;
    Object.assign(label.style, { background: line, color: text, margin: `0 ${-thickness(score)}px` });
    frame.append(label);
    return frame;
  });
  layer.replaceChildren(...made);
}
