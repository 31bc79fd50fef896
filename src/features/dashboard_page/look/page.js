// What a page can do without: selects apply themselves, codes are copied, and instants are told in the reader's own zone.
"use strict";
for (const select of document.querySelectorAll("select[data-applies]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
for (const button of document.querySelectorAll("button[data-copies]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const copied = document.getElementById(button.dataset.copies);
    await navigator.clipboard.writeText(copied.textContent.trim());
    button.textContent = "Copied";
  });
}
for (const time of document.querySelectorAll("time[data-local]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.getTime())) {
    time.title = time.textContent;
    time.textContent = at.toLocaleString();
  }
}
