// Sets the theme before the first paint and keeps it: light, dark, or as the system says.  Loaded in the head, synchronously.
(() => {
  const KEY = "holdfast-theme";
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem(KEY) || "auto";
    } catch {
      return "auto"; // storage may be forbidden
    }
  };
  const apply = () => {
    const choice = chosen();
    const dark = choice === "dark" || (choice === "auto" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    document.documentElement.dataset.choice = choice;
    window.dispatchEvent(new CustomEvent("holdfast-theme", { detail: choice }));
  };
  window.holdfastTheme = {
    get choice() {
      return chosen();
    },
    set(choice) {
      try {
        localStorage.setItem(KEY, choice);
      } catch {
        document.documentElement.dataset.theme = choice === "dark" ? "dark" : "light";
      }
      apply();
    },
  };
  system.addEventListener("change", apply);
  window.addEventListener("storage", (event) => event.key === KEY && apply());
  apply();
})();
