"use strict";

// Over file:// a browser may not fetch the pages from which the search shows excerpts.
if (typeof DOCUMENTATION_OPTIONS !== "undefined" && location.protocol === "file:") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

// What scrolls sideways can be reached, and so scrolled, with the keyboard.
function makeReachable() {
  for (const box of document.querySelectorAll("article .highlight pre, article .table-wrapper, article .formula")) {
    if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

document.addEventListener("DOMContentLoaded", () => {
  // On a phone a figure is small: a click shows it in its own size.
  for (const image of document.querySelectorAll("article figure > img")) {
    const link = document.createElement("a");
    link.href = image.src;
    image.replaceWith(link);
    link.append(image);
  }
  for (const cell of document.querySelectorAll("article td")) {
    if (/^[-\d][\d.,e+±\s-]*$/.test(cell.textContent)) cell.classList.add("number");
  }
  makeReachable();
  window.addEventListener("resize", makeReachable);
});
