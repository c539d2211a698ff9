"use strict";
// Shows the rows that have every word of the search among their names, grains and columns.
const search = document.getElementById("search");
const rows = [...document.querySelectorAll("tr.entry")];

function show() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of rows) {
    const text = row.dataset.words.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    count += row.hidden ? 0 : 1;
  }
  for (const layer of document.querySelectorAll("section.layer")) {
    layer.hidden = ![...layer.querySelectorAll("tr.entry")].some((row) => !row.hidden);
  }
  document.getElementById("found").textContent = words.length ? `${count} of ${rows.length}` : "";
}

search.addEventListener("input", show);
show();
