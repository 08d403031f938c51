// Runs before the first paint, so that a stored theme never flashes in the other one. A file, not an inline
// script, so that the server may send a Content-Security-Policy without exceptions.
try {
  const theme = localStorage.getItem("bramble.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // No storage (private window): the system's preference is used.
}
