"use strict";
// The slider moves the edge between picture and map; the radio buttons choose the map.
const by = (id) => document.getElementById(id);
const slider = by("slider");
function slide() {
  const at = 100 - Number(slider.value);
  by("over").style.setProperty("--at", at + "%");
  by("edge").style.left = at + "%";
}
if (slider) {
  slider.addEventListener("input", slide);
  const stage = by("stage");
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    const part = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    slider.value = String(Math.round(100 - part * 100));
    slide();
  };
  stage.addEventListener("pointerdown", follow);
  stage.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
  stage.addEventListener("dragstart", (event) => event.preventDefault());
  slide();
}
for (const choice of document.querySelectorAll("input[name=map]")) {
  choice.addEventListener("change", () => {
    const nodes = choice.value === "owners";
    by("heat").hidden = nodes;
    by("legend").hidden = nodes;
    by("who").hidden = !nodes;
    by("owners").toggleAttribute("hidden", !nodes);
  });
}
