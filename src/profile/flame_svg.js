// The interactive side of a flame graph: a click (or Enter) gives a frame the whole width, "/" or the
// field searches, Escape goes back, arrow keys walk. Without it the picture is complete, only still.
(() => {
  "use strict";
  const svg = document.currentScript.ownerSVGElement;
  const frames = [...svg.querySelectorAll(".frame")].map((group) => {
    const [name, ...details] = group.querySelector("title").textContent.split("\n");
    const { x, n, d } = group.dataset;
    return {
      group, name, details: details.join(" "), x: +x, end: +x + +n, depth: +d,
      rect: group.querySelector("rect"), text: group.querySelector("text"),
    };
  });
  const root = frames[0];
  const left = +root.rect.getAttribute("x");
  const width = +root.rect.getAttribute("width");
  const total = root.end;
  const details = svg.querySelector(".details");
  const found = svg.querySelector(".found");
  const field = svg.querySelector("input");
  const reset = svg.querySelector("button");
  const character = 7.23;  // of the 12 px monospace font, in px
  let focus = root;

  const covers = (outer, inner) => outer.x <= inner.x && outer.end >= inner.end;
  const share = (weight) => `${((100 * weight) / total).toFixed(2)} %`;

  function label(name, space) {
    const room = Math.floor((space - 6) / character);
    if (name.length <= room) return name;
    return room < 3 ? "" : `${name.slice(0, room - 1)}…`;
  }

  function place(frame, x, space) {
    frame.group.style.display = "";
    frame.rect.setAttribute("x", x);
    frame.rect.setAttribute("width", space);
    frame.text.setAttribute("x", x + 3);
    frame.text.textContent = label(frame.name, space);
  }

  function zoom(frame) {
    // Multiplied first: the frame itself is then as wide as the picture, to the last bit.
    const stretched = (weight) => (weight * width) / (frame.end - frame.x);
    focus = frame;
    for (const other of frames) {
      const isAbove = other.depth < frame.depth && covers(other, frame);
      other.group.classList.toggle("above", isAbove);
      if (isAbove) place(other, left, width);
      else if (other.depth >= frame.depth && covers(frame, other))
        place(other, left + stretched(other.x - frame.x), stretched(other.end - other.x));
      else other.group.style.display = "none";
    }
    reset.hidden = frame === root;
  }

  // Frames come outer first, so what lies on a hit that was counted begins before its end.
  function search(wanted) {
    let matches = (name) => name.includes(wanted);
    let counted = 0;
    let sum = 0;
    try {
      const expression = new RegExp(wanted, "i");
      matches = (name) => expression.test(name);
    } catch { /* Not finished, or meant as it is. */ }
    for (const frame of frames) {
      const hit = wanted !== "" && matches(frame.name);
      frame.group.classList.toggle("hit", hit);
      if (hit && frame.x >= counted) {
        sum += frame.end - frame.x;
        counted = frame.end;
      }
    }
    found.textContent = wanted === "" ? "" : `found: ${share(sum)}`;
  }

  const isShown = (frame) => frame.group.style.display !== "none";

  function neighbour(frame, key) {
    const at = frames.indexOf(frame);
    const beside = (other) => other.depth === frame.depth && isShown(other);
    switch (key) {
      case "ArrowDown":
        return frames.findLast((other) => other.depth === frame.depth - 1 && covers(other, frame));
      case "ArrowUp":
        return frames.find((other) => other.depth === frame.depth + 1 && covers(frame, other));
      case "ArrowRight":
        return frames.slice(at + 1).find(beside);
      case "ArrowLeft":
        return frames.slice(0, at).findLast(beside);
      default:
        return undefined;
    }
  }

  function onKey(frame, event) {
    const next = neighbour(frame, event.key);
    if (next !== undefined) next.group.focus();
    else if (event.key === "Enter" || event.key === " ") zoom(frame);
    else return;
    event.preventDefault();
  }

  for (const frame of frames) {
    const { group } = frame;
    const show = () => { details.textContent = `${frame.name} ${frame.details}`; };
    group.setAttribute("tabindex", frame === root ? "0" : "-1");
    group.setAttribute("role", "button");
    group.addEventListener("click", () => zoom(frame));
    group.addEventListener("keydown", (event) => onKey(frame, event));
    group.addEventListener("mouseover", show);
    group.addEventListener("focus", show);
    group.addEventListener("mouseout", () => { details.textContent = ""; });
  }
  field.addEventListener("input", () => search(field.value));
  reset.addEventListener("click", () => zoom(root));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target !== field) {
      event.preventDefault();
      field.focus();
    } else if (event.key === "Escape") {
      field.value = "";
      search("");
      zoom(root);
    }
  });
  svg.querySelector(".tools").hidden = false;
  zoom(root);
})();
