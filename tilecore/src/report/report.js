"use strict";
// The slider moves the edge between picture and map; the radio buttons choose the map. The page listens as a whole, so
// that the parts of it can be exchanged.
const by = (id) => document.getElementById(id);
function slide() {
  const slider = by("slider");
  if (!slider) return;
  const at = 100 - Number(slider.value);
  by("over").style.setProperty("--at", at + "%");
  by("edge").style.left = at + "%";
}
function choose() {
  const choice = document.querySelector("input[name=map]:checked");
  if (!choice) return;
  const nodes = choice.value === "owners";
  by("heat").hidden = nodes;
  by("legend").hidden = nodes;
  by("who").hidden = !nodes;
  by("owners").toggleAttribute("hidden", !nodes);
}
// Who chooses a map wants to see it.
function reveal() {
  const slider = by("slider");
  if (slider && slider.value === "0") slider.value = "100";
  choose();
  slide();
}
const staged = (event) => event.target instanceof Element && event.target.closest("#stage");
function follow(event) {
  const stage = staged(event), slider = by("slider");
  if (!stage || !slider) return;
  const box = stage.getBoundingClientRect();
  const part = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  slider.value = String(Math.round(100 - part * 100));
  slide();
}
document.addEventListener("input", (event) => { if (event.target.id === "slider") slide(); });
document.addEventListener("change", (event) => { if (event.target.name === "map") reveal(); });
document.addEventListener("pointerdown", follow);
document.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
document.addEventListener("dragstart", (event) => { if (staged(event)) event.preventDefault(); });
slide();
