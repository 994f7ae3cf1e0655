"use strict";
(function () {
  var live = document.getElementById("live"), pulse = document.getElementById("pulse");
  var stale = document.getElementById("stale");
  var say = document.querySelector("main").dataset;

  // A button beside each record: without a script one click selects it.
  function offerCopies() {
    if (!navigator.clipboard) { return; }
    live.querySelectorAll("code.copy").forEach(function (code) {
      var button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.dataset.key = code.textContent;
      button.textContent = say.copy;
      button.setAttribute("aria-label", say.copy + ": " + code.textContent);
      button.addEventListener("click", function () {
        navigator.clipboard.writeText(code.textContent).then(function () {
          button.textContent = say.copied;
          pulse.textContent = say.copied;
        });
      });
      code.after(" ", button);
    });
  }

  function key(element) { return element.getAttribute("href") || element.dataset.key; }

  // What is being read or copied is not taken away.
  function selecting() {
    var selection = getSelection();
    return selection.type === "Range" && live.contains(selection.anchorNode);
  }

  // Nothing is called live that is not, and what was said is not said again.
  var connected = false;
  function beat() {
    var fresh = connected && !stale.textContent;
    pulse.className = fresh ? "good" : "soft";
    pulse.textContent = fresh ? "● " + say.live : connected ? "" : "○ " + say.lost;
  }
  function warn(fresh) {
    if (fresh.textContent === stale.textContent) { return; }
    stale.replaceChildren.apply(stale, Array.from(fresh.childNodes));
    beat();
  }

  var busy = false, again = false;
  function renew() {
    if (busy || selecting()) { again = true; return; }
    busy = true;
    fetch(location.href, { cache: "no-store" }).then(function (answer) { return answer.text(); }).then(function (text) {
      var page = new DOMParser().parseFromString(text, "text/html"), fresh = page.getElementById("live");
      if (!fresh) { location.reload(); return; }
      warn(page.getElementById("stale"));
      var focus = live.contains(document.activeElement) ? key(document.activeElement) : null;
      live.replaceChildren.apply(live, Array.from(fresh.childNodes));
      offerCopies();
      if (focus) {
        Array.from(live.querySelectorAll("a, button")).some(function (element) {
          if (key(element) === focus) { element.focus(); return true; }
          return false;
        });
      }
    }).catch(function () {}).then(function () {
      busy = false;
      if (again && !selecting()) { again = false; renew(); }
    });
  }

  if (!live || !window.EventSource) { return; }
  offerCopies();
  var stream = new EventSource("/events");
  stream.onopen = function () { connected = true; beat(); };
  stream.onerror = function () { connected = false; beat(); };
  stream.addEventListener("change", renew);
  document.addEventListener("selectionchange", function () { if (again && !busy && !selecting()) { again = false; renew(); } });
  // "In 30 s" is soon no longer true.
  setInterval(function () { if (!document.hidden) { renew(); } }, 30000);
})();
