// The pictures of a group side by side, with what was said to be where.
function picture(index) {
  const [uri, width, height, missing] = DATA.pictures[index];
  return { uri, width, height, missing };
}
function frame(group, name, index) {
  const found = picture(index);
  const alone = group.m.find((member) => member.o === "mono:" + name);
  const verdict = !alone || alone.c < 0 ? "" : alone.c ? "alone right" : "alone wrong";
  const caption = h("figcaption", { class: sourceColour(name) }, h("span", { class: "dot" }), h("b", null, label(name)), h("span", null, verdict));
  if (!found.uri) return h("figure", null, h("div", { class: "missing" }, h("b", null, "No picture"), label(found.missing)), caption);
  const image = h("img", { src: found.uri, alt: name, width: found.width, height: found.height, class: found.width <= 128 ? "pixels" : "" });
  const box = h("div", { class: "frame" }, image, boxes(group));
  for (const [letter, x, y] of group.pt) {
    const mark = h("span", { class: "letter" }, letter);
    mark.style.left = `${100 * x}%`;
    mark.style.top = `${100 * y}%`;
    box.append(mark);
  }
  return h("figure", null, box, caption);
}
function boxes(group) {
  const rect = ([x1, y1, x2, y2], classes, member) => s("rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1, class: classes, "data-member": member });
  const svg = s("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const each of group.b) svg.append(rect(each, "back"), rect(each, "true"));
  group.m.forEach((member, i) => (member.b || []).forEach((each) => svg.append(rect(each, `said ${originColour(member.o)}`, i))));
  return svg;
}
function showPictures(group) {
  const said = group.m.some((member) => member.b), truth = group.b.length > 0;
  const key = (said || truth) && h("p", { class: "boxkey" }, truth && h("span", null, h("i", { class: "true" }), "true"), said && h("span", { class: "c0" }, h("i"), "said; point at an answer to see its own"));
  return [h("div", { class: "pictures" }, group.p.map(([name, index]) => frame(group, name, index))), key, group.trouble && h("p", { class: "note" }, "Boxes are not drawn: ", label(group.trouble))];
}
function light(place, member) {
  for (const frame of place.querySelectorAll(".frame")) {
    const own = [...frame.querySelectorAll("rect.said")];
    own.forEach((each) => each.classList.toggle("lit", member !== null && each.getAttribute("data-member") === String(member)));
    frame.classList.toggle("dim", member !== null && own.some((each) => each.classList.contains("lit")));
  }
}
