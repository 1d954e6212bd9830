"use strict";
/* Light and dark: as the system says, until somebody chooses. Printed light. */

Report.theme = (() => {
  const { state, id } = Report;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = (() => {
    try {
      return localStorage.getItem("report-theme");
    } catch {
      return null;
    }
  })();
  if (chosen !== "dark" && chosen !== "light") chosen = null;
  const paint = (theme) => {
    document.documentElement.dataset.theme = theme;
    state.set({ theme });
  };
  const usual = () => paint(chosen || (dark.matches ? "dark" : "light"));
  const toggle = () => {
    chosen = state.get().theme === "dark" ? "light" : "dark";
    usual();
    try {
      localStorage.setItem("report-theme", chosen);
    } catch {
      // Where nothing may be kept, the choice is for this time.
    }
  };
  usual();
  dark.addEventListener("change", usual);
  id("theme").addEventListener("click", toggle);
  for (const [name, printing] of [["beforeprint", true], ["afterprint", false]]) {
    window.addEventListener(name, () => {
      Report.printing = printing;
      document.body.classList.toggle("on-paper", printing);
      if (printing) paint("light");
      else usual();
      state.settle();
      Report.drawAll();
    });
  }
  return { toggle };
})();
