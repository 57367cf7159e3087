// Loaded before the page is painted: takes Airflow's own theme, which its UI keeps under "theme" of the same origin.
"use strict";
(() => {
  const apply = () => {
    let theme = null;
    try {
      theme = localStorage.getItem("theme");
    } catch {
      theme = null; // storage is switched off: the system's scheme holds
    }
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  apply();
  addEventListener("storage", (event) => {
    if (event.key === "theme" || event.key === null) apply();
  });
})();
