"use strict";
(function () {
  var live = document.getElementById("live");
  if (!live || !window.EventSource || !window.fetch) { return; }
  var busy = false, again = false;
  function renew() {
    if (busy) { again = true; return; }
    busy = true;
    fetch(location.href, { cache: "no-store" }).then(function (answer) { return answer.text(); }).then(function (text) {
      var fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
      if (!fresh) { return; }
      var focus = live.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      live.replaceChildren.apply(live, Array.from(fresh.childNodes));
      if (focus) {
        Array.from(live.querySelectorAll("a")).some(function (link) {
          if (link.getAttribute("href") === focus) { link.focus(); return true; }
          return false;
        });
      }
    }).catch(function () {}).then(function () {
      busy = false;
      if (again) { again = false; renew(); }
    });
  }
  new EventSource("/events").addEventListener("change", renew);
})();
