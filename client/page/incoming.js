/** Photos come in: chosen, pasted, or dropped anywhere on the page. */

/** `add(files)` is told of them; `work` shows where they may be dropped. */
export function listen(work, add) {
  document.getElementById("files").addEventListener("change", ({ target }) => {
    if (target.files.length) add(target.files);
    target.value = "";
  });
  document.addEventListener("paste", ({ clipboardData }) => {
    if (clipboardData.files.length) add(clipboardData.files);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    work.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || work.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    work.classList.remove("over");
    add(event.dataTransfer.files);
  });
}
