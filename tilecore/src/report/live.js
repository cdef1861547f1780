// Renews the page: what has changed is exchanged, pictures only once they are decoded, and what was chosen stays.
let version = "", silent = 0, shown = {};
const STAGE = [".photo", "#heat", "#owners", "#work", "#legend", "#who"];
async function decoded(root) {
  await Promise.all([...root.querySelectorAll("img")].map((img) => img.decode().catch(() => {})));
}
async function renewPicture(section, html) {
  const next = document.createElement("section");
  next.innerHTML = html;
  await decoded(next);
  const slider = by("slider"), choice = document.querySelector("input[name=map]:checked");
  const same = (selector) => Boolean(section.querySelector(selector)) === Boolean(next.querySelector(selector));
  if (section.firstChild && ["#stage", "#slider", ...STAGE].every(same)) {
    for (const selector of STAGE) {
      const old = section.querySelector(selector), renewed = next.querySelector(selector);
      if (old && renewed && old.outerHTML !== renewed.outerHTML) old.replaceWith(renewed);
    }
  } else {
    section.replaceChildren(...next.childNodes);
    if (slider && by("slider")) by("slider").value = slider.value;
    const again = choice && section.querySelector("input[name=map][value=" + choice.value + "]");
    if (again) again.checked = true;
  }
  choose();
  slide();
}
async function renew(sections) {
  for (const { id, html } of sections) {
    const section = by(id);
    if (!section || shown[id] === html) continue;
    shown[id] = html;
    if (id === "picture") await renewPicture(section, html); else section.innerHTML = html;
    section.hidden = !html;
  }
}
function say(words) {
  const state = document.querySelector("#top .state");
  if (state) { state.textContent = words; state.className = "state stopped"; }
}
async function look() {
  try {
    const answer = await fetch("parts?have=" + encodeURIComponent(version), { cache: "no-store" });
    silent = 0;
    if (answer.status === 200) {
      const parts = await answer.json();
      await renew(parts.sections);
      version = parts.version;
      if (parts.ended) { document.body.dataset.ended = "yes"; return; }
    }
  } catch {
    silent += 1;
    shown.top = "";
    version = "";
    say(silent < 5 ? "no answer" : "no answer: tilectl has ended, or cannot be reached");
  }
  setTimeout(look, silent < 5 ? 1000 : 5000);
}
look();
